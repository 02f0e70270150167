// Package similar finds the name that was probably meant by one that does not exist.
package similar

import (
	"fmt"
	"strings"

	"github.com/agext/levenshtein"
)

// Name returns the name that is most similar to a given one, or "" if none is similar. Of two
// that are equally similar, the one that begins as the given one does is returned.
func Name(given string, names []string) (best string) {
	const most = 64 // bytes; the comparison takes the square
	distance := 3
	if len(given) > most {
		return ""
	}
	for _, name := range names {
		d := levenshtein.Distance(given, name, nil)
		begins := best != "" && best[0] != given[0] && name != "" && name[0] == given[0]
		if d < len(given) && (d < distance || d == distance && begins) {
			best, distance = name, d
		}
	}
	if best == "" && len(given) > 2 {
		for _, name := range names {
			if strings.HasPrefix(name, given) {
				return name
			}
		}
	}
	return best
}

// Question returns a sentence that asks for what was meant, or "".
func Question(meant string) string {
	if meant == "" {
		return ""
	}
	return fmt.Sprintf(". Did you mean %s?", meant)
}
