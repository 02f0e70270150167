// Package settings reads the settings of a program. The environment overrides the file, and the
// file overrides the defaults.
package settings

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Setting is one setting of a program.
type Setting struct {
	Name    string // of the environment variable
	Key     string // in the configuration file
	Default string // empty if the setting is required
	Value
}

// Value parses and stores the value of a setting.
type Value struct {
	Want string                 // describes valid values; follows "want " in an error
	Set  func(text string) bool // returns false if text is invalid
}

// Whole is a whole number from least to most, inclusive.
func Whole(target *int, least, most int) Value {
	return Value{
		Want: fmt.Sprintf("a whole number from %d to %d", least, most),
		Set: func(text string) (ok bool) {
			number, err := strconv.Atoi(text)
			return take(target, number, err == nil && least <= number && number <= most)
		},
	}
}

// Duration is a time with a unit from least to most, inclusive.
func Duration(target *time.Duration, least, most time.Duration) Value {
	return Value{
		Want: fmt.Sprintf("a time with its unit from %v to %v, such as 1500ms or 5s", least, most),
		Set: func(text string) bool {
			duration, err := time.ParseDuration(text)
			return take(target, duration, err == nil && least <= duration && duration <= most)
		},
	}
}

// Choice is one of names, case-insensitive. target gets the spelling in names.
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

// Text is any text for which fits returns true. want describes these texts.
func Text(target *string, want string, fits func(string) bool) Value {
	return Value{Want: want, Set: func(text string) bool { return take(target, text, fits(text)) }}
}

func take[T any](target *T, value T, ok bool) bool {
	if ok {
		*target = value
	}
	return ok
}

// Read sets every setting of table: from env (as os.LookupEnv), else from the values of the file
// called fileName, else to its default. It trims spaces. An empty value counts as not set, so
// `NAME=${NAME}` in a compose file has no effect if NAME is not set. It returns all faults in the
// order of the table. Each one contains the setting, the source of the value and the valid values.
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
