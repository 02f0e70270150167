// Package check reads everything below deploy/ and the compose file as the
// engines read it, and holds it against what the supervisor promises. It is a
// module of its own: none of what it needs belongs into the supervisor.
package check
