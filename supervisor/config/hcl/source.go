package hclconfig

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/json"
)

const includeDoc = "Paths or patterns of more files, relative to the file with the attribute. A " +
	"path must exist; a pattern may match no file. These files can include other files."

var includeAttribute = field("include", func(paths *[]string) *[]string { return paths },
	stringsKind, `["conf.d/*.hcl"]`, includeDoc)

// languageSchema is what a file has besides the [fileSchema].
func languageSchema() *hcl.BodySchema {
	return &hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{{Name: includeAttribute.name}},
		Blocks:     []hcl.BlockHeaderSchema{childSchema.header(), {Type: "variable", LabelNames: []string{"name"}}, {Type: "locals"}},
	}
}

// open parses a file and those it includes. The chain is how it was come by.
func (d *decoder) open(name string, src []byte, chain []string) hcl.Diagnostics {
	id := fileID(name)
	if slices.Contains(chain, id) {
		return nil // the caller tells
	}
	s, diags := d.parseSource(name, src)
	if diags.HasErrors() {
		return diags
	}
	d.opened[id] = true
	d.files = append(d.files, s)
	return d.include(s, append(slices.Clip(chain), id))
}

// parseSource makes a file one that faults can point into.
func (d *decoder) parseSource(name string, src []byte) (*source, hcl.Diagnostics) {
	s := &source{name: name, src: src}
	d.sources = append(d.sources, s)
	if d.total += len(src); d.total > maxFile {
		d.total = 0 // said once
		return nil, hcl.Diagnostics{fault(fileRange(name), "Too large",
			"With this file the configuration is larger than %d MiB.", maxFile>>20)}
	}
	shape, parser := checkShape, func() (*hcl.File, hcl.Diagnostics) { return hclsyntax.ParseConfig(src, name, hcl.InitialPos) }
	if isJSON(name) {
		shape, parser = checkJSON, func() (*hcl.File, hcl.Diagnostics) { return json.Parse(src, name) }
	}
	for _, check := range []func([]byte, string) *hcl.Diagnostic{checkText, shape} {
		if d := check(src, name); d != nil {
			return nil, hcl.Diagnostics{d}
		}
	}
	file, diags := parser()
	s.file = file
	return s, diags
}

// fileID tells files apart, however they are named.
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

// include opens what a file includes.
func (d *decoder) include(s *source, chain []string) hcl.Diagnostics {
	content, _, _ := s.file.Body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: includeAttribute.name}}})
	attr, ok := content.Attributes[includeAttribute.name]
	if !ok {
		return nil
	}
	set := newSetting(d, &includeAttribute, "", attr)
	var patterns []string
	ctx := &hcl.EvalContext{Functions: d.strict}
	if set.expr != nil {
		if place := refers(set.expr, "var", "local"); place != nil {
			return hcl.Diagnostics{fault(place, "No variables here",
				"The files are read before variables and locals are known. A path may have "+
					"env(…) in it.")}
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
		diags = append(diags, d.includePattern(absolute(filepath.Dir(s.name), pattern), &place, chain)...)
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
			diags = diags.Append(fault(place, "Files include each other",
				"%s.", arrows(append(shortened(chain[at:]), filepath.Base(path)))))
			continue
		}
		if d.opened[id] {
			continue // by another pattern
		}
		if len(d.sources) >= maxFiles {
			return diags.Append(fault(place, "Too many files",
				"A configuration may have %d files.", maxFiles))
		}
		d.opt.saw(path)
		src, err := d.opt.read(path)
		if err != nil {
			diags = diags.Append(fault(place, "Cannot include a file", "%v.", err))
			continue
		}
		diags = append(diags, d.open(path, src, chain)...)
	}
	return diags
}

func shortened(chain []string) []string {
	var names []string
	for _, path := range chain {
		names = append(names, filepath.Base(path))
	}
	return names
}

// expand returns the files that a pattern matches, sorted; of a path without
// wildcards that is the path. [filepath.Glob] would go through any number of
// directories, and hidden files are editors' copies more often than not.
func (d *decoder) expand(pattern string) ([]string, error) {
	if !strings.ContainsAny(pattern, `*?[\`) {
		return []string{pattern}, nil
	}
	if _, err := filepath.Match(pattern, ""); err != nil {
		return nil, invalid("%s is not a pattern: a bracket is not closed.", quote(pattern))
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

// matches are the names in a directory that match one part of a pattern.
func (d *decoder) matches(dir, part string) ([]string, error) {
	if !strings.ContainsAny(part, `*?[\`) {
		if _, err := os.Lstat(filepath.Join(dir, part)); err != nil {
			d.opt.saw(filepath.Join(dir, part)) // it may come
			return nil, nil
		}
		return []string{part}, nil
	}
	counts := func(name string) bool {
		ok, _ := filepath.Match(part, name)
		return ok && (!strings.HasPrefix(name, ".") || strings.HasPrefix(part, "."))
	}
	if d.opt.OnList != nil {
		d.opt.OnList(dir, counts)
	}
	all, err := d.opt.reader().Names(dir, maxEntries-d.entries)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, invalid("%v.", err)
	}
	if d.entries += len(all); d.entries > maxEntries {
		return nil, invalid("The pattern goes through more than %d files.", maxEntries)
	}
	return slices.DeleteFunc(all, func(name string) bool { return !counts(name) }), nil
}
