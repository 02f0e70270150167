package hclconfig

import (
	"github.com/zclconf/go-cty/cty"

	"tp0/supervisor/findings"
)

// maxPatterns is the largest number of patterns in an attribute `allow`.
const maxPatterns = 256

var patternsKind = kind[[]findings.Pattern]{
	"list of strings", "0 to 256 patterns, each `KIND` or `KIND:TARGET`", readPatterns,
}

// readPatterns reads the patterns of descriptors that are never findings. The list can be empty.
func readPatterns(v cty.Value) ([]findings.Pattern, error) {
	const example = `["epoll", "file:/var/log/**"]`
	if !v.IsNull() && v.CanIterateElements() && v.LengthInt() == 0 {
		return nil, nil
	}
	list, err := elements(v, maxPatterns, "a list of strings", example)
	if err != nil {
		return nil, err
	}
	var all []findings.Pattern
	for i, element := range list {
		s, err := readText(element)
		if err != nil {
			return nil, &elementError{index: i, err: err}
		}
		p, err := findings.ParsePattern(s)
		if err != nil {
			return nil, &elementError{index: i, err: err}
		}
		all = append(all, p)
	}
	return all, nil
}

const (
	findingsDoc = "Which descriptors are findings if a program leaks them. `data`: bytes that a " +
		"socket to another process tree had not read or not sent, and clients that waited in the " +
		"accept queue of a listener. `sockets`: these, each listener, and each connection to " +
		"another process tree. `all`: every descriptor. A finding is a warning, makes the " +
		"verdict `leaky`, and the exit code 3 if `strict` is set."
	allowDoc = "Descriptors that are never findings. Examples are `epoll`, `file:/var/log/**`, " +
		"`unix:/run/app.sock` and `tcp:127.0.0.1:80`. In a target `**` " +
		"stands for any text, `*` for any text without a slash, and `?` for one character."
)
