package hclconfig

import (
	"github.com/zclconf/go-cty/cty"

	"tp0/supervisor/config"
)

var dependenciesKind = kind[[]config.Dependency]{
	"list of strings and objects", "names of children; objects with `child` and `until`",
	readDependencies,
}

func readDependencies(v cty.Value) ([]config.Dependency, error) {
	if !isList(v) {
		return nil, wrongType(
			`a list, such as ["db", { child = "migrate", until = "completed" }]`, v)
	}
	var list []config.Dependency
	for _, element := range v.Elements() {
		d, err := readDependency(element)
		if err != nil {
			return nil, &elementError{index: len(list), err: err}
		}
		list = append(list, d)
	}
	return list, nil
}

func untilKind() kind[config.Until] {
	return oneOf(config.UntilStarted, config.UntilReady, config.UntilCompleted)
}

func readDependency(v cty.Value) (d config.Dependency, err error) {
	if v.IsNull() || !(v.Type().IsObjectType() || v.Type().IsMapType()) {
		d.Child, err = readText(v)
		return d, err
	}
	for name, value := range v.Elements() {
		switch key := name.AsString(); key {
		case "child":
			d.Child, err = readText(value)
		case "until":
			d.Until, err = untilKind().read(value)
		default:
			err = invalid("%s is not one of \"child\" and \"until\".%s", quote(key),
				didYouMean(key, []string{"child", "until"}))
		}
		if err != nil {
			return d, err
		}
	}
	if d.Child == "" {
		return d, invalid(
			`The object has no child. An example is { child = "db", until = "started" }.`)
	}
	return d, nil
}

// markLate marks the children that start after a oneshot: those that depend on one, directly or
// not. A oneshot that does not run makes nothing.
func markLate(children []*childBlock) {
	visited := map[*childBlock]bool{}
	var visit func(*childBlock)
	visit = func(c *childBlock) {
		if visited[c] {
			return // or it is part of a cycle, which is a fault
		}
		visited[c] = true
		for _, dep := range c.dependsOn {
			visit(dep.to)
			runs := !dep.to.excluded && len(dep.to.numbers) > 0
			c.late = c.late || runs && (dep.to.values.policy.Oneshot || dep.to.late)
		}
	}
	for _, c := range children {
		visit(c)
	}
}
