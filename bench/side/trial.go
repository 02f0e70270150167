package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// errUnsupported is the error of a peer that cannot run a workload. Its cell stays empty.
var errUnsupported = errors.New("the peer does not support this workload")

// A trial is a running supervisor.
type trial struct {
	*workspace
	peer    peer
	cmd     *exec.Cmd
	started uint64      // ns of CLOCK_MONOTONIC
	exited  chan uint64 // receives the time of the exit
}

// running holds the trials that have not ended, for killRunning.
var running struct {
	sync.Mutex
	trials map[*trial]bool
}

// killRunning kills the process trees of all trials, and prevents the start of further ones: it
// does not release the mutex.
func killRunning() {
	running.Lock()
	for t := range running.trials {
		t.kill()
	}
}

// startTrial starts a supervisor with a workload. argv is the command of a child, in which DIR is
// the workspace. wrap precedes the command of the supervisor. A nil out discards its standard
// output.
func startTrial(p peer, w workload, argv []string, wrap []string, out *os.File) (*trial, error) {
	space, err := newWorkspace()
	if err != nil {
		return nil, err
	}
	for i, a := range argv {
		argv[i] = strings.ReplaceAll(a, "DIR", space.dir)
	}
	command, err := p.command(w, space.dir, argv)
	if err == nil && command == nil {
		err = errUnsupported
	}
	if err != nil {
		space.close()
		return nil, err
	}
	command = append(wrap, command...)
	t := &trial{workspace: space, peer: p, cmd: exec.Command(command[0], command[1:]...),
		exited: make(chan uint64, 1)}
	t.cmd.Dir = space.dir
	t.cmd.Stdout = out
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := t.start(); err != nil {
		space.close()
		return nil, err
	}
	go func() {
		_ = t.cmd.Wait()
		t.exited <- now()
	}()
	return t, nil
}

func (t *trial) start() error {
	running.Lock()
	defer running.Unlock()
	t.started = now()
	if err := t.cmd.Start(); err != nil {
		return err
	}
	if running.trials == nil {
		running.trials = map[*trial]bool{}
	}
	running.trials[t] = true
	return nil
}

// startReady starts a trial and waits until all of its children are up.
func startReady(p peer, w workload, argv []string, wrap ...string) (*trial, error) {
	t, err := startTrial(p, w, argv, wrap, nil)
	if err != nil {
		return nil, err
	}
	if err := t.awaitUp(w.n); err != nil {
		t.clear()
		return nil, fmt.Errorf("%s: cannot wait until %d children are up: %w", p.name, w.n, err)
	}
	return t, nil
}

// stop stops the supervisor. It returns the nanoseconds from the signal until the supervisor and
// all of its children have ended.
func (t *trial) stop() (uint64, error) {
	sent := now()
	if err := t.cmd.Process.Signal(t.peer.stopSignal); err != nil {
		return 0, err
	}
	err := t.awaitGone()
	gone := now()
	select {
	case at := <-t.exited:
		return max(at, gone) - sent, err
	case <-time.After(limit):
		return 0, fmt.Errorf("%s has not ended %v after %v", t.peer.name, limit, t.peer.stopSignal)
	}
}

// clear kills the processes that have not ended, and removes the workspace.
func (t *trial) clear() {
	running.Lock()
	defer running.Unlock()
	delete(running.trials, t)
	t.kill()
	t.close()
}

// kill sends SIGKILL to the process tree of the supervisor, and to children that have another
// parent by now.
func (t *trial) kill() {
	// List the tree first: the descendants of a dead process are no longer below it.
	pids := processTree(t.cmd.Process.Pid)
	_ = syscall.Kill(-t.cmd.Process.Pid, syscall.SIGKILL)
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	for _, m := range t.marks(markStart) {
		if pid := int(m.pid); pid > 1 && strings.HasPrefix(commandLine(pid), childPath) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// commandLine returns the command of a process with NUL between the words, or "".
func commandLine(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return string(b)
}

// processTree returns pid and its descendants.
func processTree(pid int) []int {
	all := []int{pid}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range tasks {
		b, _ := os.ReadFile(file)
		for _, word := range strings.Fields(string(b)) {
			var child int
			if _, err := fmt.Sscan(word, &child); err == nil {
				all = append(all, processTree(child)...)
			}
		}
	}
	return all
}

// ownProcesses returns the supervisor and its helper processes, without the children.
func (t *trial) ownProcesses() (pids []int) {
	for _, pid := range processTree(t.cmd.Process.Pid) {
		if !strings.HasPrefix(commandLine(pid), childPath) {
			pids = append(pids, pid)
		}
	}
	return pids
}
