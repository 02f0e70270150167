package retain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tp0/supervisor/output/lines"
)

// bench is a store with instances, whose reads have the time base + one second for each.
type bench struct {
	*Store
	t     *testing.T
	insts map[string]*Instance
	procs map[string]uint32
	now   time.Time
}

var base = time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)

func newBench(t *testing.T, total int, limits map[string]int) *bench {
	s := NewStore(nil)
	s.Configure(total, limits)
	return &bench{s, t, map[string]*Instance{}, map[string]uint32{}, base}
}

// start starts a process of an instance. The child is the name without its digit.
func (b *bench) start(name string) {
	b.insts[name], b.procs[name] = b.Open(name, strings.TrimRight(name, "0123456789"))
}

func (b *bench) add(name string, stream Stream, text string) {
	end := lines.Newline
	n := strings.Count(text, "\n")
	if !strings.HasSuffix(text, "\n") {
		end, n = lines.EOF, n+1
	}
	b.Add(b.insts[name], Read{
		Process: b.procs[name], Stream: stream, At: b.now, Lines: n, End: end,
		Text: []byte(text),
	})
	b.now = b.now.Add(time.Second)
}

// all returns the texts that a query selects, with their instances.
func (b *bench) all(q Query) (got []string, missed uint64) {
	b.t.Helper()
	r, err := b.Read(q)
	if err != nil {
		b.t.Fatal(err)
	}
	defer r.Close()
	return b.rest(r)
}

func (b *bench) rest(r *Reader) (got []string, missed uint64) {
	b.t.Helper()
	for {
		batch, err := r.Next(b.t.Context())
		missed += batch.Missed
		for l := range batch.Lines() {
			got = append(got, l.Instance+":"+string(l.Text))
		}
		if err == io.EOF {
			return got, missed
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
}

var limits = map[string]int{"web1": 64 << 10, "web2": 64 << 10, "db": 64 << 10}

// twoProcesses adds the lines of three instances. web1 has two processes.
func twoProcesses(t *testing.T) *bench {
	b := newBench(t, 1<<20, limits)
	for _, name := range []string{"web1", "web2", "db"} {
		b.start(name)
	}
	b.add("web1", Stdout, "1\n2\n")
	b.add("db", Stderr, "3\n")
	b.add("web1", Stdout, "4")
	b.Release(b.insts["web1"])
	b.start("web1")
	b.add("web2", Stdout, "5\n6\n7\n")
	b.add("web1", Stderr, "8\n")
	b.add("db", Stdout, "9\n")
	return b
}

func TestQuery(t *testing.T) {
	for _, tt := range []struct {
		name string
		q    Query
		want string
	}{
		{"all", Query{Last: -1}, "web1:1 web1:2 db:3 web1:4 web2:5 web2:6 web2:7 web1:8 db:9"},
		{"child", Query{Last: -1, Names: []string{"web"}},
			"web1:1 web1:2 web1:4 web2:5 web2:6 web2:7 web1:8"},
		{"instances", Query{Last: -1, Names: []string{"web2", "db"}},
			"db:3 web2:5 web2:6 web2:7 db:9"},
		{"unknown", Query{Last: -1, Names: []string{"x"}}, ""},
		{"last of each", Query{Last: 2}, "db:3 web1:4 web2:6 web2:7 web1:8 db:9"},
		{"none", Query{}, ""},
		{"stderr", Query{Last: -1, Stderr: true}, "db:3 web1:8"},
		{"last of stderr", Query{Last: 1, Stderr: true}, "db:3 web1:8"},
		{"both streams", Query{Last: 1, Stdout: true, Stderr: true}, "web2:7 web1:8 db:9"},
		{"since", Query{Last: -1, Since: base.Add(3 * time.Second)},
			"web2:5 web2:6 web2:7 web1:8 db:9"},
		{"previous", Query{Last: -1, Previous: true}, "web1:1 web1:2 web1:4"},
		{"last of previous", Query{Last: 2, Previous: true}, "web1:2 web1:4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, missed := twoProcesses(t).all(tt.q)
			if text := strings.Join(got, " "); text != tt.want || missed != 0 {
				t.Errorf("got %s, missed %d, want %s", text, missed, tt.want)
			}
		})
	}
}

// TestPreviousWithoutAProcess checks that the last process is the previous one once it has ended.
func TestPreviousWithoutAProcess(t *testing.T) {
	b := twoProcesses(t)
	b.Release(b.insts["web1"])
	if got, _ := b.all(Query{Last: -1, Previous: true}); !slices.Equal(got, []string{"web1:8"}) {
		t.Errorf("got %q", got)
	}
}

// TestLine checks the facts of a line, and bytes that are no text.
func TestLine(t *testing.T) {
	b := newBench(t, 1<<20, map[string]int{"web1": 1 << 20})
	b.start("web1")
	long := strings.Repeat("x", lines.Max)
	b.add("web1", Stderr, "\x00\xff\x1b[31m\r\n\n"+long+"yz")
	r, _ := b.Read(Query{Last: -1})
	defer r.Close()
	batch, err := r.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := slices.Collect(batch.Lines())
	want := []Line{{Text: []byte("\x00\xff\x1b[31m\r")}, {Text: []byte("")},
		{Text: []byte(long), Partial: true}, {Text: []byte("yz")}}
	if len(got) != len(want) {
		t.Fatalf("got %d lines", len(got))
	}
	for i, l := range got {
		if !bytes.Equal(l.Text, want[i].Text) || l.Partial != want[i].Partial {
			t.Errorf("line %d: got %.20q, partial %t", i, l.Text, l.Partial)
		}
		if l.Instance != "web1" || l.Child != "web" || l.Process != 1 || l.Stream != Stderr ||
			!l.At.Equal(base) {
			t.Errorf("line %d: got %+v", i, l)
		}
	}
}

// TestLimits adds random lines to instances, and checks the memory and that the lines of each
// instance are the last ones, whole and in order.
func TestLimits(t *testing.T) {
	const total = 256 << 10
	sizes := map[string]int{"a": 64 << 10, "b": 200 << 10, "c": 200 << 10, "d": 5 << 10, "e": 0}
	b := newBench(t, total, sizes)
	random := rand.New(rand.NewPCG(1, 2))
	names := []string{"a", "b", "c", "d", "e", "b", "b", "c", "c"}
	for _, n := range names[:5] {
		b.start(n)
	}
	count := map[string]int{}
	b.add("d", Stdout, "quiet\n")
	for n := range 5000 {
		name := names[random.IntN(len(names))]
		if name == "d" && count["d"] > 10 {
			continue
		}
		var text strings.Builder
		for range 1 + random.IntN(20) {
			fmt.Fprintf(&text, "%s %d %s\n", name, count[name],
				strings.Repeat("x", random.IntN(200)))
			count[name]++
		}
		b.add(name, Stdout, text.String())
		if b.bytes > total {
			t.Fatalf("%d bytes are in use, want %d at most", b.bytes, total)
		}
		if n%100 == 0 {
			checkCosts(t, b.Store)
		}
	}
	got, _ := b.all(Query{Last: -1})
	last := map[string]int{}
	for _, line := range got {
		var name string
		var n int
		if strings.HasSuffix(line, ":quiet") {
			continue
		}
		if _, err := fmt.Sscanf(line[2:], "%s %d", &name, &n); err != nil {
			t.Fatalf("torn line %q", line)
		}
		if before, ok := last[name]; ok && n != before+1 {
			t.Fatalf("%s: line %d follows %d", name, n, before)
		}
		last[name] = n
	}
	for name, n := range count {
		if name != "e" && last[name] != n-1 {
			t.Errorf("%s: the last line is %d, want %d", name, last[name], n-1)
		}
	}
	if _, ok := last["e"]; ok || !slices.Contains(got, "d:quiet") {
		t.Errorf("e has lines: %t, or those of d are gone", ok)
	}
}

// checkCosts compares the counted bytes with those of the chunks.
func checkCosts(t *testing.T, s *Store) {
	t.Helper()
	sum, filled := 0, 0
	for name, i := range s.instances {
		n := 0
		for _, c := range i.chunks {
			n += c.cost()
		}
		if n != i.bytes {
			t.Fatalf("%s uses %d bytes, counted are %d", name, n, i.bytes)
		}
		if sum += n; n > 0 {
			filled++
		}
	}
	if sum != s.bytes || filled != s.filled {
		t.Fatalf("%d bytes of %d instances are in use, counted are %d of %d", sum, filled,
			s.bytes, s.filled)
	}
}

// TestMemoryIsGivenBack checks what a new configuration frees.
func TestMemoryIsGivenBack(t *testing.T) {
	b := twoProcesses(t)
	if b.bytes == 0 || b.bytes > 4<<10 {
		t.Errorf("nine short lines use %d bytes", b.bytes)
	}
	b.Configure(1<<20, map[string]int{"web2": 0, "db": 64 << 10})
	if got, _ := b.all(Query{Last: -1}); !slices.Equal(got, []string{"db:3", "db:9"}) {
		t.Errorf("without limits for web: got %q", got)
	}
	b.Release(b.insts["web1"])
	if b.instances["web1"] != nil || b.instances["web2"] == nil {
		t.Error("web1 is removed only when its output has ended, web2 stays")
	}
	b.Configure(0, limits)
	if b.bytes != 0 {
		t.Errorf("%d bytes are in use without a sum", b.bytes)
	}
	checkCosts(t, b.Store)
}

// TestBuffers checks that large reads are kept without a copy, and that each buffer comes back.
func TestBuffers(t *testing.T) {
	var back [][]byte
	s := NewStore(func(b []byte) { back = append(back, b) })
	s.Configure(1<<20, map[string]int{"a": 300})
	i, _ := s.Open("a", "a")
	add := func(n int) bool {
		buffer := make([]byte, 100)
		for k := range buffer {
			buffer[k] = '\n'
		}
		return s.Add(i, Read{Lines: n, Text: buffer[:n], Buffer: buffer})
	}
	if add(49) || !add(50) || !add(100) {
		t.Error("a buffer is kept if half of it is used")
	}
	for range 10 {
		add(100)
	}
	s.Configure(0, nil)
	if len(back) != 12 {
		t.Errorf("%d of 12 buffers came back", len(back))
	}
	for _, b := range back {
		if cap(b) != 100 {
			t.Errorf("a buffer has the capacity %d", cap(b))
		}
	}
}

// TestFollow checks that a reader gets later lines, those of new instances too, and the end.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := twoProcesses(t)
		r, err := b.Read(Query{Last: 1, Follow: true, Names: []string{"web"}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		var got []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			got, _ = b.rest(r)
		}()
		synctest.Wait()
		b.add("db", Stdout, "10\n")
		b.add("web2", Stderr, "11\n12\n")
		synctest.Wait()
		b.start("web3")
		b.limits["web3"] = 1 << 10
		b.add("web3", Stdout, "13\n")
		b.Store.Close()
		<-done
		want := []string{"web2:7", "web1:8", "web2:11", "web2:12", "web3:13"}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestReaderGoes checks that a reader that waits ends with its context.
func TestReaderGoes(t *testing.T) {
	b := newBench(t, 1<<20, limits)
	r, _ := b.Read(Query{Follow: true})
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestDeadReader checks that a reader that takes nothing has a bounded window, and learns how many
// lines it missed.
func TestDeadReader(t *testing.T) {
	const lineSize, sum = 1 << 10, 16 << 20
	b := newBench(t, sum, map[string]int{"web1": 64 << 10, "db": 64 << 10})
	b.start("web1")
	b.start("db")
	r, _ := b.Read(Query{Follow: true, Names: []string{"web"}})
	line := strings.Repeat("x", lineSize-1) + "\n"
	const added = 3 * followWindow / lineSize
	for range added {
		b.add("web1", Stdout, line)
		b.add("db", Stdout, line)
	}
	if n := b.insts["web1"].bytes; n < followWindow/2 || n > followWindow {
		t.Errorf("the instance that is followed has %d bytes", n)
	}
	if n := b.insts["db"].bytes; n > 64<<10 {
		t.Errorf("the other instance has %d bytes", n)
	}
	b.Store.Close()
	got, missed := b.rest(r)
	if missed == 0 || len(got)+int(missed) != added {
		t.Errorf("got %d lines and %d missed ones of %d", len(got), missed, added)
	}
	r.Close()
	if n := b.insts["web1"].bytes; n > 64<<10 {
		t.Errorf("%d bytes are kept for a reader that is gone", n)
	}
}

// TestReadersAreBounded checks the number of readers, and a query that contradicts itself.
func TestReadersAreBounded(t *testing.T) {
	b := newBench(t, 1<<20, limits)
	if _, err := b.Read(Query{Previous: true, Follow: true}); err == nil {
		t.Error("the previous process is followed")
	}
	var first *Reader
	for range maxReaders {
		r, err := b.Read(Query{})
		if err != nil {
			t.Fatal(err)
		}
		first = r
	}
	if _, err := b.Read(Query{}); !errors.Is(err, ErrTooManyReaders) {
		t.Errorf("got %v", err)
	}
	first.Close()
	if _, err := b.Read(Query{}); err != nil {
		t.Error(err)
	}
}

// TestConcurrentReaders has writers and readers at once. Each reader gets each line once and in the
// order of its instance, or is told how many it missed.
func TestConcurrentReaders(t *testing.T) {
	const writers, each = 4, 20_000
	sizes := map[string]int{}
	for w := range writers {
		sizes[fmt.Sprint("web", w)] = 32 << 10
	}
	s := NewStore(nil)
	s.Configure(1<<20, sizes)
	var all sync.WaitGroup
	for n := range 3 {
		r, err := s.Read(Query{Last: -1, Follow: true})
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() { checkReader(t, r, n, writers*each) })
	}
	var writing sync.WaitGroup
	for w := range writers {
		name := fmt.Sprint("web", w)
		i, _ := s.Open(name, "web")
		writing.Go(func() {
			for n := range each {
				s.Add(i, Read{At: time.Now(), Lines: 1, Text: fmt.Appendf(nil, "%d\n", n)})
			}
		})
	}
	writing.Wait()
	s.Close()
	all.Wait()
}

func checkReader(t *testing.T, r *Reader, n, want int) {
	defer r.Close()
	next := map[string]int{}
	got, skipped, missed := 0, 0, 0
	for {
		batch, err := r.Next(t.Context())
		missed += int(batch.Missed)
		for l := range batch.Lines() {
			var k int
			fmt.Sscan(string(l.Text), &k)
			if k < next[l.Instance] {
				t.Errorf("reader %d: %s: line %d came twice", n, l.Instance, k)
			}
			skipped += k - next[l.Instance]
			next[l.Instance] = k + 1
			got++
		}
		if err != nil {
			break
		}
	}
	if got+missed != want || skipped > missed {
		t.Errorf("reader %d: %d lines, %d missed, %d not there, want %d", n, got, missed, skipped,
			want)
	}
}
