//go:build ignore

// Forward runs a command, passes SIGTERM on to it and waits for it. It is the least that a
// supervisor of one child costs in Go: package os/signal, a fork and a wait.
package main

import (
	"log"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	p, err := os.StartProcess(os.Args[1], os.Args[1:], &os.ProcAttr{
		Env: os.Environ(), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for range signals {
			_ = p.Signal(syscall.SIGTERM) // an error means that the child has ended
		}
	}()
	if _, err := p.Wait(); err != nil {
		log.Fatal(err)
	}
}
