package hclconfig

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// local is an attribute of a locals block.
type local struct {
	name  string
	place hcl.Range // of the name
	expr  hclsyntax.Expression
	value cty.Value
	// depth is the position in the path of a visit, from 1. It is 0 before the visit.
	depth int
}

// decodeLocals evaluates the locals. Each local is evaluated after the locals that it refers to.
func (d *decoder) decodeLocals(blocks hcl.Blocks) hcl.Diagnostics {
	locals, diags := d.collectLocals(blocks)
	w := localWalk{decoder: d, byName: map[string]*local{}}
	d.locals = map[string]cty.Value{}
	for _, l := range locals {
		w.byName[l.name] = l
		d.locals[l.name] = cty.DynamicVal
	}
	d.scope["local"] = cty.ObjectVal(d.locals) // checkReferences needs the names
	for _, l := range locals {
		if l.depth == 0 {
			diags = append(diags, w.visit(l)...)
		}
	}
	for _, l := range locals {
		d.locals[l.name] = l.value
	}
	d.scope["local"] = cty.ObjectVal(d.locals)
	return diags
}

func (d *decoder) collectLocals(blocks hcl.Blocks) ([]*local, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	var locals []*local
	first := map[string]hcl.Range{}
	for _, b := range blocks {
		attrs, more := b.Body.JustAttributes()
		diags = append(diags, more...)
		for _, attr := range attrs {
			if before, duplicate := first[attr.Name]; duplicate {
				diags = diags.Append(fault(&attr.NameRange, "Duplicate local",
					"The local %s is already defined in %s.", quote(attr.Name),
					lineOf(before, attr.NameRange)))
				continue
			}
			if len(locals) == maxLocals {
				return locals, diags.Append(fault(&attr.NameRange, "Too many locals",
					"A configuration must have at most %d locals.", maxLocals))
			}
			first[attr.Name] = attr.NameRange
			l := &local{name: attr.Name, place: attr.NameRange, value: cty.DynamicVal}
			l.expr, more = native(attr.Expr)
			if !more.HasErrors() {
				more = d.prepare(l.expr)
			}
			if more.HasErrors() {
				l.depth = done
				diags = append(diags, more...)
			}
			locals = append(locals, l)
		}
	}
	slices.SortStableFunc(locals, func(a, b *local) int { return strings.Compare(a.name, b.name) })
	return locals, diags
}

// done is the depth of a local after its visit.
const done = -1

// localWalk evaluates locals recursively, along their references.
type localWalk struct {
	*decoder
	byName map[string]*local
	path   []*local
}

func (w *localWalk) visit(l *local) hcl.Diagnostics {
	w.path = append(w.path, l)
	l.depth = len(w.path)
	defer func() {
		w.path = w.path[:len(w.path)-1]
		l.depth = done
	}()
	var diags hcl.Diagnostics
	needs := map[string]cty.Value{}
	for _, traversal := range l.expr.Variables() {
		place := traversal.SourceRange()
		name, ok := referredName(traversal)
		switch {
		case traversal.RootName() == "index":
			diags = diags.Append(fault(&place, "Invalid use of index",
				"`index` differs between instances, but a local has one value for all of them."))
			continue
		case traversal.RootName() != "local":
			continue
		case !ok:
			diags = diags.Append(fault(&place, "Invalid reference",
				"A reference to a local must contain its name, as in local.name."))
			continue
		}
		dep := w.byName[name]
		if dep == nil {
			continue // value reports it
		}
		if dep.depth == 0 {
			diags = append(diags, w.visit(dep)...)
		}
		if dep.depth > 0 {
			diags = diags.Append(fault(&place, "Cycle of locals",
				"%s", cycle(w.path[dep.depth-1:], dep)))
		}
		needs[name] = dep.value
	}
	if diags.HasErrors() {
		return diags
	}
	ctx := w.context(w.strict)
	if len(needs) > 0 {
		ctx.Variables["local"] = cty.ObjectVal(needs)
	}
	v, more := w.value(l.expr, l.expr.Range(), ctx)
	l.value = v
	return more
}

func cycle(path []*local, first *local) string {
	if len(path) == 1 {
		return "The local refers to itself."
	}
	var names []string
	for _, l := range path {
		names = append(names, l.name)
	}
	return "These locals refer to each other: " + arrows(append(names, first.name)) + "."
}
