package app

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPidFileRules checks which files the pid file replaces. The content is written to the file
// first, if there is one.
func TestPidFileRules(t *testing.T) {
	live := exec.Command("sleep", "60")
	if err := live.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = live.Process.Kill(); _ = live.Wait() })
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, content string
		age           time.Duration // of the file
		wrote         bool
		inUse         bool
	}{
		{"an ended process", fmt.Sprintln(ended.Process.Pid), 0, true, false},
		{"a live process", fmt.Sprintln(live.Process.Pid), 0, false, true},
		{"a pid that was used again", fmt.Sprintln(live.Process.Pid), time.Hour, true, false},
		{"our own pid", fmt.Sprintln(os.Getpid()), 0, true, false},
		{"an empty file", "", 0, true, false},
		{"another file", "root:x:0:0\n", 0, false, false},
		{"a negative number", "-1\n", 0, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "pid")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			at := time.Now().Add(-c.age)
			if err := os.Chtimes(path, at, at); err != nil {
				t.Fatal(err)
			}
			p, err := writePidFile(path)
			if errors.As(err, new(*pidFileInUse)) != c.inUse || (err == nil) != c.wrote {
				t.Fatalf("got %v", err)
			}
			want := c.content
			if c.wrote {
				want = fmt.Sprintln(os.Getpid())
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != want {
				t.Errorf("the file has %q, %v, want %q", got, err, want)
			}
			if names, _ := os.ReadDir(filepath.Dir(path)); len(names) != 1 {
				t.Errorf("files are left: %v", names)
			}
			if p != nil {
				if err := p.remove(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestPidFileFollowsNoLink checks that the pid file replaces a symbolic link.
func TestPidFileFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	path, victim := filepath.Join(dir, "pid"), filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, path); err != nil {
		t.Fatal(err)
	}
	old := unix.Umask(0o077)
	p, err := writePidFile(path)
	unix.Umask(old)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(victim); string(got) != "kept" {
		t.Errorf("the file behind the link has %q", got)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != 0o644 {
		t.Errorf("got %v, %v, want a regular file with mode 0644", info.Mode(), err)
	}
	if err := os.WriteFile(path+".next", fmt.Appendln(nil, os.Getpid()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".next", path); err != nil {
		t.Fatal(err)
	}
	if p.remove() == nil {
		t.Error("the pid file of another process was removed")
	}
}
