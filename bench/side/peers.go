package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A work is what a supervisor is asked to do, and with how many children.
type work struct {
	kind string // run, kill, again, raw, prefix, json, orphans
	n    int
}

// A peer knows how to be asked. Each is set up as its own manual says.
type peer struct {
	name string
	stop syscall.Signal // what ends it and its children
	// command makes what it needs below dir and returns how it is started; nil: it
	// cannot do that work. argv is the child.
	command func(w work, dir string, argv []string) ([]string, error)
}

// killAfter is the deadline of a child that does not end, in milliseconds.
const killAfter = 1000

func peers(bin, floor string) []peer {
	all := []peer{
		{"floor", syscall.SIGTERM, func(w work, _ string, argv []string) ([]string, error) {
			n := fmt.Sprint(w.n)
			switch w.kind {
			case "run", "orphans":
				return append([]string{floor, "run", n}, argv...), nil
			case "kill":
				return append([]string{floor, "kill", fmt.Sprint(killAfter)}, argv...), nil
			case "again":
				return append([]string{floor, "again"}, argv...), nil
			}
			return append([]string{floor, w.kind, n}, argv...), nil
		}},
	}
	return append(append(all, own(bin, "ours")...), []peer{
		{"supervisord", syscall.SIGTERM, supervisord},
		{"runit", syscall.SIGHUP, runit},
		{"s6", syscall.SIGTERM, s6},
		{"tini", syscall.SIGTERM, one("tini", "--")},
		{"dumb-init", syscall.SIGTERM, one("dumb-init")},
	}...)
}

// own are the ways in which a build of ours is measured.
func own(bin, name string) []peer {
	return []peer{
		{name, syscall.SIGTERM, ours(bin, "exact", false)},
		{name + ", no proof", syscall.SIGTERM, ours(bin, "none", false)},
		{name + ", a block each", syscall.SIGTERM, ours(bin, "exact", true)},
	}
}

// base is the name under which the rows know a peer.
func (p peer) base() string {
	if rest, ok := strings.CutPrefix(p.name, "before"); ok {
		return "ours" + rest
	}
	return p.name
}

func quote(argv []string) string {
	words := make([]string, len(argv))
	for i, a := range argv {
		words[i] = fmt.Sprintf("%q", a)
	}
	return strings.Join(words, ", ")
}

// ours is our own: one child with a count, or a block for each.
func ours(bin, proof string, blocks bool) func(work, string, []string) ([]string, error) {
	return func(w work, dir string, argv []string) ([]string, error) {
		child := fmt.Sprintf("  command = %q\n  args    = [%s]\n", argv[0], quote(argv[1:]))
		deadline := "60s"
		switch w.kind {
		case "run", "orphans":
			child += "  restart { on = \"never\" }\n"
		case "kill":
			child += fmt.Sprintf("  kill_timeout = \"%dms\"\n", killAfter)
		case "again":
			child += "  restart {\n    on        = \"always\"\n    attempts  = 100000\n    " +
				"delay     = \"0s\"\n    max_delay = \"0s\"\n  }\n"
		default:
			format := w.kind
			if format == "prefix" {
				format = "text"
			}
			child += fmt.Sprintf("  restart { on = \"never\" }\n  logs { format = %q }\n", format)
		}
		var hcl strings.Builder
		fmt.Fprintf(&hcl,
			"log_level = \"error\"\nshutdown {\n  deadline = %q\n  proof    = %q\n}\n", deadline,
			proof)
		if blocks {
			if w.kind != "run" {
				return nil, nil
			}
			for i := range w.n {
				fmt.Fprintf(&hcl, "child \"c%d\" {\n%s}\n", i, child)
			}
		} else {
			fmt.Fprintf(&hcl, "child \"c\" {\n  count = %d\n%s}\n", w.n, child)
		}
		config := filepath.Join(dir, "supervisor.hcl")
		return []string{bin, "run", "--config", config},
			os.WriteFile(config, []byte(hcl.String()), 0o600)
	}
}

// supervisord reads no output of a child unless it is to be relayed.
func supervisord(w work, dir string, argv []string) ([]string, error) {
	out, more := "NONE", ""
	switch w.kind {
	case "prefix", "json":
		return nil, nil
	case "raw":
		out = "/dev/fd/1"
		more = "autorestart=false\n"
	case "kill":
		more = fmt.Sprintf("stopwaitsecs=%d\n", killAfter/1000)
	case "again":
		more = "autorestart=true\n"
	}
	conf := fmt.Sprintf("[supervisord]\nnodaemon=true\nuser=root\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile=%s/pid\n[program:c]\ncommand=%s\nprocess_name=c%%(process_num)d\nnumprocs=%d\nstartsecs=0\nstdout_logfile=%s\nstdout_logfile_maxbytes=0\nstderr_logfile=NONE\n%s",
		dir, strings.Join(argv, " "), w.n, out, more)
	file := filepath.Join(dir, "supervisord.conf")
	return []string{"supervisord", "-c", file}, os.WriteFile(file, []byte(conf), 0o600)
}

// services makes a directory of services, as runit and s6 have them.
func services(dir string, n int, run string, files map[string]string) (string, error) {
	all := filepath.Join(dir, "service")
	for i := range n {
		one := filepath.Join(all, fmt.Sprint("c", i))
		if err := os.MkdirAll(one, 0o755); err != nil {
			return "", err
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(one, name), []byte(text), 0o644); err != nil {
				return "", err
			}
		}
		if err := os.WriteFile(filepath.Join(one, "run"), []byte(run), 0o755); err != nil {
			return "", err
		}
	}
	// runsvdir waits out the second in which its directory was changed.
	old := time.Now().Add(-time.Minute)
	return all, os.Chtimes(all, old, old)
}

func runit(w work, dir string, argv []string) ([]string, error) {
	switch w.kind {
	case "run", "again", "orphans":
	default: // svlogd writes to directories only, and runsv knows no deadline
		return nil, nil
	}
	all, err := services(dir, w.n, "#!/bin/sh\nexec "+strings.Join(argv, " ")+"\n", nil)
	return []string{"runsvdir", all}, err
}

func s6(w work, dir string, argv []string) ([]string, error) {
	files := map[string]string{}
	switch w.kind {
	case "run", "again", "orphans":
	case "kill":
		files["timeout-kill"] = fmt.Sprintln(killAfter)
	case "raw", "prefix":
		script := []string{"s6-log", "1"}
		if w.kind == "prefix" {
			script = []string{"s6-log", "p[c]", "1"}
		}
		if w.n == 1 {
			return []string{"sh", "-c", strings.Join(argv, " ") + " | " +
				strings.Join(script, " ")}, nil
		}
		var all []string
		for range w.n {
			all = append(all, strings.Join(argv, " ")+" | "+strings.Join(script, " ")+" &")
		}
		return []string{"sh", "-c", strings.Join(all, " ") + " wait"}, nil
	default:
		return nil, nil
	}
	all, err := services(dir, w.n, "#!/usr/bin/execlineb -P\n"+strings.Join(argv, " ")+"\n", files)
	return []string{"s6-svscan", "-c", fmt.Sprint(max(w.n, 500)), all}, err
}

// one is a program for a single child.
func one(prefix ...string) func(work, string, []string) ([]string, error) {
	return func(w work, _ string, argv []string) ([]string, error) {
		if w.kind != "run" && w.kind != "orphans" || w.n != 1 {
			return nil, nil
		}
		return append(prefix, argv...), nil
	}
}

// installed leaves out the peers that are not there.
func installed(all []peer) (there []peer, missing []string) {
	needs := map[string][]string{"supervisord": {"supervisord"}, "runit": {"runsvdir"},
		"s6": {"s6-svscan", "s6-log", "execlineb"}, "tini": {"tini"}, "dumb-init": {"dumb-init"}}
	for _, p := range all {
		ok := true
		for _, program := range needs[p.name] {
			if _, err := exec.LookPath(program); err != nil {
				ok = false
			}
		}
		if ok {
			there = append(there, p)
		} else {
			missing = append(missing, p.name)
		}
	}
	return there, missing
}
