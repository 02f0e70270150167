package hclconfig

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"tp0/supervisor/config"
)

// maxRetain is the largest size of what is kept in memory.
const maxRetain config.Bytes = 1 << 30

var sizeForm = lazyPattern(`^([0-9]+) ?([A-Za-z]*)$`)

// sizeUnits are the units of sizes, in bytes.
var sizeUnits = map[string]float64{
	"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
	"kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
}

// size is the kind of sizes from least to most.
func size(least, most config.Bytes) kind[config.Bytes] {
	allowed := fmt.Sprintf("`\"%v\"` to `\"%v\"`", least, most)
	return kind[config.Bytes]{"size", allowed, func(v cty.Value) (config.Bytes, error) {
		n, err := readSize(v)
		switch {
		case err != nil:
			return 0, err
		case n < float64(least):
			return 0, invalid("The size must be at least %v.", least)
		case n > float64(most):
			return 0, invalid("The size must be at most %v.", most)
		}
		return config.Bytes(n), nil
	}}
}

// readSize returns a number of bytes. It is not exact above 2^53, which is above every limit.
func readSize(v cty.Value) (float64, error) {
	s, err := readForm(v, `a size, such as "256KiB" or "10MiB"`)
	if err != nil {
		return 0, err
	}
	parts := sizeForm().FindStringSubmatch(s)
	if parts == nil || len(s) > 32 {
		return 0, invalid(`%s is not a size. Examples are "256KiB", "10MiB" and "1GB".`, quote(s))
	}
	n, err := strconv.ParseFloat(parts[1], 64)
	if err != nil {
		n = math.Inf(1)
	}
	if unit, ok := sizeUnits[parts[2]]; ok {
		return n * unit, nil
	}
	if parts[2] == "" {
		return 0, invalid("The size has no unit. Write %q for bytes, %q for KiB, %q for MiB.",
			parts[1]+"B", parts[1]+"KiB", parts[1]+"MiB")
	}
	return 0, invalid("%s is not a unit of sizes.%s", quote(parts[2]), unitHint(parts[2]))
}

// unitHint returns the unit that somebody means who writes 10m, 10M or 10mib.
func unitHint(unit string) string {
	if i := strings.Index("kmgt", strings.ToLower(unit[:1])); i >= 0 {
		return fmt.Sprintf(" Did you mean %q (1024%s bytes)?", "KMGT"[i:i+1]+"iB",
			strings.Repeat(" * 1024", i))
	}
	return ` Use "B", "KiB", "MiB" or "GiB".`
}
