package hclconfig

import (
	"regexp"
	"sync"
)

// The schemas, tables and regular expressions of this package are made at their first use, with
// [sync.OnceValue]. They take 80 pages of memory, and exec and the start verb never need them.

// lazyPattern returns a function that compiles a regular expression at its first call.
func lazyPattern(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
