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

// Difference is an attribute that has different values in two configurations. Old and New are
// texts for a person. Values of env can be secret, so for env Old has the names of the removed
// variables and New the names of the added and changed ones.
type Difference struct {
	Attribute string
	Old, New  string
	Restart   bool // the change replaces the process
}

// Differences returns the differences of the global attributes, and by name those of each
// instance that both configurations have.
func Differences(old, new *config.Config) (global []Difference, byName map[string][]Difference) {
	global = describe(globals, old, new)
	byName = map[string][]Difference{}
	before := instancesOf(old)
	for _, i := range instancesOf(new).list {
		previous := before.byName[i.Name]
		if previous == nil {
			continue
		}
		previous, i := withoutPaths(previous, i)
		// The attributes of Launch are those that differ if only Launch is replaced.
		relaunched := *previous.Instance
		relaunched.Launch = i.Launch
		restarts := differences(attributes(), previous,
			&instance{&relaunched, previous.dependsOn})
		all := describe(attributes(), previous, i)
		for at := range all {
			all[at].Restart = slices.Contains(restarts, all[at].Attribute)
		}
		if len(all) > 0 {
			byName[i.Name] = all
		}
	}
	return global, byName
}

func describe[T any](table []compared[T], a, b *T) []Difference {
	var all []Difference
	for _, c := range table {
		if c.same(a, b) {
			continue
		}
		d := Difference{Attribute: c.name, Old: formatValue(c.of(a)), New: formatValue(c.of(b))}
		if isSensitive(a, c.name) || isSensitive(b, c.name) {
			d.Old, d.New = sensitiveText, sensitiveText
		}
		if c.name == "env" {
			d.Old, d.New = changedNames(c.of(a).([]string), c.of(b).([]string))
		}
		all = append(all, d)
	}
	return all
}

// sensitiveText is shown in place of a sensitive value.
const sensitiveText = "(sensitive)"

// isSensitive reports whether an attribute of an instance has a sensitive value. Attributes outside
// of children cannot have one.
func isSensitive(of any, attribute string) bool {
	i, ok := of.(*instance)
	return ok && slices.Contains(i.Sensitive, attribute)
}

func formatValue(v any) string {
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
	case config.Hook:
		if !v.Set() {
			return "not given"
		}
		return "[" + quoted(v.Exec) + "]"
	case []string:
		return "[" + quoted(v) + "]"
	case [2]string: // a command, and the executable that it resolves to
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

// changedNames returns the names of the variables that only the old environment has, and the
// names of the variables that the new environment adds or changes.
func changedNames(old, new []string) (removed, set string) {
	names := func(list, without []string) []string {
		var all []string
		for _, entry := range list {
			if name, _, _ := strings.Cut(entry, "="); !slices.Contains(without, entry) {
				all = append(all, termtext.Escape(name))
			}
		}
		return all
	}
	after, before := names(new, old), names(old, new)
	before = slices.DeleteFunc(before, func(name string) bool {
		return slices.Contains(after, name)
	})
	return strings.Join(before, ", "), strings.Join(after, ", ")
}

// quoteValue returns s in quotes, cut to 64 columns.
func quoteValue(s string) string { return strconv.Quote(termtext.Cut(s, 64)) }
