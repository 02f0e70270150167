package hclconfig

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/json"
)

const includeDoc = "Paths or patterns of more files, relative to the file with the attribute. A " +
	"path must exist; a pattern may match no file. These files can include other files."

var includeAttribute = sync.OnceValue(func() *attribute[[]string] {
	a := field("include", func(paths *[]string) *[]string { return paths },
		stringsKind, `["conf.d/*.hcl"]`, includeDoc)
	return &a
})

// languageSchema has the attributes and blocks of a file that are not in [fileSchema].
func languageSchema() *hcl.BodySchema {
	return &hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{{Name: includeAttribute().name}},
		Blocks: []hcl.BlockHeaderSchema{
			childSchema().header(),
			{Type: "variable", LabelNames: []string{"name"}},
			{Type: "locals"},
		},
	}
}

// open parses a file and the files that it includes. chain has the ids of the files through which
// this file is included.
func (d *decoder) open(name string, src []byte, chain []string) hcl.Diagnostics {
	id := fileID(name)
	if slices.Contains(chain, id) {
		return nil // includePattern reports the cycle
	}
	s, diags := d.parseSource(name, src)
	if diags.HasErrors() {
		return diags
	}
	d.opened[id] = true
	d.files = append(d.files, s)
	return d.include(s, append(slices.Clip(chain), id))
}

// parseSource parses a file and adds it to the sources that faults refer to.
func (d *decoder) parseSource(name string, src []byte) (*source, hcl.Diagnostics) {
	src = withoutMarks(src)
	s := &source{name: name, src: src}
	s.json = isJSON(name) || IsDescriptor(name) && looksLikeJSON(src)
	d.sources = append(d.sources, s)
	if d.total += len(src); d.total > maxFile {
		d.total = 0 // report it once
		return nil, hcl.Diagnostics{fault(fileRange(name), "Configuration too large",
			"With this file, the configuration has more than %d MiB in total.", maxFile>>20)}
	}
	if d.tokens += countTokens(src); d.tokens > maxTokens {
		d.tokens = 0 // report it once
		return nil, hcl.Diagnostics{fault(fileRange(name), "Configuration too large",
			"With this file, the configuration has more than %d words and symbols in total.",
			maxTokens)}
	}
	checkSyntax := checkShape
	if s.json {
		checkSyntax = checkJSON
	}
	for _, check := range []func([]byte, string) *hcl.Diagnostic{checkText, checkSyntax} {
		if d := check(src, name); d != nil {
			return nil, hcl.Diagnostics{d}
		}
	}
	var diags hcl.Diagnostics
	if s.json {
		s.file, diags = json.Parse(src, name)
	} else {
		s.file, diags = hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	}
	if diags.HasErrors() && !s.json {
		if d := foreignFormat(name, src); d != nil {
			return s, hcl.Diagnostics{d}
		}
	}
	diags = withoutQuote(diags)
	hintAtTemplates(diags)
	return s, diags
}

// withoutMarks returns a file without the byte order mark at its start, and with the line ends of
// Unix, so that the lines of a heredoc have no carriage return.
func withoutMarks(src []byte) []byte {
	src = bytes.TrimPrefix(src, []byte("\ufeff"))
	return bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n"))
}

// looksLikeJSON reports whether a file without a name is JSON. HCL does not begin with a brace.
func looksLikeJSON(src []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(src, " \t\n"), []byte("{"))
}

// fileID returns the path of a file without symbolic links. It is the same for all its names.
func fileID(name string) string {
	abs, err := filepath.Abs(name)
	if err != nil {
		return name
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real
	}
	return abs
}

// include opens the files that a file includes.
func (d *decoder) include(s *source, chain []string) hcl.Diagnostics {
	content, _, _ := s.file.Body.PartialContent(&hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{{Name: includeAttribute().name}},
	})
	attr, ok := content.Attributes[includeAttribute().name]
	if !ok {
		return nil
	}
	set := newSetting(d, includeAttribute(), "", attr)
	var patterns []string
	ctx := &hcl.EvalContext{Functions: d.strict}
	if set.expr != nil {
		if place := refers(set.expr, "var", "local"); place != nil {
			return hcl.Diagnostics{fault(place, "Invalid reference in include",
				"`include` is evaluated before variables and locals. Use a function instead, "+
					"such as env(\"NAME\").")}
		}
	}
	if _, diags := evaluate(d, set, ctx, &patterns); diags.HasErrors() {
		return diags
	}
	var diags hcl.Diagnostics
	for i, pattern := range patterns {
		place := set.place
		if tuple, ok := set.expr.(*hclsyntax.TupleConsExpr); ok && i < len(tuple.Exprs) {
			place = tuple.Exprs[i].Range()
		}
		pattern = absolute(directoryOf(s.name), pattern)
		diags = append(diags, d.includePattern(pattern, &place, chain)...)
	}
	return diags
}

func (d *decoder) includePattern(pattern string, place *hcl.Range, chain []string) hcl.Diagnostics {
	paths, err := d.expand(pattern)
	if err != nil {
		return hcl.Diagnostics{fault(place, "Invalid include", "%v", err)}
	}
	var diags hcl.Diagnostics
	for _, path := range paths {
		id := fileID(path)
		if at := slices.Index(chain, id); at >= 0 {
			diags = diags.Append(fault(place, "Cycle of includes",
				"These files include each other: %s.",
				arrows(append(baseNames(chain[at:]), filepath.Base(path)))))
			continue
		}
		if d.opened[id] {
			continue // another pattern includes it
		}
		if len(d.sources) >= maxFiles {
			return diags.Append(fault(place, "Too many files",
				"A configuration must have at most %d files.", maxFiles))
		}
		d.opt.reportRead(path)
		src, err := d.opt.read(path)
		if err != nil {
			diags = diags.Append(fault(place, "Cannot read included file", "%v.", err))
			continue
		}
		diags = append(diags, d.open(path, src, chain)...)
	}
	return diags
}

func baseNames(chain []string) []string {
	var names []string
	for _, path := range chain {
		names = append(names, filepath.Base(path))
	}
	return names
}

// expand returns the sorted paths that match a pattern. A path without wildcards is returned as it
// is. [filepath.Glob] is not used: it has no limit of directories, and it matches hidden files,
// which are often copies that an editor made.
func (d *decoder) expand(pattern string) ([]string, error) {
	if !strings.ContainsAny(pattern, `*?[\`) {
		return []string{pattern}, nil
	}
	if _, err := filepath.Match(pattern, ""); err != nil {
		return nil, invalid("%s is not a valid pattern: a bracket is not closed.", quote(pattern))
	}
	paths := []string{"."}
	if filepath.IsAbs(pattern) {
		paths[0] = "/"
	}
	for _, part := range strings.Split(strings.Trim(pattern, "/"), "/") {
		var next []string
		for _, dir := range paths {
			names, err := d.matches(dir, part)
			if err != nil {
				return nil, err
			}
			for _, name := range names {
				next = append(next, filepath.Join(dir, name))
			}
		}
		paths = next
	}
	slices.Sort(paths)
	return paths, nil
}

// matches returns the names in a directory that match one element of a pattern.
func (d *decoder) matches(dir, part string) ([]string, error) {
	if !strings.ContainsAny(part, `*?[\`) {
		if _, err := os.Lstat(filepath.Join(dir, part)); err != nil {
			d.opt.reportRead(filepath.Join(dir, part)) // it can be created later
			return nil, nil
		}
		return []string{part}, nil
	}
	match := func(name string) bool {
		ok, _ := filepath.Match(part, name)
		return ok && (!strings.HasPrefix(name, ".") || strings.HasPrefix(part, "."))
	}
	if d.opt.OnList != nil {
		d.opt.OnList(dir, match)
	}
	all, err := d.opt.reader().Names(dir, maxEntries-d.entries)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, invalid("%v.", err)
	}
	if d.entries += len(all); d.entries > maxEntries {
		return nil, invalid("The patterns of a configuration must not read more than %d "+
			"directory entries.", maxEntries)
	}
	return slices.DeleteFunc(all, func(name string) bool { return !match(name) }), nil
}
