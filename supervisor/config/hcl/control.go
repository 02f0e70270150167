package hclconfig

import (
	"path/filepath"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"tp0/supervisor/config"
)

var socketPathKind = kind[string]{"string", "an absolute path, at most 107 bytes", readSocketPath}

// maxSocketPath is the longest path of a unix socket in bytes (unix(7), sun_path).
const maxSocketPath = 107

func readSocketPath(v cty.Value) (string, error) {
	path, err := readNotEmpty(v)
	switch {
	case err != nil:
		return "", err
	case !filepath.IsAbs(path):
		return "", invalid("The path must be absolute, such as /run/supervisor/echo.sock.")
	case len(path) > maxSocketPath:
		return "", invalid("The path has %d bytes. The path of a unix socket can have %d at most.",
			len(path), maxSocketPath)
	}
	return filepath.Clean(path), nil
}

// findGroup finds the number of the group of the control block. place is the value of the group.
func (d *decoder) findGroup(c *config.Control, place hcl.Range) hcl.Diagnostics {
	groups, err := d.opt.readAccounts(groupFile, 4)
	if err == nil {
		c.GID, err = groups.group(c.Group)
	}
	if err != nil {
		return hcl.Diagnostics{fault(&place, "Invalid value for control.group", "%v", err)}
	}
	return nil
}
