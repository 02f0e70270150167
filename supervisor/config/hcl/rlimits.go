package hclconfig

import (
	"maps"
	"math/big"

	"github.com/zclconf/go-cty/cty"
	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
)

// rlimitAttributes returns the attributes of an rlimits block.
func rlimitAttributes() []attribute[childValues] {
	var list []attribute[childValues]
	for _, r := range config.Resources {
		list = append(list, attribute[childValues]{
			name:    r.Name,
			typ:     "number, string or object",
			allowed: "from 0; `\"unlimited\"`; `{ soft, hard }` (" + r.Unit + ")",
			example: "4096",
			doc:     r.Doc,
			get:     func(v *childValues) any { return nil },
			set: func(v *childValues, value cty.Value) error {
				limit, err := readRlimit(value)
				if err != nil {
					return err
				}
				all := maps.Clone(v.launch.Attributes.Limits) // other instances share the map
				if all == nil {
					all = map[int]unix.Rlimit{}
				}
				all[r.Number] = limit
				v.launch.Attributes.Limits = all
				return nil
			},
		})
	}
	return list
}

func readRlimit(v cty.Value) (l unix.Rlimit, err error) {
	if v.IsNull() || !v.Type().IsObjectType() {
		l.Cur, err = readLimit(v)
		l.Max = l.Cur
		return l, err
	}
	if err := checkMembers(v, "soft", "hard"); err != nil {
		return l, err
	}
	if l.Cur, err = readLimit(v.GetAttr("soft")); err != nil {
		return l, err
	}
	if l.Max, err = readLimit(v.GetAttr("hard")); err != nil {
		return l, err
	}
	if l.Cur > l.Max { // RLIM_INFINITY is the largest number
		return l, invalid("The soft limit must not be above the hard limit.")
	}
	return l, nil
}

// readLimit reads a number or "unlimited".
func readLimit(v cty.Value) (uint64, error) {
	if !v.IsNull() && v.Type() == cty.String && v.AsString() == "unlimited" {
		return unix.RLIM_INFINITY, nil
	}
	v, err := convertPrimitive(v, cty.Number, `a number or "unlimited"`)
	if err != nil {
		return 0, err
	}
	f := v.AsBigFloat()
	n, _ := f.Uint64() // the returned accuracy is wrong for fractions
	switch {
	case f.Sign() < 0:
		return 0, invalid(`The number must not be negative. Write "unlimited" for no limit.`)
	case f.Cmp(big.NewFloat(1<<63)) >= 0:
		return 0, invalid(`The number is too large. Write "unlimited" for no limit.`)
	case !f.IsInt():
		return 0, invalid("The number must be an integer.")
	}
	return n, nil
}
