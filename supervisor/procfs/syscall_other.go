//go:build !amd64

package procfs

var oldCalls map[int]call
