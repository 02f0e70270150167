//go:build ignore

// Nop does nothing. Its start and its end are the least that a Go program costs.
package main

func main() {}
