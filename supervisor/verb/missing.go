package verb

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// FirstConfig is the configuration that init writes.
//
//go:embed init.hcl
var FirstConfig string

// MissingConfig returns an error that says where the configuration was searched, if err says that
// the default file does not exist. Other errors stay.
func MissingConfig(path string, err error) error {
	var missing *fs.PathError
	if !errors.As(err, &missing) || !errors.Is(err, fs.ErrNotExist) || missing.Path != path {
		return err
	}
	return fmt.Errorf("there is no configuration: --config is not given, $SUPERVISOR_CONFIG is "+
		"not set, and %s does not exist. `supervisor init` writes this commented file to it:\n\n%s",
		filepath.Clean(path), FirstConfig)
}
