package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A workload is the task of a supervisor.
type workload struct {
	kind string // run, end, kill, restart, raw, prefix, json or orphans
	n    int    // children
}

// A peer is a supervisor to measure, configured as its manual says.
type peer struct {
	name       string
	stopSignal syscall.Signal // ends the peer and its children
	// command writes the configuration into dir and returns the command of the peer. argv is the
	// command of each child. A nil result means that the peer does not support the workload.
	command func(w workload, dir string, argv []string) ([]string, error)
}

// killAfter is the stop timeout of a child that does not end at SIGTERM, in milliseconds.
const killAfter = 1000

// The peers to which the others are compared: most rows use the floor.
const (
	floorName   = "floor"
	nopName     = "nop"
	forwardName = "forward"
)

// execName is the supervisor as exec runs it: one command without a configuration.
const execName = "supervisor, exec"

// peers returns all peers. bin is the supervisor, dir has the compiled programs.
func peers(bin, dir string) []peer {
	floor := filepath.Join(dir, floorName)
	all := []peer{
		{nopName, syscall.SIGTERM, func(w workload, _ string, _ []string) ([]string, error) {
			if w.kind != "end" {
				return nil, nil
			}
			return []string{filepath.Join(dir, nopName)}, nil
		}},
		{floorName, syscall.SIGTERM, func(w workload, _ string, argv []string) ([]string, error) {
			n := fmt.Sprint(w.n)
			switch w.kind {
			case "run", "orphans":
				return append([]string{floor, "run", n}, argv...), nil
			case "kill":
				return append([]string{floor, "kill", fmt.Sprint(killAfter)}, argv...), nil
			case "restart":
				return append([]string{floor, "restart"}, argv...), nil
			}
			return append([]string{floor, w.kind, n}, argv...), nil
		}},
		{forwardName, syscall.SIGTERM, single(filepath.Join(dir, forwardName))},
	}
	return append(append(all, supervisorPeers(bin, "supervisor")...), []peer{
		{"supervisord", syscall.SIGTERM, supervisord},
		{"runit", syscall.SIGHUP, runit},
		{"s6", syscall.SIGTERM, s6},
		{"tini", syscall.SIGTERM, single("tini", "--")},
		{"dumb-init", syscall.SIGTERM, single("dumb-init")},
	}...)
}

// supervisorPeers returns the variants in which a build of the supervisor is measured.
func supervisorPeers(bin, name string) []peer {
	return []peer{
		{name, syscall.SIGTERM, supervisor(bin, "exact", false)},
		{name + ", no proof", syscall.SIGTERM, supervisor(bin, "none", false)},
		{name + ", N blocks", syscall.SIGTERM, supervisor(bin, "exact", true)},
		{name + ", exec", syscall.SIGTERM, single(bin, "exec", "--")},
	}
}

// base returns the name of the peer in the field only of a row. The earlier build counts as the
// supervisor.
func (p peer) base() string {
	if rest, ok := strings.CutPrefix(p.name, "before"); ok {
		return "supervisor" + rest
	}
	return p.name
}

// quote returns the elements of an HCL list.
func quote(argv []string) string {
	words := make([]string, len(argv))
	for i, a := range argv {
		words[i] = fmt.Sprintf("%q", a)
	}
	return strings.Join(words, ", ")
}

// supervisor writes one child block with a count, or with blocks set n child blocks.
func supervisor(bin, proof string, blocks bool) func(workload, string, []string) ([]string, error) {
	return func(w workload, dir string, argv []string) ([]string, error) {
		child := fmt.Sprintf("  command = %q\n  args    = [%s]\n", argv[0], quote(argv[1:]))
		deadline := "60s"
		switch w.kind {
		case "run", "end", "orphans":
			child += "  restart { on = \"never\" }\n"
		case "kill":
			child += fmt.Sprintf("  kill_timeout = \"%dms\"\n", killAfter)
		case "restart":
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

// supervisord relays the output of the children only if the workload asks for it.
func supervisord(w workload, dir string, argv []string) ([]string, error) {
	out, more := "NONE", ""
	switch w.kind {
	case "prefix", "json":
		return nil, nil
	case "raw":
		out = "/dev/fd/1"
		more = "autorestart=false\n"
	case "kill":
		more = fmt.Sprintf("stopwaitsecs=%d\n", killAfter/1000)
	case "restart":
		more = "autorestart=true\n"
	}
	conf := fmt.Sprintf(`[supervisord]
nodaemon=true
user=root
logfile=/dev/null
logfile_maxbytes=0
pidfile=%s/pid
[program:c]
command=%s
process_name=c%%(process_num)d
numprocs=%d
startsecs=0
stdout_logfile=%s
stdout_logfile_maxbytes=0
stderr_logfile=NONE
%s`, dir, strings.Join(argv, " "), w.n, out, more)
	file := filepath.Join(dir, "supervisord.conf")
	return []string{"supervisord", "-c", file}, os.WriteFile(file, []byte(conf), 0o600)
}

// services makes a directory of n services for runit or s6, each with a run script and further
// files.
func services(dir string, n int, script string, files map[string]string) (string, error) {
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
		if err := os.WriteFile(filepath.Join(one, "run"), []byte(script), 0o755); err != nil {
			return "", err
		}
	}
	// runsvdir does not read a directory that was changed within the last second.
	old := time.Now().Add(-time.Minute)
	return all, os.Chtimes(all, old, old)
}

func runit(w workload, dir string, argv []string) ([]string, error) {
	switch w.kind {
	case "run", "restart", "orphans":
	default: // svlogd writes only to directories, and runsv has no stop timeout
		return nil, nil
	}
	all, err := services(dir, w.n, "#!/bin/sh\nexec "+strings.Join(argv, " ")+"\n", nil)
	return []string{"runsvdir", all}, err
}

func s6(w workload, dir string, argv []string) ([]string, error) {
	files := map[string]string{}
	switch w.kind {
	case "run", "restart", "orphans":
	case "kill":
		files["timeout-kill"] = fmt.Sprintln(killAfter)
	case "raw", "prefix":
		logger := []string{"s6-log", "1"}
		if w.kind == "prefix" {
			logger = []string{"s6-log", "p[c]", "1"}
		}
		if w.n == 1 {
			return []string{"sh", "-c", strings.Join(argv, " ") + " | " +
				strings.Join(logger, " ")}, nil
		}
		var all []string
		for range w.n {
			all = append(all, strings.Join(argv, " ")+" | "+strings.Join(logger, " ")+" &")
		}
		return []string{"sh", "-c", strings.Join(all, " ") + " wait"}, nil
	default:
		return nil, nil
	}
	all, err := services(dir, w.n, "#!/usr/bin/execlineb -P\n"+strings.Join(argv, " ")+"\n", files)
	return []string{"s6-svscan", "-c", fmt.Sprint(max(w.n, 500)), all}, err
}

// single returns the command of a program that runs one child.
func single(prefix ...string) func(workload, string, []string) ([]string, error) {
	return func(w workload, _ string, argv []string) ([]string, error) {
		if !slices.Contains([]string{"run", "end", "orphans"}, w.kind) || w.n != 1 {
			return nil, nil
		}
		return append(prefix, argv...), nil
	}
}

// installed returns the peers whose programs are on PATH, and the names of the others.
func installed(all []peer) (found []peer, missing []string) {
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
			found = append(found, p)
		} else {
			missing = append(missing, p.name)
		}
	}
	return found, missing
}
