//go:build !amd64

package procfs

var legacyCalls map[int]systemCall
