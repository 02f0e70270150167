// Proof measures how much time the exact proof adds to a stop: the time from the signal to the log
// message "shutdown complete", with proof and without, in turns. Run it with make bench-proof. It
// needs bin/supervisor and gcc.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench/proof:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: proof SUPERVISOR")
	}
	dir, err := os.MkdirTemp("", "bench-proof-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	compile := exec.Command("gcc", "-static", "-O1", "-o", filepath.Join(dir, "server"),
		"bench/proof/server.c")
	if out, err := compile.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build server.c: %w\n%s", err, out)
	}
	for _, size := range []struct{ children, rounds int }{{1, 200}, {1000, 10}} {
		if err := compare(args[0], dir, size.children, size.rounds); err != nil {
			return err
		}
	}
	return nil
}

// compare measures stops of a number of children with proof and without, in turns, so that a change
// of the machine's speed affects both. It prints medians and quartiles.
func compare(supervisor, dir string, children, rounds int) error {
	proofs := []string{"none", "exact"}
	times := map[string][]time.Duration{}
	for range rounds {
		for _, proof := range proofs {
			d, err := stop(supervisor, dir, proof, children)
			if err != nil {
				return fmt.Errorf("cannot measure a stop of %d children with proof %s: %w",
					children, proof, err)
			}
			times[proof] = append(times[proof], d)
		}
	}
	for _, proof := range proofs {
		all := times[proof]
		slices.Sort(all)
		fmt.Printf("%4d children, proof %-5s  median %8.2f ms  quartiles %.2f to %.2f ms  (%d "+
			"stops)\n",
			children, proof, ms(median(all)), ms(all[len(all)/4]), ms(all[len(all)*3/4]), len(all))
	}
	fmt.Printf("%4d children, the proof adds  %8.2f ms\n", children,
		ms(median(times["exact"])-median(times["none"])))
	return nil
}

func median(sorted []time.Duration) time.Duration {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// stop runs a supervisor and stops it when all of its children are ready. It returns the time from
// the signal to the log message.
func stop(supervisor, dir, proof string, children int) (time.Duration, error) {
	config := filepath.Join(dir, "supervisor.hcl")
	hcl := fmt.Sprintf("shutdown {\n  proof = %q\n}\nchild \"c\" {\n  command = %q\n  count = "+
		"%d\n}\n", proof, filepath.Join(dir, "server"), children)
	if err := os.WriteFile(config, []byte(hcl), 0o600); err != nil {
		return 0, err
	}
	c := exec.Command(supervisor, "run", "--config", config)
	output, err := c.StdoutPipe()
	if err != nil {
		return 0, err
	}
	log, err := c.StderrPipe()
	if err != nil {
		return 0, err
	}
	if err := c.Start(); err != nil {
		return 0, err
	}
	limit := time.AfterFunc(time.Minute, func() { _ = c.Process.Kill() })
	defer limit.Stop()
	var complete time.Time
	var last string
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if last = lines.Text(); strings.Contains(last, "shutdown complete") {
				complete = time.Now()
			}
		}
	}()
	ready := 0
	for lines := bufio.NewScanner(output); ready < children && lines.Scan(); {
		ready++
	}
	sent := time.Now()
	_ = c.Process.Signal(syscall.SIGTERM)
	_, _ = io.Copy(io.Discard, output)
	<-read
	if err := c.Wait(); err != nil || ready < children ||
		!strings.Contains(last, "verdict=graceful") {
		return 0, fmt.Errorf("%d of %d children were ready; the supervisor ended with %v; its "+
			"last line is %q", ready, children, err, last)
	}
	return complete.Sub(sent), nil
}
