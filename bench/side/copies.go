package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// copies is the number of copies of each program. Two copies of one program can differ by 10 % in
// the time until a signal is forwarded, for as long as they are in the page cache. So the rounds
// take them in turns.
const copies = 6

// copied are the paths of copyProgram.
var copied []string

// copyProgram makes the copies of a program. path becomes a symbolic link to one of them, which
// useCopies changes.
func copyProgram(path, from string) error {
	for i := range copies {
		if err := copyFromDisk(copyPath(path, i), from); err != nil {
			return err
		}
	}
	copied = append(copied, path)
	return os.Symlink(copyPath(path, 0), path)
}

func copyPath(path string, i int) string { return fmt.Sprintf("%s.%d", path, i%copies) }

// useCopies makes the paths of copyProgram lead to the copies of a round.
func useCopies(round int) error {
	for _, path := range copied {
		next := path + ".next"
		if err := os.Symlink(copyPath(path, round), next); err != nil {
			return err
		}
		if err := os.Rename(next, path); err != nil {
			return err
		}
	}
	return nil
}

// copyFromDisk copies a program, and reads the copy from the disk, so that all programs are in the
// page cache in the same way, whatever wrote them. The page cache has a file that the Go linker has
// just written in single pages, and one that was read in larger folios: a stop of one child takes
// 0.8 times the time.
func copyFromDisk(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("cannot read the program to measure: %w", err)
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync() // only pages that are on the disk leave the page cache
	}
	if err == nil {
		err = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cannot copy %s: %w", from, err)
	}
	_, err = os.ReadFile(to)
	return err
}
