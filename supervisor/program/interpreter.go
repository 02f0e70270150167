package program

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strings"
)

// InterpreterError says that the interpreter of a script, or the loader of a program, cannot be
// executed. execve(2) then reports that the script itself does not exist.
type InterpreterError struct {
	text string
	err  error
}

func (e *InterpreterError) Error() string { return e.text }

// Unwrap returns the error of the interpreter.
func (e *InterpreterError) Unwrap() error { return e.err }

// maxHead is the number of bytes of a file that are read. The kernel reads 256 bytes of a script
// (BINPRM_BUF_SIZE). Linkers put the path of the loader of a program into the first page.
const maxHead = 4096

const maxScriptLine = 256

// checkInterpreter checks the interpreter of a script or the loader of a program. A file that
// cannot be read has no fault here: a program needs no right to read.
func (f *Finder) checkInterpreter(file string) error {
	head, err := f.Read(file, maxHead-1)
	if err != nil {
		return nil
	}
	if line, ok := bytes.CutPrefix(head[:min(len(head), maxScriptLine)], []byte("#!")); ok {
		line, _, _ = bytes.Cut(line, []byte("\n"))
		return f.checkScript(file, string(line))
	}
	if loader := loaderOf(head); loader != "" {
		if err := checkExecutable(loader); err != nil {
			return &InterpreterError{fmt.Sprintf("The program %s needs the loader %s. %v It was "+
				"built for another system, such as one with glibc in place of musl.", quote(file),
				quote(loader), err), err}
		}
	}
	return nil
}

// checkScript checks the line `#!` of a script, without these two characters.
func (f *Finder) checkScript(file, line string) error {
	interpreter, argument, _ := strings.Cut(strings.TrimLeft(line, " \t"), " ")
	interpreter, tab, _ := strings.Cut(interpreter, "\t")
	argument = strings.Trim(tab+" "+argument, " \t")
	if interpreter == "" {
		return nil // execve(2) reports ENOEXEC
	}
	err := checkExecutable(f.absolute(interpreter))
	if name := argument; err == nil && filepath.Base(interpreter) == "env" && name != "" &&
		!strings.ContainsAny(name, "= \t") && name[0] != '-' {
		interpreter = name
		if !strings.Contains(name, "/") {
			_, err = f.search(name)
		} else {
			err = checkExecutable(f.absolute(name))
		}
	}
	if err == nil {
		return nil
	}
	text := fmt.Sprintf("The script %s needs the interpreter %s. %v", quote(file),
		quote(interpreter), err)
	if strings.HasSuffix(line, "\r") {
		text = fmt.Sprintf("The script %s needs the interpreter %s, with a carriage return: its "+
			`lines end as on Windows. Convert it, such as with sed -i 's/\r$//'.`, quote(file),
			quote(interpreter))
	}
	return &InterpreterError{text, err}
}

// loaderOf returns the path of the loader of an ELF program (PT_INTERP, elf(5)) of 64 bits, which
// is little-endian on all systems that we run on. It returns "" for another file.
func loaderOf(head []byte) string {
	const (
		header, entry   = 64, 56 // bytes
		entries, number = 32, 56 // e_phoff, e_phnum
		offset, size    = 8, 32  // p_offset, p_filesz
		interp          = 3      // PT_INTERP
	)
	if len(head) < header || !bytes.HasPrefix(head, []byte("\x7fELF\x02\x01")) {
		return ""
	}
	at := binary.LittleEndian.Uint64(head[entries:])
	for range binary.LittleEndian.Uint16(head[number:]) {
		if at > uint64(len(head)-entry) {
			return ""
		}
		segment := head[at:]
		if binary.LittleEndian.Uint32(segment) == interp {
			from := binary.LittleEndian.Uint64(segment[offset:])
			n := binary.LittleEndian.Uint64(segment[size:])
			if from > uint64(len(head)) || n > uint64(len(head))-from {
				return ""
			}
			return string(bytes.TrimRight(head[from:from+n], "\x00"))
		}
		at += entry
	}
	return ""
}
