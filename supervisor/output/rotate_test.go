package output

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// rotateBy makes the log file of a bench rotate.
func (b *logBench) rotateBy(r Rotation) {
	b.Configure(Settings{Rotations: map[string]Rotation{b.path("log"): r}})
}

// files returns the files of the directory with their contents.
func (b *logBench) files() string {
	names, err := os.ReadDir(b.dir)
	b.must(err)
	var list []string
	for _, n := range names {
		plain := strings.TrimSuffix(n.Name(), ".gz")
		if plain != n.Name() && slices.ContainsFunc(names, func(other os.DirEntry) bool {
			return other.Name() == plain
		}) {
			b.t.Errorf("both %s and %s exist", plain, n.Name())
		}
		text, _ := readRotated(b.t, b.path(plain))
		list = append(list, n.Name()+"="+strings.ReplaceAll(string(text), "\n", ","))
	}
	return strings.Join(list, " ")
}

// TestRotate checks which files there are after a line, also if a crash between two steps of a
// rotation left the state before.
func TestRotate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before map[string]string
		after  string
	}{
		{"first", map[string]string{"log": "1\n"}, "log=x, log.1=1,"},
		{"empty", map[string]string{"log": ""}, "log=x,"},
		{"room", map[string]string{"log": "1\n", "log.2": "0\n"}, "log=x, log.1=1, log.2=0,"},
		{"full", map[string]string{"log": "4\n", "log.1": "3\n", "log.2": "2\n"},
			"log=x, log.1=4, log.2=3,"},
		{"keep was larger", map[string]string{"log": "4\n", "log.1": "3\n", "log.2": "2\n",
			"log.3": "1\n", "log.4": "0\n"}, "log=x, log.1=4, log.2=3,"},
		{"crash after the new file", map[string]string{"log": "3\n", "log.1": "2\n",
			"log.new": ""}, "log=x, log.1=3, log.2=2,"},
		{"crash after the shift", map[string]string{"log": "3\n", "log.2": "2\n"},
			"log=x, log.1=3, log.2=2,"},
		{"crash after the rename", map[string]string{"log.1": "3\n", "log.2": "2\n",
			"log.new": ""}, "log=x, log.1=3, log.2=2, log.new="},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range tt.before {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Test(t, func(t *testing.T) {
				b := newLogBench(t, dir)
				b.rotateBy(Rotation{Size: 3, Keep: 2})
				b.line("x")
				if got := b.files(); got != tt.after {
					t.Errorf("got %s, want %s", got, tt.after)
				}
				b.must(b.Close(t.Context()))
			})
		})
	}
}

// TestRotateByAge checks that an old file is renamed before the next line, and that nothing happens
// without a line.
func TestRotateByAge(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newLogBench(t, dir)
		b.rotateBy(Rotation{Age: time.Hour, Keep: 3})
		for _, step := range []struct {
			pause time.Duration
			line  string
			want  string
		}{
			{2 * time.Hour, "1", "log=1,"}, // it was empty
			{30 * time.Minute, "2", "log=1,2,"},
			{30 * time.Minute, "3", "log=3, log.1=1,2,"},
			{59 * time.Minute, "4", "log=3,4, log.1=1,2,"},
			{5 * time.Hour, "5", "log=5, log.1=3,4, log.2=1,2,"},
		} {
			before := b.files()
			pass(step.pause)
			if got := b.files(); got != before {
				t.Errorf("without a line: got %s, want %s", got, before)
			}
			b.line(step.line)
			if got := b.files(); got != step.want {
				t.Errorf("after line %s: got %s, want %s", step.line, got, step.want)
			}
		}
		b.must(b.Close(t.Context()))
	})
}

// TestRotationFails checks that the lines go to the open file, that the reason is reported once,
// and that the rotation is tried again.
func TestRotationFails(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newLogBench(t, dir)
		var reports []string
		b.opt.NotRotated = func(path string, err error) {
			reports = append(reports, strings.ReplaceAll(err.Error(), dir, ""))
		}
		b.rotateBy(Rotation{Size: 3, Keep: 2})
		b.must(os.Mkdir(b.path("log.new"), 0o700)) // no file can be created
		for _, line := range []string{"1", "2", "3"} {
			b.line(line)
			pass(rotateRetry)
		}
		b.expect("log", "1 2 3 ")
		if len(reports) != 1 || !strings.HasPrefix(reports[0], "remove /log.new: ") {
			t.Errorf("reported %q", reports)
		}
		b.must(os.Remove(b.path("log.new")))
		b.line("4")
		if got := b.files(); got != "log=4, log.1=1,2,3," {
			t.Errorf("got %s", got)
		}
		b.must(b.Close(t.Context()))
	})
}

// TestRotationBesideOtherPrograms checks a file that another program renames or truncates.
func TestRotationBesideOtherPrograms(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newLogBench(t, dir)
		b.rotateBy(Rotation{Size: 5, Keep: 2})
		b.line("1")
		b.line("2")
		b.must(os.Truncate(b.path("log"), 0))
		b.line("3")
		b.expect("log", "3 ")
		b.line("4")
		b.rename()
		b.line("5") // within checkInterval
		pass(checkInterval)
		b.line("6")
		if got := b.files(); got != "log=6, old=3,4,5," {
			t.Errorf("got %s", got)
		}
		b.must(b.Close(t.Context()))
	})
}

// TestRotationUnderLoad has three processes that write to one file as fast as they can. Each line
// is whole and in one of the files, in order, and no file is larger than the limit.
func TestRotationUnderLoad(t *testing.T) {
	t.Run("plain", func(t *testing.T) { rotateUnderLoad(t, false) })
	t.Run("compressed", func(t *testing.T) { rotateUnderLoad(t, true) })
}

func rotateUnderLoad(t *testing.T, compress bool) {
	const each, size = 20_000, 256 << 10
	path := filepath.Join(t.TempDir(), "log")
	s := newTestRelay(t, true)
	out, log := reading(s.out), reading(s.log)
	s.Configure(Settings{Rotations: map[string]Rotation{
		path: {Size: size, Keep: 1000, Compress: compress},
	}})
	var outputs []*ChildOutput
	var waits []func() int
	for _, mark := range []string{"a", "b", "c"} {
		r := s.prepare(Spec{Instance: mark, Format: "raw", Stdout: path, Stderr: "stderr"})
		outputs = append(outputs, r)
		waits = append(waits, s.spawn(r, "lines", nil, fmt.Sprint(each), "1", mark))
	}
	finish := s.keepOpen(path, compress)
	for i, wait := range waits {
		if code := wait(); code != 0 {
			t.Errorf("a process exited with %d", code)
		}
		waitDone(t, outputs[i])
	}
	finish()
	s.shut()
	out()
	log()
	names, err := filepath.Glob(path + "*")
	if err != nil || len(names) < 3*each*lineWidth/size {
		t.Errorf("there are %d files (error %v)", len(names), err)
	}
	next, compressed := map[string]int{}, 0
	for n := len(names) - 1; n >= 0; n-- {
		name := strings.TrimSuffix(fmt.Sprint(path, ".", n), ".0")
		text, isCompressed := readRotated(t, name)
		if isCompressed {
			compressed++
		}
		if len(text) > size || len(text) == 0 {
			t.Errorf("%s has %d bytes", name, len(text))
		}
		for line := range bytes.Lines(text) {
			mark := string(line[:1])
			if !slices.Equal(line, numbered(mark, next[mark])) {
				t.Fatalf("%s: got %.30q, want line %d", name, line, next[mark])
			}
			next[mark]++
		}
	}
	if (compressed > 0) != compress {
		t.Errorf("%d of %d files are compressed", compressed, len(names))
	}
	for _, mark := range []string{"a", "b", "c"} {
		if next[mark] != each {
			t.Errorf("%s has %d of %d lines", mark, next[mark], each)
		}
	}
}

// keepOpen keeps a log file open until finish is called, because its close ends the compression.
// finish waits for a compressed file, if there are some.
func (s *testRelay) keepOpen(path string, compress bool) (finish func()) {
	idle := s.prepare(Spec{Instance: "idle", Format: "raw", Stdout: path, Stderr: "stderr"})
	return func() {
		if compress {
			awaitFile(s.t, path+".*"+compressedSuffix)
		}
		idle.Started()
		waitDone(s.t, idle)
	}
}

// awaitFile waits for a file whose name matches a pattern.
func awaitFile(t *testing.T, pattern string) {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(time.Millisecond) {
		if names, _ := filepath.Glob(pattern); len(names) > 0 {
			return
		}
	}
	t.Errorf("there is no file %s", pattern)
}

// readRotated returns the text of a renamed file, which can be compressed. Both kinds can exist if
// the end of the relay came between two steps: then both have the same text.
func readRotated(t *testing.T, name string) (text []byte, compressed bool) {
	t.Helper()
	f, err := os.Open(name + ".gz")
	if err != nil {
		if text, err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
		return text, false
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err == nil {
		text, err = io.ReadAll(z)
	}
	if err != nil {
		t.Fatalf("%s.gz: %v", name, err)
	}
	return text, true
}

// TestCompressionResumes checks that a start of a child compresses what an end has interrupted.
func TestCompressionResumes(t *testing.T) {
	s := newTestRelay(t, false)
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path+".2", []byte("1\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	s.Configure(Settings{Rotations: map[string]Rotation{path: {Size: 1, Keep: 3, Compress: true}}})
	s.keepOpen(path, true)()
	if text, compressed := readRotated(t, path+".2"); string(text) != "1\n" || !compressed {
		t.Errorf("got %q, compressed: %v", text, compressed)
	}
}

// TestCompress checks which renamed files are compressed after a rotation, also if a crash between
// two steps left the state before.
func TestCompress(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before map[string]string // "gz:text" is compressed
		after  string
		keep   int
	}{
		{"the newest one is not", map[string]string{"log": "2\n", "log.1": "1\n"},
			"log=x, log.1=2, log.2.gz=1,", 3},
		{"all others", map[string]string{"log": "4\n", "log.1": "3\n", "log.2": "2\n",
			"log.3": "1\n"}, "log=x, log.1=4, log.2.gz=3, log.3.gz=2, log.4.gz=1,", 5},
		{"the oldest one is deleted", map[string]string{"log": "4\n", "log.1": "3\n",
			"log.2.gz": "gz:2\n", "log.3.gz": "gz:1\n"},
			"log=x, log.1=4, log.2.gz=3, log.3.gz=2,", 3},
		{"keep was larger", map[string]string{"log": "4\n", "log.1": "3\n",
			"log.2.gz": "gz:2\n", "log.3.gz": "gz:1\n", "log.4": "0\n"},
			"log=x, log.1=4, log.2.gz=3,", 2},
		{"crash in the compression", map[string]string{"log": "2\n", "log.1": "1\n",
			"log.gz.new": "gz:half"}, "log=x, log.1=2, log.2.gz=1,", 3},
		{"crash before the plain one was removed", map[string]string{"log": "3\n", "log.1": "2\n",
			"log.2": "1\n", "log.2.gz": "gz:1\n"}, "log=x, log.1=3, log.2.gz=2, log.3.gz=1,", 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range tt.before {
				if plain, ok := strings.CutPrefix(text, "gz:"); ok {
					var b bytes.Buffer
					z := gzip.NewWriter(&b)
					_, _ = z.Write([]byte(plain))
					_ = z.Close()
					text = b.String()
				}
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o640); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Test(t, func(t *testing.T) {
				b := newLogBench(t, dir)
				b.rotateBy(Rotation{Size: 3, Keep: tt.keep, Compress: true})
				b.line("x")
				synctest.Wait()
				if got := b.files(); got != tt.after {
					t.Errorf("got %s, want %s", got, tt.after)
				}
				b.must(b.Close(t.Context()))
			})
		})
	}
}
