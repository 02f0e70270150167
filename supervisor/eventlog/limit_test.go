package eventlog

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tp0/supervisor/event"
)

func TestLineLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lineLimit
		a, b := class{"child notified", "a", "running"}, class{"child notified", "b", "running"}
		flood := func(c class, n int) (written, omitted int) {
			for range n {
				if o, ok := l.permit(c, time.Now()); ok {
					written, omitted = written+1, omitted+o
				}
			}
			return written, omitted
		}
		if n, _ := flood(a, 1000); n != lineBurst {
			t.Errorf("got %d lines at once, want %d", n, lineBurst)
		}
		if n, omitted := flood(b, lineBurst); n != lineBurst || omitted != 0 {
			t.Errorf("another child has %d lines, want %d", n, lineBurst)
		}
		time.Sleep(lineInterval)
		if n, omitted := flood(a, 100); n != 1 || omitted != 1000-lineBurst {
			t.Errorf("after a second: got %d lines and %d omitted, want 1 and %d", n, omitted,
				1000-lineBurst)
		}
		if rest := l.rest(); len(rest) != 1 || rest[0] != (event.LinesLimited{
			Of: "child notified", Child: "a", What: "running", Suppressed: 99,
		}) {
			t.Errorf("got the rest %+v, want 99 lines of a", rest)
		}
		if rest := l.rest(); len(rest) != 0 {
			t.Errorf("got %+v twice", rest)
		}
		time.Sleep(lineBurst * lineInterval)
		if n, _ := flood(a, 1000); n != lineBurst {
			t.Errorf("after a pause: got %d lines, want %d", n, lineBurst)
		}
	})
}

// TestLineLimitForgets checks that many classes need bounded memory, and that no count is lost.
func TestLineLimitForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lineLimit
		busy := class{message: "busy"}
		for range lineBurst + 7 {
			l.permit(busy, time.Now())
		}
		for i := range 3 * maxClasses {
			time.Sleep(time.Second)
			l.permit(class{message: "x", child: string(rune(i + 1))}, time.Now())
		}
		if len(l.classes) != len(l.order) || len(l.order) > maxClasses {
			t.Errorf("got %d classes, want %d at most", len(l.order), maxClasses)
		}
		if rest := l.rest(); len(rest) != 1 || rest[0].Suppressed != 7 {
			t.Errorf("got %+v, want 7 lines of busy", rest)
		}
	})
}

// TestFloodOfEvents checks that the log has a bounded number of lines, the number of the others,
// and every reaped process.
func TestFloodOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := New()
		l.Start(&out, Settings{Level: "info"})
		flood := func() {
			for range 5000 {
				l.Emit(event.Notified{Child: "a", Pid: 1, What: "running"})
				l.Emit(event.OrphanReaped{Pid: 2, Command: "sh"})
			}
			synctest.Wait()
		}
		flood()
		time.Sleep(10 * time.Second)
		flood()
		l.Emit(event.Notified{Child: "b", Pid: 3, What: "running"})
		l.Emit(event.ShutdownComplete{Verdict: event.Graceful})
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		text := out.String()
		for part, want := range map[string]int{
			"child notified: child=a": lineBurst + 10, "child notified: child=b": 1,
			"orphan reaped":      10_000,
			" suppressed=4950\n": 1,
			`lines suppressed: of="child notified" child=a what=running suppressed=4990` + "\n": 1,
		} {
			if got := strings.Count(text, part); got != want {
				t.Errorf("got %d times %q, want %d", got, part, want)
			}
		}
		if !strings.HasSuffix(text, "verdict=graceful\n") {
			t.Error("shutdown complete is not the last line")
		}
	})
}
