// Package settings finds out what a program was told: the environment wins over the file, the file
// over the defaults.
package settings

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Setting is one value that a program can be told from outside.
type Setting struct {
	Name    string // of the environment variable
	Key     string // in the configuration file
	Default string // empty where there is none: then the setting has to be given
	Value
}

// Value says which texts are right for a setting and takes them over.
type Value struct {
	Want string                 // what would be right, to follow "want "
	Set  func(text string) bool // false if text is not right
}

// Whole is a whole number from least to most, both included.
func Whole(target *int, least, most int) Value {
	return Value{
		Want: fmt.Sprintf("a whole number from %d to %d", least, most),
		Set: func(text string) (ok bool) {
			number, err := strconv.Atoi(text)
			return take(target, number, err == nil && least <= number && number <= most)
		},
	}
}

// Duration is a time with its unit from least to most, both included.
func Duration(target *time.Duration, least, most time.Duration) Value {
	return Value{
		Want: fmt.Sprintf("a time with its unit from %v to %v, such as 1500ms or 5s", least, most),
		Set: func(text string) bool {
			duration, err := time.ParseDuration(text)
			return take(target, duration, err == nil && least <= duration && duration <= most)
		},
	}
}

// Choice is one of names, written in whatever case; target gets it as it stands in names.
func Choice(target *string, names []string) Value {
	return Value{
		Want: "one of " + strings.Join(names, ", "),
		Set: func(text string) bool {
			i := slices.IndexFunc(names, func(name string) bool {
				return strings.EqualFold(name, text)
			})
			return i >= 0 && take(target, names[i], true)
		},
	}
}

// Text is any text that fits, and want says in words which do.
func Text(target *string, want string, fits func(string) bool) Value {
	return Value{Want: want, Set: func(text string) bool { return take(target, text, fits(text)) }}
}

func take[T any](target *T, value T, ok bool) bool {
	if ok {
		*target = value
	}
	return ok
}

// Read gives every setting of table its value: from env (as os.LookupEnv), else from the values of
// the file called fileName, else its default. Space around a value does not count, and an empty
// value is as good as none, so that `NAME=${NAME}` in a compose file means nothing where NAME is
// not set. What is wrong comes back all at once, in the order of the table; each error names the
// setting, where the value came from and what would be right.
func Read(table []Setting, env func(string) (string, bool), fileName string,
	file map[string]string) (faults []error) {
	for _, s := range table {
		fromEnv, _ := env(s.Name)
		name, from, text := s.Name, "the environment", strings.TrimSpace(fromEnv)
		if text == "" {
			name, from, text = s.Key, fileName, strings.TrimSpace(file[s.Key])
		}
		if text == "" {
			name, from, text = s.Name, "the defaults", s.Default
		}
		switch {
		case text == "":
			faults = append(faults,
				fmt.Errorf("%s is not set, in the environment or as %s in %s: want %s",
					s.Name, s.Key, fileName, s.Want))
		case !s.Set(text):
			faults = append(faults, fmt.Errorf("%s=%s from %s: want %s", name, text, from, s.Want))
		}
	}
	return faults
}
