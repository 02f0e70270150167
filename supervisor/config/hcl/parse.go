// Package hclconfig reads supervisor.hcl into the values of package config. It reports all
// faults of a file at once. It is the only package that imports HCL.
package hclconfig

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"tp0/supervisor/config"
)

// Load reads the file at path and returns its configuration, which is valid. If the content has
// faults, the error is a [*Faults] with all of them. If the file cannot be read, is larger than
// 4 MiB or is not a regular file, the error has another type. Load does not block, also not on a
// FIFO, with one exception: it reads a [Stream] to its end.
func Load(path string, opt Options) (*config.Config, error) {
	opt.prepare()
	opt.reportRead(path)
	src, err := opt.read(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read configuration: %w", err)
	}
	return Parse(src, path, opt)
}

// Parse returns the configuration in src. The faults and Config.Path use filename. If src has
// faults, the error is a [*Faults] with all of them. If the syntax has faults, Parse reports only
// these, because it cannot interpret the rest of the file. A missing command, directory or
// environment variable of the machine is a fault too, unless opt.Only excludes the child that needs
// it. Strings are in the Unicode form NFC, as HCL returns them.
func Parse(src []byte, filename string, opt Options) (c *config.Config, err error) {
	// A panic in the parser must not end a supervisor with running children.
	defer func() {
		if r := recover(); r != nil {
			c, err = nil, fmt.Errorf("cannot parse %s: internal fault: %v", filename, r)
		}
	}()
	return parse(src, filename, opt)
}

func parse(src []byte, filename string, opt Options) (*config.Config, error) {
	if len(src) > maxFile {
		return nil, fmt.Errorf("cannot parse %s: it is larger than %d MiB", filename, maxFile>>20)
	}
	path, err := filepath.Abs(filename)
	if err != nil {
		return nil, fmt.Errorf("cannot parse %s: %w", filename, err)
	}
	wd, err := filepath.Abs(".")
	if err != nil {
		return nil, fmt.Errorf("cannot parse %s: %w", filename, err)
	}
	opt.prepare()
	d := newDecoder(opt, wd)
	diags := d.open(filename, src, nil)
	more, err := d.openVarFiles()
	if err != nil {
		return nil, err
	}
	if diags = append(diags, more...); diags.HasErrors() {
		return nil, newFaults(d.sources, diags)
	}
	c, diags := d.decode()
	for _, s := range d.sources {
		diags = append(diags, leadingZeros(s, diags)...)
	}
	if diags.HasErrors() {
		diags = slices.DeleteFunc(diags, func(d *hcl.Diagnostic) bool {
			return d.Severity == hcl.DiagWarning
		})
		return nil, newFaults(d.sources, diags)
	}
	diags = append(diags, opt.doubtWarnings()...)
	if len(diags) > 0 && opt.OnWarnings != nil {
		opt.OnWarnings(newFaults(d.sources, diags))
	}
	c.Path = path
	return c, nil
}

func (d *decoder) decode() (*config.Config, hcl.Diagnostics) {
	c := defaultConfig()
	var settings []setting[config.Config]
	var diags hcl.Diagnostics
	others := map[string]hcl.Blocks{} // by type
	first := map[string]hcl.Range{}
	for _, s := range d.files {
		set, rest, more := bind(d, s.file.Body, fileSchema(), "", first, languageSchema())
		settings = append(settings, set...)
		diags = append(diags, more...)
		for _, b := range rest {
			others[b.Type] = append(others[b.Type], b)
		}
	}
	blocks := others[childSchema().name]
	if len(blocks) == 0 && !diags.HasErrors() { // a misspelt block is already reported
		diags = diags.Append(fault(d.files[0].file.Body.MissingItemRange().Ptr(), "No child",
			`The file must have at least one child block, such as child "server" { command = `+
				`"server" }.`))
	}
	diags = append(diags, d.decodeVariables(others["variable"])...)
	diags = append(diags, d.decodeLocals(others["locals"])...)
	ctx := d.context(d.strict)
	failed := map[string]bool{}
	for _, s := range settings {
		ok, more := evaluate(d, s, ctx, c)
		failed[s.path] = !ok
		diags = append(diags, more...)
		if ok && s.path == "control.group" {
			diags = append(diags, d.findGroup(&c.Control, s.place)...)
		}
	}
	children, more := d.decodeHeaders(blocks)
	diags = append(diags, more...)
	diags = append(diags, d.only(children)...)
	markLate(children)
	for _, b := range children {
		diags = append(diags, d.decodeListen(b)...)
		diags = append(diags, d.decodeInstances(b)...)
	}
	diags = append(diags, checkListen(children)...)
	diags = append(diags, checkCompletion(children)...)
	diags = append(diags, checkRotation(children)...)
	kept := slices.DeleteFunc(slices.Clone(children),
		func(c *childBlock) bool { return c.excluded })
	diags = append(diags, d.checkDescriptors(kept)...)
	c.Shutdown.Reserve = config.Reserve(c.Shutdown.Deadline)
	if !failed["shutdown.deadline"] && acyclic(kept) {
		diags = append(diags, shareDeadline(kept, c.Shutdown)...)
	}
	for _, b := range kept {
		c.Children = append(c.Children, b.child())
	}
	return c, diags
}
