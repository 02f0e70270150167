package hclconfig

import (
	"maps"
	"math"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// library has the functions of the language except env, with the names of Nomad. They do not read
// files, the network or the time, so that the meaning of a file does not depend on when it is read.
var library = sync.OnceValue(func() map[string]function.Function {
	return map[string]function.Function{
		"abs":             stdlib.AbsoluteFunc,
		"ceil":            stdlib.CeilFunc,
		"floor":           stdlib.FloorFunc,
		"max":             stdlib.MaxFunc,
		"min":             stdlib.MinFunc,
		"parseint":        stdlib.ParseIntFunc,
		"signum":          stdlib.SignumFunc,
		"chomp":           stdlib.ChompFunc,
		"format":          stdlib.FormatFunc,
		"formatlist":      stdlib.FormatListFunc,
		"indent":          stdlib.IndentFunc,
		"join":            stdlib.JoinFunc,
		"lower":           stdlib.LowerFunc,
		"regex":           stdlib.RegexFunc,
		"regex_replace":   stdlib.RegexReplaceFunc,
		"regexall":        stdlib.RegexAllFunc,
		"replace":         stdlib.ReplaceFunc,
		"split":           stdlib.SplitFunc,
		"strlen":          stdlib.StrlenFunc,
		"strrev":          stdlib.ReverseFunc,
		"substr":          stdlib.SubstrFunc,
		"title":           stdlib.TitleFunc,
		"trim":            stdlib.TrimFunc,
		"trimprefix":      stdlib.TrimPrefixFunc,
		"trimspace":       stdlib.TrimSpaceFunc,
		"trimsuffix":      stdlib.TrimSuffixFunc,
		"upper":           stdlib.UpperFunc,
		"chunklist":       stdlib.ChunklistFunc,
		"coalesce":        stdlib.CoalesceFunc,
		"coalescelist":    stdlib.CoalesceListFunc,
		"compact":         stdlib.CompactFunc,
		"concat":          stdlib.ConcatFunc,
		"contains":        stdlib.ContainsFunc,
		"distinct":        stdlib.DistinctFunc,
		"element":         stdlib.ElementFunc,
		"flatten":         stdlib.FlattenFunc,
		"keys":            stdlib.KeysFunc,
		"length":          lengthFunction,
		"lookup":          stdlib.LookupFunc,
		"merge":           stdlib.MergeFunc,
		"range":           stdlib.RangeFunc,
		"reverse":         stdlib.ReverseListFunc,
		"setintersection": stdlib.SetIntersectionFunc,
		"setproduct":      stdlib.SetProductFunc,
		"setsubtract":     stdlib.SetSubtractFunc,
		"setunion":        stdlib.SetUnionFunc,
		"slice":           stdlib.SliceFunc,
		"sort":            stdlib.SortFunc,
		"values":          stdlib.ValuesFunc,
		"zipmap":          stdlib.ZipmapFunc,
		"jsondecode":      stdlib.JSONDecodeFunc,
		"jsonencode":      stdlib.JSONEncodeFunc,
		"tobool":          stdlib.MakeToFunc(cty.Bool),
		"tolist":          stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType)),
		"tomap":           stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType)),
		"tonumber":        stdlib.MakeToFunc(cty.Number),
		"toset":           stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)),
		"tostring":        stdlib.MakeToFunc(cty.String),
	}
})

// lengthFunction is Terraform's length, which also takes strings and objects.
var lengthFunction = function.New(&function.Spec{
	Params: []function.Parameter{
		{Name: "value", Type: cty.DynamicPseudoType, AllowDynamicType: true},
	},
	Type: func(args []cty.Value) (cty.Type, error) {
		if t := args[0].Type(); t == cty.String || t == cty.DynamicPseudoType || t.IsObjectType() {
			return cty.Number, nil
		}
		return stdlib.LengthFunc.ReturnTypeForValues(args)
	},
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		switch t := args[0].Type(); {
		case t == cty.String:
			return stdlib.Strlen(args[0])
		case t.IsObjectType():
			return cty.NumberIntVal(int64(len(t.AttributeTypes()))), nil
		}
		return stdlib.Length(args[0])
	},
})

// costs returns the steps of the functions whose work or result can be larger than their arguments.
// The arguments are already counted. stdlib limits range to 1024 elements.
var costs = sync.OnceValue(func() map[string]func(args []cty.Value) float64 {
	return map[string]func(args []cty.Value) float64{
		"distinct": square,
		"format":   formats,
		"formatlist": func(args []cty.Value) float64 {
			return formats(args) * float64(longestList(args))
		},
		"indent": func(args []cty.Value) float64 {
			return magnitude(args, 0) * float64(1+strings.Count(textOf(args, 1), "\n")) / 8
		},
		"join": func(args []cty.Value) float64 {
			return float64(len(textOf(args, 0))) * sizeOf(args).elements / 8
		},
		"jsondecode": func(args []cty.Value) float64 { return jsonCost(textOf(args, 0)) },
		"parseint": func(args []cty.Value) float64 {
			return math.Pow(float64(len(textOf(args, 0))), 2) / 64
		},
		"regex": func(args []cty.Value) float64 {
			return regexCost(textOf(args, 0), textOf(args, 1))
		},
		"regexall": func(args []cty.Value) float64 {
			return regexAllCost(textOf(args, 0), textOf(args, 1))
		},
		"regex_replace": regexReplaceCost,
		"replace": func(args []cty.Value) float64 {
			matches := strings.Count(textOf(args, 0), textOf(args, 1))
			return float64(matches) * float64(8+len(textOf(args, 2))) / 8
		},
		"setintersection": buckets,
		"setproduct":      product,
		"setsubtract":     buckets,
		"setunion":        buckets,
		"split":           func(args []cty.Value) float64 { return float64(len(textOf(args, 1))) },
		"toset":           buckets,
		// For each byte of the string, trim can search the whole cutset.
		"trim": func(args []cty.Value) float64 {
			return float64(len(textOf(args, 0))) * float64(len(textOf(args, 1))) / 8
		},
	}
})

// bound returns a function that fails if it takes too many steps. It counts the steps before stdlib
// computes the type of the result, which can take as long as the result itself.
func (m *evaluation) bound(name string, f function.Function) function.Function {
	cost := costs()[name]
	return function.New(&function.Spec{
		Params:   f.Params(),
		VarParam: f.VarParam(),
		Type: func(args []cty.Value) (cty.Type, error) {
			m.steps++
			if cost != nil {
				m.steps += cost(unmarked(args))
			}
			if m.over() {
				return cty.NilType, errOver
			}
			return f.ReturnTypeForValues(args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			v, err := f.Call(args)
			if err != nil {
				return v, err
			}
			return v, m.charge(v)
		},
	})
}

// unmarked returns values without their marks. Some functions take marked arguments.
func unmarked(values []cty.Value) []cty.Value {
	plain := make([]cty.Value, len(values))
	for i, v := range values {
		plain[i], _ = v.UnmarkDeep()
	}
	return plain
}

// isKnown reports whether argument i has a value of a type.
func isKnown(args []cty.Value, i int, t cty.Type) bool {
	return i < len(args) && args[i].IsKnown() && !args[i].IsNull() && args[i].Type() == t
}

// textOf returns argument i if it is a string, else an empty string.
func textOf(args []cty.Value, i int) string {
	if !isKnown(args, i, cty.String) {
		return ""
	}
	return args[i].AsString()
}

// magnitude returns the absolute value of argument i if it is a number, else 0.
func magnitude(args []cty.Value, i int) float64 {
	if !isKnown(args, i, cty.Number) {
		return 0
	}
	f, _ := args[i].AsBigFloat().Float64()
	return math.Abs(f)
}

func sizeOf(args []cty.Value) valueSize {
	var s valueSize
	for _, v := range args {
		s.add(v, maxWork)
	}
	return s
}

// longestList returns the length of the longest list in the arguments, at least 1.
func longestList(args []cty.Value) int {
	n := 1
	for _, v := range args {
		if v.IsKnown() && !v.IsNull() && v.CanIterateElements() {
			n = max(n, v.LengthInt())
		}
	}
	return n
}

func square(args []cty.Value) float64 {
	s := sizeOf(args)
	return s.elements * (s.elements + s.text) / 4
}

// buckets is the cost of a set. Its hash is a CRC, so a file can have many elements with the same
// hash, and each element is then compared with all elements before it.
func buckets(args []cty.Value) float64 {
	n := sizeOf(args).elements
	return n * n / 16
}

// product is the cost of a Cartesian product. It counts strings too, because a set hashes each
// combination.
func product(args []cty.Value) float64 {
	n, text := 1.0, 0.0
	for _, v := range args {
		of := longestList([]cty.Value{v})
		n *= float64(of)
		text += longestText(v)
	}
	return n * (float64(len(args)) + text)
}

// longestText returns the size of the largest element in steps.
func longestText(v cty.Value) (most float64) {
	if !v.IsKnown() || v.IsNull() || !v.CanIterateElements() {
		return 0
	}
	for it := v.ElementIterator(); it.Next(); {
		_, element := it.Element()
		s := sizeOf([]cty.Value{element})
		most = max(most, s.elements+s.text)
	}
	return most
}

// formats is the cost of a format. It assumes that each number is a width, and that each verb
// prints all arguments.
func formats(args []cty.Value) float64 {
	layout := textOf(args, 0)
	cost := 0.0
	for i := 0; i < len(layout); {
		n := digits(layout[i:])
		if width, err := strconv.ParseFloat(strings.Trim(layout[i:i+n], "+-._"), 64); err == nil {
			cost += width / 8
		}
		i += max(n, 1)
	}
	s := sizeOf(args)
	return cost + float64(strings.Count(layout, "%"))*(1+s.elements+s.text)
}

// regexCost is the length of the text times the size of the compiled pattern, in which repetitions
// are unrolled. RE2 never takes longer.
func regexCost(pattern, text string) float64 {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 1
	}
	return unrolled(re) * float64(16+len(text)) / 8
}

// regexAllCost is the cost of a search after each match. Each search can read the rest of the text.
func regexAllCost(pattern, text string) float64 {
	return regexCost(pattern, text) * (1 + float64(len(text))/16)
}

func regexReplaceCost(args []cty.Value) float64 {
	text, by := float64(len(textOf(args, 0))), float64(len(textOf(args, 2)))
	return regexAllCost(textOf(args, 1), textOf(args, 0)) + by*(2*text+1)/8
}

// jsonCost is infinite for a text that is nested too deeply, because the decoder of cty recurses.
func jsonCost(text string) float64 {
	if checkJSON([]byte(text), "") != nil {
		return math.Inf(1)
	}
	return float64(len(text))
}

// functionNames returns the names of all functions, with env first.
func functionNames() []string {
	return append([]string{"env", secretFunction}, slices.Sorted(maps.Keys(library()))...)
}
