package history

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
	"tp0/supervisor/output"
	"tp0/supervisor/output/lines"
	"tp0/supervisor/output/retain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ledger has the open descriptors, and the number of all that were opened.
type ledger struct {
	t      *testing.T
	open   map[int]bool
	opened int
}

func (l *ledger) Opened(fd int, _, _ string) { l.open[fd], l.opened = true, l.opened+1 }

func (l *ledger) OpenedInternal(fd int, kind, target string) { l.Opened(fd, kind, target) }

func (l *ledger) Close(fd int, close func() error) error {
	if !l.open[fd] {
		l.t.Errorf("descriptor %d is not open", fd)
	}
	delete(l.open, fd)
	return close()
}

// memory is a store with the last lines.
type memory struct{ *retain.Store }

func (m memory) Lines(q retain.Query) (*retain.Reader, error) { return m.Read(q) }

var base = time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC)

// read returns what Show shows, and the notes.
func read(t *testing.T, m *retain.Store, q retain.Query, sources ...Source) (all []Line,
	notes []string, opened int) {
	t.Helper()
	l := &ledger{t: t, open: map[int]bool{}}
	err := Show(t.Context(), memory{m}, l, q, sources, func(line Line) error {
		if line.Note != "" {
			notes = append(notes, line.Note)
			return nil
		}
		line.Text = bytes.Clone(line.Text)
		all = append(all, line)
		return nil
	})
	if err != nil || len(l.open) > 0 {
		t.Errorf("got %v, and %d descriptors are open", err, len(l.open))
	}
	return all, notes, l.opened
}

// scene is a log file with renamed files, and the last lines in memory.
type scene struct {
	dir    string
	store  *retain.Store
	source Source
	lines  []Line // of all processes
	form   [2]*output.LineFormat
	held   [2]int // lines in memory of each instance
}

// newScene prints random lines of the instances a1 and a2. With unique texts some of the last
// lines are not in the file yet.
func newScene(t *testing.T, r *rand.Rand) *scene {
	s := &scene{dir: t.TempDir(), store: retain.NewStore(nil)}
	s.source.Path = filepath.Join(s.dir, "a.log")
	s.store.Configure(1<<20, map[string]int{"a1": 1 << 18, "a2": 1 << 18})
	format, timed := [...]string{"text", "json", "text"}[r.IntN(3)], r.IntN(2) == 0
	unique := r.IntN(2) == 0
	var insts [2]*retain.Instance
	for i := range insts {
		name := fmt.Sprintf("a%d", i+1)
		s.source.Instances = append(s.source.Instances, Instance{
			Name: name, Child: "a", Format: format, Timed: timed, Stdout: true, Stderr: true,
		})
		s.form[i] = output.NewLineFormat(format, "", name, timed)
		insts[i], _ = s.store.Open(name, "a")
	}
	now := base
	for n := range r.IntN(300) {
		now = now.Add(time.Duration(r.IntN(3)) * time.Millisecond)
		i := r.IntN(2)
		text := []string{"tick", "", "\x1b[31mred\x00", "\xff broken"}[r.IntN(4)]
		if unique {
			text = fmt.Sprint(text, n)
		}
		s.lines = append(s.lines, Line{
			Instance: s.source.Instances[i].Name, Child: "a", At: now, Text: []byte(text),
			Stream: retain.Stream(r.IntN(2)).String(), Process: uint32(i), // an index here
		})
	}
	lag := 0
	if unique && len(s.lines) > 0 {
		lag = r.IntN(min(len(s.lines), 100))
	}
	s.fill(insts, r.IntN(len(s.lines)+1), lag)
	s.write(t, r, len(s.lines)-lag)
	return s
}

// fill puts the last lines into memory, and no less than the lines that are not in the file.
func (s *scene) fill(insts [2]*retain.Instance, n, lag int) {
	n = max(n, lag)
	for _, l := range s.lines[len(s.lines)-n:] {
		stream := retain.Stdout
		if l.Stream == "stderr" {
			stream = retain.Stderr
		}
		skipped := 0
		if s.held[l.Process]++; s.held[l.Process] == 1 && n < len(s.lines) {
			skipped = 1
		}
		s.store.Add(insts[l.Process], retain.Read{
			Process: 1, Stream: stream, At: l.At, Lines: 1, End: lines.Newline,
			Text: append(bytes.Clone(l.Text), '\n'), Skipped: skipped,
		})
	}
}

// write writes the first n lines to up to four files.
func (s *scene) write(t *testing.T, r *rand.Rand, n int) {
	var cuts []int
	for range r.IntN(4) {
		cuts = append(cuts, r.IntN(n+1))
	}
	slices.Sort(cuts)
	cuts = append(cuts, n)
	from := 0
	for k, to := range cuts {
		var text []byte
		for _, l := range s.lines[from:to] {
			line := retain.Line{Instance: l.Instance, At: l.At, Text: l.Text}
			if l.Stream == "stderr" {
				line.Stream = retain.Stderr
			}
			text = s.form[l.Process].Format(text, line)
		}
		from = to
		name := s.source.Path
		if number := len(cuts) - 1 - k; number > 0 {
			name += fmt.Sprint(".", number)
			if number > 1 && r.IntN(2) == 0 {
				name, text = name+".gz", pack(text)
			}
		}
		writeFile(t, name, text)
	}
}

func pack(text []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(text)
	_ = z.Close()
	return b.Bytes()
}

func writeFile(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// want returns the lines of an instance that a query selects.
func (s *scene) want(name string, q retain.Query) (want []string) {
	for _, l := range s.lines {
		if l.Instance == name && !l.At.Before(q.Since) &&
			(q.Stdout == q.Stderr || q.Stdout == (l.Stream == "stdout")) {
			want = append(want, plain(l.Text))
		}
	}
	if q.Last >= 0 && len(want) > q.Last {
		want = want[len(want)-q.Last:]
	}
	return want
}

// plain returns a text in the same form from memory and from the files of all formats.
func plain(text []byte) string {
	return strings.NewReplacer("\x1b", "", "\x00", "", "\\x1b", "", "\\x00", "", "\xff", "?",
		"\\xff", "?", "\ufffd", "?").Replace(string(text))
}

// TestRandomFiles compares queries with the lines that were printed: no line is missing, none is
// there twice, and the order is that of the lines.
func TestRandomFiles(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 0))
		s := newScene(t, r)
		timed := s.source.Instances[0].hasTime()
		for range 4 {
			q := retain.Query{Last: r.IntN(60)}
			if r.IntN(3) == 0 {
				q.Last = -1
			}
			if timed && r.IntN(2) == 0 && q.Last != 0 {
				q.Since = base.Add(time.Duration(r.IntN(300)) * time.Millisecond)
			}
			if s.source.Instances[0].Format == "json" && r.IntN(3) == 0 {
				q.Stderr = true
			}
			all, notes, _ := read(t, s.store, q, s.source)
			if len(notes) > 0 {
				t.Errorf("seed %d: notes %q", seed, notes)
			}
			if timed && !slices.IsSortedFunc(all, func(a, b Line) int {
				return a.At.Truncate(time.Millisecond).Compare(b.At.Truncate(time.Millisecond))
			}) {
				t.Errorf("seed %d: the lines are not in the order of their times", seed)
			}
			for _, name := range []string{"a1", "a2"} {
				var got []string
				for _, l := range all {
					if l.Instance == name {
						got = append(got, plain(l.Text))
					}
				}
				if want := s.want(name, q); !slices.Equal(got, want) {
					t.Fatalf("seed %d, %+v, %s: %d lines, want %d:\n%q\n%q", seed, q, name,
						len(got), len(want), got, want)
				}
			}
		}
	}
}

// rawSource is a file without names of instances.
func rawSource(path string) Source {
	return Source{Path: path, Instances: []Instance{
		{Name: "a", Child: "a", Format: "raw", Stdout: true, Stderr: true},
	}}
}

func texts(all []Line) (got []string) {
	for _, l := range all {
		got = append(got, fmt.Sprintf("%.9q %t", l.Text, l.Partial))
	}
	return got
}

// TestHostileFiles reads files that are large, packed to be large, broken or no files. What cannot
// be read is a note, and the rest is shown.
func TestHostileFiles(t *testing.T) {
	defer func(unpacked, scan int) { maxUnpacked, maxScan = unpacked, scan }(maxUnpacked, maxScan)
	maxUnpacked, maxScan = 4<<20, 8<<20
	const last = "\x00\xff\xfe\x1b[31m\nlast\n"
	sparse := func(size int64) func(string) error {
		return func(path string) error {
			f, err := os.Create(path)
			if err == nil {
				defer f.Close()
				_, err = f.WriteAt([]byte("\n"+last), size)
			}
			return err
		}
	}
	content := func(text []byte) func(string) error {
		return func(path string) error { return os.WriteFile(path, text, 0o600) }
	}
	end := []string{`"\x00\xff\xfe\x1b[31m" false`, `"last" false`}
	for _, c := range []struct {
		name, suffix string
		make         func(path string) error
		last         int
		want         []string
		note         string
	}{
		{"10 GB without a line", "", sparse(10 << 30), 2, end, ""},
		{"the line of 10 GB", "", sparse(10 << 30), 3, end, "MiB were searched"},
		{"a line of 100 MB", "", sparse(100 << 20), -1, end, "more than 1 MiB"},
		{"a packed line of 16 MB", ".1.gz", content(pack(make([]byte, 16<<20))), -1, nil,
			"unpacked"},
		{"not packed", ".1.gz", content([]byte("text")), -1, nil, "not compressed by gzip"},
		{"cut off", ".1.gz", content(pack([]byte(last))[:20]), -1, nil, "unexpected EOF"},
		{"empty", ".1.gz", content(nil), -1, nil, "it is empty"},
		{"a directory", "", func(p string) error { return os.Mkdir(p, 0o700) }, 2, nil, ""},
		{"a FIFO", "", func(p string) error { return unix.Mkfifo(p, 0o600) }, 2, nil, ""},
		{"a link to itself", "", func(p string) error { return os.Symlink(p, p) }, 2, nil,
			"too many levels"},
		{"a link to a file", "", func(p string) error {
			writeFile(t, p+"x", []byte(last))
			return os.Symlink(p+"x", p)
		}, 2, end, ""},
		{"no file", "", func(string) error { return nil }, 2, nil, ""},
	} {
		path := filepath.Join(t.TempDir(), "a.log")
		if err := c.make(path + c.suffix); err != nil {
			t.Fatal(err)
		}
		store := retain.NewStore(nil)
		all, notes, _ := read(t, store, retain.Query{Last: c.last}, rawSource(path))
		got := texts(all)
		if len(got) > 2 {
			got = got[len(got)-2:]
		}
		noted := strings.Join(notes, "|")
		if len(all) > 20 || c.want != nil && !slices.Equal(got, c.want) ||
			!strings.Contains(noted, c.note) || c.note == "" && noted != "" {
			t.Errorf("%s: got %d lines, %q, notes %q", c.name, len(all), got, noted)
		}
	}
}

// TestNoFileIsOpened checks that memory is enough if it has all that is asked for.
func TestNoFileIsOpened(t *testing.T) {
	store := retain.NewStore(nil)
	store.Configure(1<<20, map[string]int{"a": 1 << 18})
	i, _ := store.Open("a", "a")
	for n := range 3 {
		store.Add(i, retain.Read{Process: 1, At: base.Add(time.Duration(n) * time.Second),
			Lines: 1, Text: fmt.Appendf(nil, "%d\n", n)})
	}
	path := filepath.Join(t.TempDir(), "a.log")
	writeFile(t, path, []byte("old\n0\n1\n2\n"))
	for _, c := range []struct {
		query retain.Query
		want  string
		disk  bool
	}{
		{retain.Query{Last: 3}, "0 1 2", false},
		{retain.Query{Last: 0}, "", false},
		{retain.Query{Last: -1, Since: base.Add(time.Second)}, "1 2", false},
		{retain.Query{Last: 4}, "old 0 1 2", true},
		{retain.Query{Last: -1}, "old 0 1 2", true},
		{retain.Query{Last: 9, Names: []string{"b"}}, "", false},
		// The previous process ran under another supervisor.
		{retain.Query{Last: 9, Previous: true}, "old", true},
	} {
		all, notes, opened := read(t, store, c.query, rawSource(path))
		var got []string
		for _, l := range all {
			got = append(got, string(l.Text))
		}
		if strings.Join(got, " ") != c.want || opened > 0 != c.disk || len(notes) > 0 {
			t.Errorf("%+v: got %q, notes %q, %d files, want %q", c.query, got, notes, opened,
				c.want)
		}
	}
}

// TestPreviousInFiles checks that the lines of the previous process are found by the times of the
// starts, if memory has none of them.
func TestPreviousInFiles(t *testing.T) {
	store := retain.NewStore(nil)
	store.Configure(1<<20, map[string]int{"a": 0})
	var text []byte
	form := output.NewLineFormat("text", "", "a", true)
	for process := range 3 {
		time.Sleep(3 * time.Millisecond) // the times of the file have milliseconds
		i, _ := store.Open("a", "a")
		for n := range 2 {
			line := retain.Line{At: time.Now(), Text: fmt.Appendf(nil, "%d-%d", process+1, n)}
			text = form.Format(text, line)
			store.Add(i, retain.Read{Process: uint32(process + 1), At: line.At, Lines: 1,
				Text: append(line.Text, '\n')})
		}
		if process < 2 {
			store.Release(i)
		}
	}
	path := filepath.Join(t.TempDir(), "a.log")
	writeFile(t, path, text)
	src := Source{Path: path, Instances: []Instance{
		{Name: "a", Child: "a", Format: "text", Timed: true, Stdout: true, Stderr: true},
	}}
	all, notes, _ := read(t, store, retain.Query{Last: -1, Previous: true}, src)
	if got := fmt.Sprintf("%s", texts(all)); got != `["2-0" false "2-1" false]` || notes != nil {
		t.Errorf("got %s, notes %q", got, notes)
	}
	src.Instances[0].Timed = false
	all, notes, _ = read(t, store, retain.Query{Last: -1, Previous: true}, src)
	if len(all) > 0 || len(notes) != 1 || !strings.Contains(notes[0], "logs.timestamps") {
		t.Errorf("without times: got %q, notes %q", texts(all), notes)
	}
}

// TestEnd checks that the end of the context ends a reader.
func TestEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	writeFile(t, path, bytes.Repeat([]byte("line\n"), 1<<20))
	ctx, cancel := context.WithCancel(t.Context())
	l := &ledger{t: t, open: map[int]bool{}}
	n := 0
	err := Show(ctx, memory{retain.NewStore(nil)}, l, retain.Query{Last: -1, Follow: true},
		[]Source{rawSource(path)}, func(Line) error {
			if n++; n == 10 {
				cancel()
			}
			return nil
		})
	if err != context.Canceled || n > 1<<19 || len(l.open) > 0 {
		t.Errorf("got %v after %d lines, %d descriptors are open", err, n, len(l.open))
	}
}

// TestRotationMeanwhile checks that a file is not read twice if it is renamed after it was opened.
func TestRotationMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	writeFile(t, path+".1", []byte("1\n"))
	writeFile(t, path, []byte("2\n"))
	src := rawSource(path)
	p := pile{
		source: &src, fds: &ledger{t: t, open: map[int]bool{}}, budget: &budget{files: 9},
		seen: map[[2]uint64]bool{},
	}
	defer p.close()
	names := []string{}
	for k := range 3 {
		f, err := p.openNext()
		if err != nil {
			t.Fatal(err)
		}
		if f != nil {
			names = append(names, f.name)
		}
		if k == 0 {
			must(t, os.Rename(path+".1", path+".2"), os.Rename(path, path+".1"))
		}
	}
	if want := []string{"a.log", "a.log.2"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestForeignFile checks that a file that another user put into the directory of the log is not
// shown: it can be a link to a file that only root may read.
func TestForeignFile(t *testing.T) {
	needs.Check(t, "root")
	dir := t.TempDir()
	path := filepath.Join(dir, "a.log")
	must(t, os.Chmod(dir, 0o777))
	writeFile(t, path, []byte("theirs\n"))
	writeFile(t, path+".1", []byte("ours\n"))
	must(t, os.Chown(path, 4711, 4711), os.Link(path+".1", path+".2"))
	writeFile(t, path+".3", []byte("older\n"))
	store := retain.NewStore(nil)
	all, notes, _ := read(t, store, retain.Query{Last: 9}, rawSource(path))
	noted := strings.Join(notes, "|")
	if len(all) != 1 || !strings.Contains(noted, "it belongs to user 4711") ||
		!strings.Contains(noted, "it has 2 names") {
		t.Errorf("got %q, notes %q", texts(all), noted)
	}
	src := rawSource(path)
	src.Owners = []uint32{4711}
	if all, _, _ = read(t, store, retain.Query{Last: 9}, src); len(all) != 2 {
		t.Errorf("the file of the child's user: got %q", texts(all))
	}
}

// TestUnpackEndsWithRequest checks that nothing is unpacked once the request has ended.
func TestUnpackEndsWithRequest(t *testing.T) {
	data := pack(make([]byte, 1<<20)) // less than section reads at once
	path := filepath.Join(t.TempDir(), "x.log.1.gz")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	opened, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	f := &file{fd: int(opened.Fd()), size: int64(len(data)), packed: true}
	ctx, end := context.WithCancel(t.Context())
	defer end()
	r, err := f.reader(ctx, 0, f.size)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4<<10)
	if n, err := r.Read(buf); n == 0 || err != nil {
		t.Fatalf("got %d bytes and %v before the end of the request", n, err)
	}
	end()
	if n, err := r.Read(buf); n > 0 || err != context.Canceled {
		t.Errorf("got %d bytes and %v after the end of the request", n, err)
	}
}
