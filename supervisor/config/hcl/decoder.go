package hclconfig

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"tp0/supervisor/envfile"
)

// decoder is the state of the decoding of a configuration.
type decoder struct {
	evaluation
	sourceFiles
	machineState
	opt   Options
	given []*hcl.Attribute     // of the files with values of variables
	vars  map[string]cty.Value // by name
	// locals has the locals by name.
	locals map[string]cty.Value
	scope  map[string]cty.Value // the objects var and local
	hints  int                  // the number of proposed names
	strict map[string]function.Function
	// lenient has the functions for children that --only excludes. A missing environment variable
	// is an unknown value there.
	lenient map[string]function.Function
}

// sourceFiles are the files of a configuration.
type sourceFiles struct {
	sources []*source // in the order of opening, with the files of variables
	files   []*source // without the files of variables
	opened  map[string]bool
	total   int // bytes of the sources
	tokens  int // of the sources, see countTokens
	entries int // directory entries that were read, see maxEntries
}

// machineState has what the configuration uses of the machine. It caches the results of lookups.
type machineState struct {
	wd           string            // the working directory
	environ      []string          // the supervisor's own, sorted, each name once
	env          map[string]string // the same
	commands     map[search]lookup
	ignored      map[string]bool         // entries of PATH that a warning has named
	remotes      map[string]bool         // results of [config.IsRemote]
	environments map[string]*environment // see environmentOf
	users        accounts                // nil if not yet read, or if there are none
	groups       accounts
	blocked      bool // a file system does not respond
}

// search is the key of a lookup of a command.
type search struct{ command, dir, path string }

// lookup is the result of a lookup of a command.
type lookup struct {
	path string
	err  error
}

// environment is the environment of a child without the attribute env. Variables of the user
// override those of the supervisor, and variables of env_file override both.
type environment struct {
	entries []string
	read    int // the number of variables from files
	faults  []string
}

func newDecoder(opt Options, wd string) *decoder {
	d := &decoder{opt: opt, sourceFiles: sourceFiles{opened: map[string]bool{}}}
	d.machineState = machineState{
		wd:           wd,
		env:          envfile.Map(opt.Environ),
		commands:     map[search]lookup{},
		ignored:      map[string]bool{},
		remotes:      map[string]bool{},
		environments: map[string]*environment{},
	}
	d.environ = slices.DeleteFunc(envfile.Assign(nil, d.env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return isOwnVariable(name)
	})
	d.strict, d.lenient = map[string]function.Function{}, map[string]function.Function{}
	for name, f := range library() {
		d.strict[name] = d.bound(name, f)
		d.lenient[name] = d.strict[name]
	}
	d.strict["env"], d.lenient["env"] = d.envFunction(false), d.envFunction(true)
	d.strict[secretFunction] = d.secretFunctionOf(false)
	d.lenient[secretFunction] = d.secretFunctionOf(true)
	return d
}

// variableEnv is the prefix of the environment variables with values of variables.
const variableEnv = envfile.VariablePrefix

// isOwnVariable reports whether a variable is for the supervisor: the sockets that were passed to
// it (sd_listen_fds(3)), and see [envfile.IsOwn]. Children do not get these variables.
func isOwnVariable(name string) bool {
	return name == "LISTEN_FDS" || name == "LISTEN_FDNAMES" || name == "LISTEN_PID" ||
		name == "LISTEN_PIDFDID" ||
		envfile.IsOwn(name)
}

// context returns the context in which expressions are evaluated.
func (d *decoder) context(functions map[string]function.Function) *hcl.EvalContext {
	return &hcl.EvalContext{Functions: functions, Variables: maps.Clone(d.scope)}
}

func (d *decoder) indexed(functions map[string]function.Function, index int) *hcl.EvalContext {
	ctx := d.context(functions)
	ctx.Variables["index"] = cty.NumberIntVal(int64(index))
	return ctx
}

// envFunction returns the function env(name, default).
func (d *decoder) envFunction(lenient bool) function.Function {
	return function.New(&function.Spec{
		Params:   []function.Parameter{{Name: "name", Type: cty.String}},
		VarParam: &function.Parameter{Name: "default", Type: cty.String},
		Type:     function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if len(args) > 2 {
				return cty.NilVal, function.NewArgErrorf(2,
					"env takes a name and at most one default")
			}
			name := args[0].AsString()
			if value, ok := d.env[name]; ok {
				return cty.StringVal(value), nil
			}
			switch {
			case len(args) == 2:
				return args[1], nil
			case lenient:
				return cty.UnknownVal(cty.String), nil
			}
			return cty.NilVal, function.NewArgErrorf(0,
				"the environment has no variable %s; to set a default write env(%s, \"…\")",
				quote(name), quote(name))
		},
	})
}

const maxSecret = 64 << 10 // bytes of a file that secret reads

// secretFunctionOf returns the function secret(path).
func (d *decoder) secretFunctionOf(lenient bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			path := args[0].AsString()
			if !filepath.IsAbs(path) {
				path = filepath.Join(d.wd, path)
			}
			d.opt.reportRead(path)
			src, err := d.opt.readAtMost(path, maxSecret)
			if err != nil && lenient {
				return cty.UnknownVal(cty.String), nil
			}
			if err != nil {
				return cty.NilVal, function.NewArgErrorf(0, "%v", err)
			}
			text := strings.TrimSuffix(strings.TrimSuffix(string(src), "\n"), "\r")
			value := cty.StringVal(text)
			if value.AsString() != text {
				return cty.NilVal, function.NewArgErrorf(0,
					"the content of %s is not a string in the Unicode form NFC", quote(path))
			}
			return value.Mark(sensitive), nil
		},
	})
}
