// Side compares the supervisor with other supervisors and with a minimal C program, the floor. A
// start is also compared with nop, a Go program with an empty main, and the work on one child with
// forward, a Go program that only passes SIGTERM on.
// They run the same workloads in turns (A B C C B A …), so that a change of the machine's speed
// affects all of them. The children record the times themselves. Side prints medians and ratios,
// and writes them into docs/performance.md. Run it with make bench, or with make bench-quick for a
// tenth of the rounds.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
)

func main() {
	o, err := parseOptions()
	if err == nil {
		err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/side:", err)
		os.Exit(1)
	}
}

// options are the flags of the command.
type options struct {
	supervisor, before, page string
	scale                    float64
	rows, peers              *regexp.Regexp
}

func parseOptions() (o options, err error) {
	flag.StringVar(&o.supervisor, "supervisor", "bin/supervisor", "the build to measure")
	flag.StringVar(&o.before, "before", "", "an earlier build to measure in the same turns")
	flag.StringVar(&o.page, "page", "", "the page whose tables are replaced; empty prints only")
	flag.Float64Var(&o.scale, "scale", 1, "the fraction of the rounds to do")
	rowNames := flag.String("only", "", "a regular expression for the rows to measure")
	peerNames := flag.String("peers", "", "a regular expression for the peers to measure")
	flag.Parse()
	if o.rows, err = regexp.Compile(*rowNames); err != nil {
		return o, fmt.Errorf("cannot use -only: %w", err)
	}
	if o.peers, err = regexp.Compile(*peerNames); err != nil {
		return o, fmt.Errorf("cannot use -peers: %w", err)
	}
	return o, nil
}

func run(o options) error {
	dir, err := os.MkdirTemp("", "bench-side-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	go endOnSignal(dir)
	if err := compile(dir); err != nil {
		return err
	}
	all, missing, err := choosePeers(o, dir)
	if err != nil {
		return err
	}
	for _, name := range missing {
		fmt.Fprintf(os.Stderr, "%s is not installed and is left out\n", name)
	}
	var table []*measured
	for _, r := range rows(o.scale) {
		if !o.rows.MatchString(fmt.Sprintf("%s N=%d", r.title, r.n)) {
			continue
		}
		m, err := compare(r, all)
		if err != nil {
			return err
		}
		m.print(os.Stdout)
		table = append(table, m)
	}
	if o.page == "" {
		return nil
	}
	return writePage(o.page, table, missing)
}

// endOnSignal waits for a signal that ends the benchmark. It then kills the running supervisor with
// its process tree, and removes dir.
func endOnSignal(dir string) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	s := (<-signals).(syscall.Signal)
	killRunning()
	os.RemoveAll(dir)
	fmt.Fprintf(os.Stderr, "bench/side: ended by %v\n", s)
	os.Exit(128 + int(s))
}

// compile builds the C programs and nop into dir.
func compile(dir string) error {
	for _, name := range []string{"child", "floor"} {
		c := exec.Command("gcc", "-O2", "-o", filepath.Join(dir, name),
			filepath.Join("bench", "side", name+".c"))
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("cannot build %s.c: %w\n%s", name, err, out)
		}
	}
	childPath = filepath.Join(dir, "child")
	return errors.Join(compileGo(filepath.Join(dir, nopName)),
		compileGo(filepath.Join(dir, forwardName)))
}

// compileGo builds a Go program of this directory as make build builds the supervisor.
func compileGo(path string) error {
	linked := path + ".linked"
	c := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", linked,
		filepath.Join("bench", "side", filepath.Base(path)+".go"))
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build %s.go: %w\n%s", filepath.Base(path), err, out)
	}
	return copyProgram(path, linked)
}

// choosePeers returns the peers to measure, and the names of those that are not installed. dir has
// the compiled programs, and gets copies of the builds to measure.
func choosePeers(o options, dir string) (all []peer, missing []string, err error) {
	path := filepath.Join(dir, "supervisor")
	if err := copyProgram(path, o.supervisor); err != nil {
		return nil, nil, err
	}
	all, missing = installed(peers(path, dir))
	if o.before != "" {
		path := filepath.Join(dir, "before")
		if err := copyProgram(path, o.before); err != nil {
			return nil, nil, err
		}
		all = append(all, supervisorPeers(path, "before")...)
	}
	all = slices.DeleteFunc(all, func(p peer) bool { return !o.peers.MatchString(p.name) })
	return all, missing, nil
}
