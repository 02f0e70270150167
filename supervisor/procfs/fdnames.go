package procfs

import (
	"fmt"
	"strings"
)

// maxEpollTargets bounds the descriptors of an epoll that FDNames names.
const maxEpollTargets = 8

// FDNames returns a function that says what a descriptor of a process refers to, for
// [Thread.Describe]: its target, or for an epoll what it watches. fds are its open descriptors.
func FDNames(pid int, fds []FD) func(fd int) string {
	words := map[int]string{}
	for _, f := range fds {
		words[f.Num] = f.Kind
		if f.Target != "" && f.Kind != "epoll" {
			words[f.Num] = f.Target
		}
	}
	return func(fd int) string {
		if words[fd] != "epoll" {
			return words[fd]
		}
		targets, err := EpollTargets(pid, pid, fd)
		if err != nil {
			return "epoll"
		}
		var of []string
		for _, t := range targets[:min(len(targets), maxEpollTargets)] {
			of = append(of, fmt.Sprintf("%d %s", t, words[t]))
		}
		if len(targets) > maxEpollTargets {
			of = append(of, fmt.Sprintf("and %d more", len(targets)-maxEpollTargets))
		}
		return "epoll: " + strings.Join(of, ", ")
	}
}
