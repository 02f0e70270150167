package hclconfig

import (
	"tp0/supervisor/findings"

	"github.com/zclconf/go-cty/cty"
)

// maxPatterns is the number of patterns that one allow may have.
const maxPatterns = 256

// patterns reads the patterns of descriptors that are never findings. The list may be empty.
func patterns(v cty.Value) ([]findings.Pattern, error) {
	const example = `["epoll", "file:/var/log/**"]`
	if !v.IsNull() && v.CanIterateElements() && v.LengthInt() == 0 {
		return nil, nil
	}
	list, err := elements(v, maxPatterns, example)
	if err != nil {
		return nil, err
	}
	var all []findings.Pattern
	for i, element := range list {
		s, err := text(element)
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
		"another process tree. `all`: every descriptor. A finding is a warning, makes the verdict " +
		"`leaky`, and the exit code 3 if `strict` is set."
	allowDoc = "Descriptors that are never findings, each as KIND or KIND:TARGET: \"epoll\", " +
		"\"file:/var/log/**\", \"unix:/run/app.sock\", \"tcp:127.0.0.1:80\". In a target `**` " +
		"stands for any text, `*` for any text without a slash, and `?` for one character."
)
