// Package check tests the files below deploy and compose.yaml with the parsers and types of their
// engines, and compares their stop times with those of the supervisor. It is a separate module, so
// that the supervisor does not depend on these engines.
package check
