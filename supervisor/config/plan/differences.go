package plan

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"tp0/supervisor/config"
	"tp0/supervisor/termtext"

	"golang.org/x/sys/unix"
)

// Difference is an attribute that two configurations do not have alike, in
// words for a person.
type Difference struct {
	Attribute string
	Old, New  string // of env only the names of what is gone, and of what is new or changed: values may be secret
	Restart   bool   // a run is made of it, so the change needs a new one
}

// Differences returns what differs of the globals, and of each instance that
// both configurations have.
func Differences(old, new *config.Config) (global []Difference, instances map[string][]Difference) {
	global = inDetail(globals, old, new)
	instances = map[string][]Difference{}
	was, is := placed(old), placed(new)
	for _, p := range is.list {
		before := was.byName[p.Name]
		if before == nil {
			continue
		}
		// What differs where only the launch is new is what the launch is made of.
		relaunched := *before.Instance
		relaunched.Launch = p.Launch
		restarts := differences(attributes, before, &place{&relaunched, before.dependsOn})
		all := inDetail(attributes, before, p)
		for i := range all {
			all[i].Restart = slices.Contains(restarts, all[i].Attribute)
		}
		if len(all) > 0 {
			instances[p.Name] = all
		}
	}
	return global, instances
}

func inDetail[T any](table []compared[T], a, b *T) []Difference {
	var all []Difference
	for _, c := range table {
		if c.same(a, b) {
			continue
		}
		d := Difference{Attribute: c.name, Old: inWords(c.of(a)), New: inWords(c.of(b))}
		if c.name == "env" {
			d.Old, d.New = changedNames(c.of(a).([]string), c.of(b).([]string))
		}
		all = append(all, d)
	}
	return all
}

func inWords(v any) string {
	switch v := v.(type) {
	case nil:
		return "not given"
	case time.Duration:
		return v.String()
	case syscall.Signal:
		if v == 0 {
			return "none"
		}
		if name := unix.SignalName(v); name != "" {
			return name
		}
		return fmt.Sprintf("signal %d", int(v))
	case []string:
		return "[" + quoted(v) + "]"
	case [2]string: // a command, and what it was resolved to
		return quoted(v[:])
	case [2]any:
		return fmt.Sprintf("%v, index %v", v[0], v[1])
	}
	if s := reflect.ValueOf(v); s.Kind() == reflect.String {
		if s.Len() == 0 {
			return "not given"
		}
		return quoteValue(s.String())
	}
	return termtext.Escape(fmt.Sprint(v))
}

func quoted(texts []string) string {
	words := make([]string, len(texts))
	for i, s := range texts {
		words[i] = quoteValue(s)
	}
	return strings.Join(words, ", ")
}

// changedNames returns the variables that only the old environment has, and
// those that only the new one has in this way.
func changedNames(old, new []string) (gone, set string) {
	names := func(list, without []string) []string {
		var all []string
		for _, entry := range list {
			if name, _, _ := strings.Cut(entry, "="); !slices.Contains(without, entry) {
				all = append(all, termtext.Escape(name))
			}
		}
		return all
	}
	now, before := names(new, old), names(old, new)
	before = slices.DeleteFunc(before, func(name string) bool { return slices.Contains(now, name) })
	return strings.Join(before, ", "), strings.Join(now, ", ")
}

// quoteValue returns a text in quotes, cut to a length that fits a line.
func quoteValue(s string) string { return strconv.Quote(termtext.Cut(s, 64)) }
