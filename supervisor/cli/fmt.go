package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"tp0/supervisor/config/format"
	hclconfig "tp0/supervisor/config/hcl"
	"tp0/supervisor/exitcode"
	"tp0/supervisor/files"
)

const fmtVerb = "fmt"

// longFlags replaces -check and -diff by --check and --diff, because the other tools for HCL
// have them with one dash.
func longFlags(args []string) []string {
	if len(args) == 0 || args[0] != fmtVerb {
		return args
	}
	long := make([]string, 0, len(args))
	for _, arg := range args {
		if arg == "-check" || arg == "-diff" {
			arg = "-" + arg
		}
		long = append(long, arg)
	}
	return long
}

// formatter is one run of fmt.
type formatter struct {
	*cli
	check, diff bool
}

func (c *cli) fmtCommand() *cobra.Command {
	f := &formatter{cli: c}
	cmd := &cobra.Command{
		Use:   fmtVerb + " [FILE|DIR|-]…",
		Short: "Format configurations in the canonical style of HCL",
		Long: `Format configurations in the canonical style of HCL.

Files are rewritten in place, and the names of changed files are printed. A
directory stands for its *.hcl files; the default is the current directory. With -,
standard input is formatted to standard output. A file with a syntax error is not
changed.

Exit codes: 0 done, 1 a file is not in the canonical style (with --check), 2 a file
has a syntax error or cannot be read or written.`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			for _, arg := range args {
				if err := f.argument(arg); err != nil {
					fmt.Fprintf(c.Stderr, "supervisor: %v\n", err)
					c.code = exitcode.Usage
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(
		&f.check, "check", false,
		"rewrite nothing, and exit with code 1 if a file is not in the canonical style",
	)
	cmd.Flags().BoolVar(
		&f.diff, "diff", false, "print the changes; without --check files are rewritten too",
	)
	return cmd
}

func (f *formatter) argument(arg string) error {
	if arg == "-" {
		const most = 4 << 20
		src, err := io.ReadAll(io.LimitReader(f.Stdin, most+1))
		if err != nil {
			return fmt.Errorf("cannot read standard input: %w", err)
		}
		if len(src) > most {
			return fmt.Errorf("cannot format standard input: it is larger than %d MiB", most>>20)
		}
		return f.format("<stdin>", src, func(out []byte) error {
			_, err := f.out.Write(out)
			return err
		})
	}
	paths := []string{arg}
	if info, err := os.Stat(arg); err == nil && info.IsDir() {
		if paths, err = filepath.Glob(filepath.Join(escaped(arg), "*.hcl")); err != nil {
			return fmt.Errorf("cannot format %s: %w", arg, err)
		}
	}
	var all error
	for _, path := range paths {
		src, err := hclconfig.Read(path)
		if err == nil {
			err = f.format(path, src, func(out []byte) error {
				if bytes.Equal(out, src) {
					return nil
				}
				return replace(path, src, out)
			})
		}
		all = errors.Join(all, err)
	}
	return all
}

// escaped returns a path without the meaning of its characters in a pattern.
func escaped(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

func (f *formatter) format(name string, src []byte, write func([]byte) error) error {
	out, err := format.Format(src, name)
	var faults *hclconfig.Faults
	if errors.As(err, &faults) {
		f.code = exitcode.Usage
		return faults.Write(f.Stderr, 0, false)
	}
	if err != nil {
		return err
	}
	changed := !bytes.Equal(src, out)
	if changed && f.check && f.code == 0 {
		f.code = exitcode.Failed
	}
	stdin := name == "<stdin>"
	switch {
	case !changed:
	case f.diff:
		fmt.Fprint(f.Stdout, difference(name, src, out))
	case !stdin || f.check:
		fmt.Fprintln(f.Stdout, name)
	}
	if f.check || stdin && f.diff {
		return nil
	}
	return write(out)
}

// replace replaces the content src of a file in one step, so that no reader sees a part of it. The
// owner and the mode stay. A symbolic link stays, and its target is replaced, unless another user
// may have made the link. It fails if the file is not the one that src was read from: the owner and
// the mode of another file must not apply to this content.
func replace(path string, src, content []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot rewrite %s: %w", path, err)
		}
	}()
	dir, name, err := files.OpenParent(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	was, err := statOf(dir, name, src)
	if err != nil {
		return err
	}
	temporary := fmt.Sprintf(".fmt-%016x", rand.Uint64())
	fd, err := dir.Create(temporary, 0o600)
	if err != nil {
		return err
	}
	tmp := os.NewFile(uintptr(fd), path)
	_, err = tmp.Write(content)
	if err == nil {
		err = tmp.Chown(int(was.Uid), int(was.Gid))
	}
	if err == nil {
		err = unix.Fchmod(fd, was.Mode&0o777)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = dir.Rename(temporary, name)
	}
	if err != nil {
		return errors.Join(err, dir.Remove(temporary))
	}
	return nil
}

// statOf returns the owner and the mode of a file that has the content src.
func statOf(dir *files.Dir, name string, src []byte) (st unix.Stat_t, err error) {
	if st, err = dir.Stat(name); err != nil {
		return st, err
	}
	fd, err := dir.OpenRead(name, st.Uid) // the owner can be anybody: it is only read
	if err != nil {
		return st, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if err = unix.Fstat(fd, &st); err != nil {
		return st, err
	}
	present, err := io.ReadAll(io.LimitReader(f, int64(len(src))+1))
	if err == nil && !bytes.Equal(present, src) {
		err = errors.New("it has changed meanwhile. Run the command again")
	}
	return st, err
}

// difference returns the changes in the format of diff -u. It compares line by line, because
// format does not add or remove lines.
func difference(name string, src, out []byte) string {
	before, after := strings.SplitAfter(string(src), "\n"), strings.SplitAfter(string(out), "\n")
	if len(before) != len(after) {
		return fmt.Sprintf("%s: the number of lines changes\n", name)
	}
	const around = 3
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", name, name)
	differs := func(i int) bool { return i < len(before) && before[i] != after[i] }
	for i := 0; i < len(before); i++ {
		if !differs(i) {
			continue
		}
		end := i + 1 // of the hunk; it includes the next change if that is near
		for j := end; j < len(before) && j <= end+2*around; j++ {
			if differs(j) {
				end = j + 1
			}
		}
		from, to := max(i-around, 0), min(end+around, len(before))
		if before[to-1] == "" {
			to-- // there is no line after the last newline
		}
		fmt.Fprintf(&b, "@@ -%d,%d +%d,%d @@\n", from+1, to-from, from+1, to-from)
		hunk(&b, before[from:to], after[from:to])
		i = to - 1
	}
	return b.String()
}

// hunk prints lines. Adjacent lines that differ are one block.
func hunk(b *strings.Builder, before, after []string) {
	line := func(sign, text string) {
		b.WriteString(sign + text)
		if !strings.HasSuffix(text, "\n") {
			b.WriteString("\n\\ No newline at end of file\n")
		}
	}
	for i := 0; i < len(before); {
		end := i
		for end < len(before) && before[end] != after[end] {
			end++
		}
		for _, text := range before[i:end] {
			line("-", text)
		}
		for _, text := range after[i:end] {
			line("+", text)
		}
		if i = end; i < len(before) {
			line(" ", before[i])
			i++
		}
	}
}
