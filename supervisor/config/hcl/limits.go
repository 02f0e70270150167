package hclconfig

import (
	"maps"
	"math/big"
	"tp0/supervisor/config"

	"github.com/zclconf/go-cty/cty"
	"golang.org/x/sys/unix"
)

func limits() []attribute[childValues] {
	var list []attribute[childValues]
	for _, r := range config.Resources {
		list = append(list, attribute[childValues]{
			name: r.Name,
			doc:  r.Doc,
			get:  func(v *childValues) any { return nil },
			set: func(v *childValues, value cty.Value) error {
				limit, err := rlimit(value)
				if err != nil {
					return err
				}
				all := maps.Clone(v.launch.Attributes.Limits) // other instances have the same map
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

func rlimit(v cty.Value) (l unix.Rlimit, err error) {
	if v.IsNull() || !v.Type().IsObjectType() {
		l.Cur, err = bound(v)
		l.Max = l.Cur
		return l, err
	}
	if err := members(v, "soft", "hard"); err != nil {
		return l, err
	}
	if l.Cur, err = bound(v.GetAttr("soft")); err != nil {
		return l, err
	}
	if l.Max, err = bound(v.GetAttr("hard")); err != nil {
		return l, err
	}
	if l.Cur > l.Max { // unlimited is the largest of all
		return l, wrong("The soft limit is above the hard one.")
	}
	return l, nil
}

// bound reads a number or "unlimited".
func bound(v cty.Value) (uint64, error) {
	const what = `a number or "unlimited"`
	if !v.IsNull() && v.Type() == cty.String && v.AsString() == "unlimited" {
		return unix.RLIM_INFINITY, nil
	}
	v, err := primitive(v, cty.Number, what)
	if err != nil {
		return 0, err
	}
	f := v.AsBigFloat()
	n, _ := f.Uint64() // its accuracy is wrong for fractions
	switch {
	case f.Sign() < 0:
		return 0, wrong(`This must not be negative; no limit is "unlimited".`)
	case f.Cmp(big.NewFloat(1<<63)) >= 0:
		return 0, wrong(`This is too large; no limit is "unlimited".`)
	case !f.IsInt():
		return 0, wrong("A whole number is needed here.")
	}
	return n, nil
}
