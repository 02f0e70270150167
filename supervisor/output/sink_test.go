package output

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/timeout"
)

// A fakeTarget accepts as many bytes as its function returns, and records them.
type fakeTarget struct {
	take func(size int) (int, error)
	mu   sync.Mutex
	got  bytes.Buffer
}

func (f *fakeTarget) write(bufs [][]byte) (int, error) {
	all := bytes.Join(bufs, nil)
	n, err := f.take(len(all))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got.Write(all[:n])
	return n, err
}

func (f *fakeTarget) text() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.got.String()
}

// A bench is a sink with a fake target, in a synctest bubble.
type bench struct {
	*sink
	target *fakeTarget
	drops  *drops
}

func newBench(t *testing.T, take func(size int) (int, error)) *bench {
	return newHookedBench(t, hooks{}, take)
}

func newHookedBench(t *testing.T, h hooks, take func(size int) (int, error)) *bench {
	b := &bench{target: &fakeTarget{take: take}, drops: &drops{first: make(chan struct{})}}
	b.sink = newSink("stdout", b.target, b.drops.add)
	b.checkPath = h.checkPath
	go b.write()
	t.Cleanup(func() {
		close(b.quit)
		<-b.gone
	})
	return b
}

// memory returns the size of the queue.
func (b *bench) memory() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held
}

// pass advances the time of the bubble.
func pass(d time.Duration) { <-time.After(d) }

// send puts text and returns how long that took.
func (b *bench) send(text string, from *origin) time.Duration {
	began := time.Now()
	x := newBatch()
	x.b, x.lines = append(x.b, text...), strings.Count(text, "\n")
	b.put(x, from)
	return time.Since(began)
}

// block returns n bytes of lines of 16 bytes.
func block(n int) string { return strings.Repeat("123456789abcdef\n", n/16) }

// gated returns a function that accepts nothing until open is closed, and everything then.
func gated(open, quit <-chan struct{}) func(int) (int, error) {
	return func(size int) (int, error) {
		select {
		case <-open:
			return size, nil
		case <-quit:
			return 0, nil
		}
	}
}

func TestSlowTargetLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(size int) (int, error) {
			pass(stallTimeout - time.Millisecond) // the bubble's time: the target is that slow
			return min(size, 4096+1), nil
		})
		const n = 40
		var writers sync.WaitGroup
		for range 2 {
			writers.Go(func() {
				for range n {
					b.send(block(64<<10), &origin{})
				}
			})
		}
		writers.Wait()
		if left, _ := flush(t.Context(), b.sink, b.mark(), stallTimeout); left != 0 {
			t.Errorf("got %d bytes left, want none", left)
		}
		if b.target.text() != block(2*n*64<<10) {
			t.Errorf("got %d bytes, want %d", len(b.target.text()), 2*n*64<<10)
		}
		if got := b.drops.list(); len(got) != 0 {
			t.Errorf("got the reports %+v", got)
		}
	})
}

func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open, quit := make(chan struct{}), make(chan struct{})
		defer close(quit)
		started := false
		gate := gated(open, quit)
		b := newBench(t, func(size int) (int, error) {
			if !started { // accept a part of the first line, and then nothing
				started = true
				return 5, nil
			}
			return gate(size)
		})
		from := &origin{}
		sent := 0
		for b.memory() < queueLimit {
			if d := b.send(block(64<<10), from); d != 0 {
				t.Fatalf("put took %v although the queue has room", d)
			}
			synctest.Wait()
			sent++
		}
		pass(time.Hour / 2) // the queue is full, but no line waits
		// The queue has been full for long: a new line does not wait.
		if d := b.send(block(1600), from); d != 0 {
			t.Errorf("a line took %v in a full queue, want no wait", d)
		}
		want := []drop{{"stdout", 100, 1600, reasonStalled}}
		if got := b.drops.list(); len(got) != 1 || got[0] != want[0] {
			t.Errorf("got the reports %+v", got)
		}
		for range 29 { // one report each second
			pass(100 * time.Millisecond)
			b.send(block(160), from)
		}
		want = append(want, drop{"stdout", 100, 1600, reasonStalled},
			drop{"stdout", 100, 1600, reasonStalled})
		if got := b.drops.list(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got the reports %+v, want %+v", got, want)
		}
		if b.memory() > queueLimit+batchSize {
			t.Errorf("the queue holds %d bytes", b.memory())
		}
		close(open)
		synctest.Wait()
		want = append(want, drop{"stdout", 90, 1440, reasonStalled})
		if got := b.drops.list(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got the reports %+v after the target resumed, want %+v", got, want)
		}
		b.send("after\n", from)
		synctest.Wait()
		if got := b.target.text(); got != block(sent*64<<10)+"after\n" {
			t.Errorf("got %d bytes, the first line is %.20q", len(got), got)
		}
	})
}

// TestStallTimeout checks that the timeout starts when the queue becomes full, not with the last
// accepted byte.
func TestStallTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quit := make(chan struct{})
		defer close(quit)
		b := newBench(t, gated(nil, quit))
		b.send("early\n", &origin{})
		pass(time.Hour)
		for b.memory() < queueLimit {
			b.send(block(64<<10), &origin{})
		}
		var waits [2]time.Duration
		var writers sync.WaitGroup
		for i := range waits {
			writers.Go(func() { waits[i] = b.send("x\n", &origin{}) })
		}
		writers.Wait()
		if waits != [2]time.Duration{stallTimeout, stallTimeout} {
			t.Errorf("waited %v", waits)
		}
		if d := b.send("x\n", &origin{}); d != 0 {
			t.Errorf("put took %v in a stalled sink", d)
		}
	})
}

// TestPauseDropsNothing checks that a pause of the supervisor does not count as a stall, and that a
// stalled destination is noticed after it.
func TestPauseDropsNothing(t *testing.T) {
	for accepts, want := range map[bool]time.Duration{
		true: 1300 * time.Millisecond, false: 1500 * time.Millisecond,
	} {
		synctest.Test(t, func(t *testing.T) {
			quit, open := make(chan struct{}), make(chan struct{})
			defer close(quit)
			b := newBench(t, gated(open, quit))
			var paused atomic.Int64
			base := time.Now()
			b.clock = timeout.New(func() time.Duration {
				return time.Since(base) + time.Duration(paused.Load())
			}, func(time.Duration) {})
			for b.memory() < queueLimit {
				b.send(block(64<<10), &origin{})
			}
			go func() {
				pass(500 * time.Millisecond)
				synctest.Wait()
				paused.Add(int64(time.Hour))
				pass(800 * time.Millisecond)
				if accepts {
					close(open)
				}
			}()
			waited := b.send("x\n", &origin{})
			if waited < want || waited > want+200*time.Millisecond {
				t.Errorf("accepts %t: waited %v, want %v to 200ms more", accepts, waited, want)
			}
			b.drops.mu.Lock()
			defer b.drops.mu.Unlock()
			if lost := len(b.drops.all) > 0; lost == accepts {
				t.Errorf("accepts %t: dropped %v", accepts, b.drops.all)
			}
		})
	}
}

// TestPriorityLimit checks that the lines of a closed output do not wait and have a higher limit,
// and that own lines have it too and then wait for stallTimeout at most.
func TestPriorityLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quit := make(chan struct{})
		defer close(quit)
		b := newBench(t, gated(nil, quit))
		for b.memory() < queueLimit {
			b.send(block(64<<10), &origin{})
		}
		closing := make(chan struct{})
		waited := make(chan time.Duration)
		go func() { waited <- b.send("x\n", &origin{closing: closing}) }()
		pass(stallTimeout / 2)
		close(closing)
		if d := <-waited; d != stallTimeout/2 {
			t.Errorf("the closed output waited %v", d)
		}
		own := &origin{own: true}
		for b.memory() < priorityLimit {
			if d := b.send(block(64<<10), own); d != 0 {
				t.Fatalf("own lines took %v with %d bytes in the queue", d, b.memory())
			}
		}
		if got := b.drops.list(); len(got) != 0 {
			t.Errorf("got the reports %+v", got)
		}
		if d := b.send("y\n", &origin{closing: closing}); d != 0 {
			t.Errorf("the closed output took %v", d)
		}
		if got := b.drops.list(); len(got) != 1 || got[0] != (drop{"stdout", 1, 2, reasonSlow}) {
			t.Errorf("got the reports %+v", got)
		}
		if d := b.send("z\n", own); d > stallTimeout {
			t.Errorf("own lines took %v", d)
		}
		if d := b.send("z\n", own); d != 0 {
			t.Errorf("own lines took %v in a stalled sink", d)
		}
		if b.memory() > priorityLimit+batchSize {
			t.Errorf("the queue holds %d bytes", b.memory())
		}
	})
}

// TestOwnLinesWaitForASecond checks the limit of the wait with a target that accepts bytes slowly.
func TestOwnLinesWaitForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(int) (int, error) {
			pass(stallTimeout / 2)
			return 1, nil
		})
		own := &origin{own: true}
		for b.memory() < priorityLimit {
			b.send(block(64<<10), own)
		}
		if d := b.send("z\n", own); d != stallTimeout {
			t.Errorf("put took %v", d)
		}
	})
}

func TestFullDiskIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries []time.Duration
		began := time.Now()
		b := newBench(t, func(size int) (int, error) {
			tries = append(tries, time.Since(began))
			switch n := len(tries); {
			case n == 1:
				return 5, nil
			case n < 5:
				return 0, unix.ENOSPC
			}
			return size, nil
		})
		b.send("first line\n", &origin{})
		synctest.Wait()
		b.send("second line\n", &origin{})
		left, err := flush(t.Context(), b.sink, b.mark(), stallTimeout)
		if left == 0 || err != errStalled {
			t.Errorf("%d bytes left, %v: the disk is still full", left, err)
		}
		for left := uint64(1); left != 0; {
			left, _ = flush(t.Context(), b.sink, b.mark(), stallTimeout)
		}
		if got := b.target.text(); got != "first line\nsecond line\n" {
			t.Errorf("got %q", got)
		}
		if got, want := fmt.Sprint(tries[:5]), "[0s 0s 1s 2s 3s]"; got != want {
			t.Errorf("got tries at %s", got)
		}
		if got := b.drops.list(); len(got) != 1 ||
			got[0] != (drop{"stdout", 0, 0, unix.ENOSPC.Error()}) {
			t.Errorf("got the reports %+v", got)
		}
	})
}

// TestBrokenTarget checks that a failed sink drops its queue, including a line that was written in
// part, wakes the streams that wait, and is reported once.
func TestBrokenTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		n := 0
		b := newBench(t, func(int) (int, error) {
			if n++; n == 1 {
				return 5, nil
			}
			<-open
			return 0, unix.EIO
		})
		b.send("a line\n", &origin{})
		synctest.Wait()
		sent := 0
		for b.memory() < queueLimit {
			b.send(block(64<<10), &origin{})
			sent++
		}
		waited := make(chan time.Duration)
		go func() { waited <- b.send("x\n", &origin{}) }()
		synctest.Wait()
		close(open)
		if d := <-waited; d != 0 {
			t.Errorf("waited for %v", d)
		}
		b.send("y\n", &origin{})
		synctest.Wait()
		want := drop{"stdout", uint64(1 + sent*4096), uint64(2 + sent*64<<10), unix.EIO.Error()}
		if got := b.drops.list(); len(got) != 1 || got[0] != want {
			t.Errorf("got the reports %+v, want %+v", got, want)
		}
		if left, _ := b.left(b.mark()); left != 0 || b.memory() != 0 {
			t.Errorf("got %d bytes left and %d in the queue, want none", left, b.memory())
		}
	})
}

// TestLinesWithoutNewline checks that the lines of different origins are separated.
func TestLinesWithoutNewline(t *testing.T) {
	a, b := &origin{}, &origin{}
	for _, c := range []struct {
		name string
		send []any // origins and what they send
		want string
	}{
		{"one origin", []any{a, "par", a, "tial\n", a, "end"}, "partial\nend"},
		{"another comes between", []any{a, "1\npar", b, "2\n", a, "tial\n"}, "1\npar\n2\ntial\n"},
		{"both open", []any{a, "a", b, "b", a, "a\n", b, "b\n"}, "a\nb\na\nb\n"},
		{"closed lines", []any{a, "a\n", b, "b\n"}, "a\nb\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newBench(t, func(size int) (int, error) { return size, nil })
				for i := 0; i < len(c.send); i += 2 {
					s.send(c.send[i+1].(string), c.send[i].(*origin))
				}
				synctest.Wait()
				if got := s.target.text(); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			})
		})
	}
}

// TestLineAfterLoss checks that a raw line of which a piece was dropped is not continued.
func TestLineAfterLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open, quit := make(chan struct{}), make(chan struct{})
		defer close(quit)
		b := newBench(t, gated(open, quit))
		from := &origin{}
		for b.memory() < queueLimit-batchSize {
			b.send(block(64<<10), from)
		}
		b.send(strings.Repeat("x", 64<<10), from)
		b.send("lost\n", from)
		close(open)
		synctest.Wait()
		b.send("next\n", from)
		synctest.Wait()
		if got := b.target.text(); !strings.HasSuffix(got, "xx\nnext\n") {
			t.Errorf("got the end %q", got[len(got)-20:])
		}
	})
}

// TestSmallBatchesJoin checks that small batches are merged, so the limit bounds the memory.
func TestSmallBatchesJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open, quit := make(chan struct{}), make(chan struct{})
		defer close(quit)
		b := newBench(t, gated(open, quit))
		const n = 5000
		for i := range n {
			b.send(fmt.Sprintf("%06d\n", i), &origin{})
		}
		synctest.Wait()
		if b.memory() > 3*batchSize {
			t.Errorf("%d bytes use %d bytes of memory", n*7, b.memory())
		}
		close(open)
		synctest.Wait()
		lines := strings.Split(strings.TrimSpace(b.target.text()), "\n")
		for i, line := range lines {
			if line != fmt.Sprintf("%06d", i) {
				t.Fatalf("line %d is %q", i, line)
			}
		}
		if len(lines) != n {
			t.Errorf("got %d lines", len(lines))
		}
	})
}
