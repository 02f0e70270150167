package sigqueue

import (
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/sigaction"
)

// timeout bounds each wait of a test.
const timeout = 20 * time.Second

// action returns the action of a signal.
func action(t *testing.T, sig unix.Signal) sigaction.Action {
	t.Helper()
	a, err := sigaction.Get(sig)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// in is the channel of all queues of the tests.
var in = make(chan os.Signal, 1)

var queue = sync.OnceValue(func() *Queue { return New(in) })

// catch lets the queue catch signals until the end of the test.
func catch(t *testing.T, q *Queue, sigs ...unix.Signal) {
	t.Helper()
	for _, sig := range sigs {
		old := action(t, sig)
		q.Catch(sig)
		t.Cleanup(func() {
			signal.Reset(sig)
			if err := old.Set(sig); err != nil {
				t.Error(err)
			}
		})
	}
}

// send sends a signal to this process. A SIGPIPE comes from another one, see TestOwnSIGPIPE.
func send(t *testing.T, sig unix.Signal) {
	t.Helper()
	if sig == unix.SIGPIPE {
		if err := exec.Command("sh", "-c", "kill -PIPE $PPID").Run(); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := unix.Kill(unix.Getpid(), sig); err != nil {
		t.Fatal(err)
	}
}

// await waits for a signal. Others are left over from an earlier test.
func await(t *testing.T, want unix.Signal) {
	t.Helper()
	late := time.After(timeout)
	for {
		select {
		case sig := <-in:
			if sig == want {
				return
			}
		case <-late:
			t.Fatalf("%v did not arrive within %v", want, timeout)
		}
	}
}

// TestEverySignal checks that each signal arrives, with the handler and with os/signal.
func TestEverySignal(t *testing.T) {
	sigs := []unix.Signal{
		unix.SIGHUP, unix.SIGQUIT, unix.SIGABRT, unix.SIGUSR1, unix.SIGSEGV, unix.SIGPIPE,
		unix.SIGTERM, unix.SIGCONT, unix.SIGTSTP, unix.SIGWINCH, 35, 64,
	}
	catch(t, queue(), sigs...)
	for _, sig := range sigs {
		send(t, sig)
		await(t, sig)
	}
}

// TestOwnSIGPIPE checks that a write of this process to a broken pipe is no signal for the queue.
// exec would pass it on to its command, which it ends.
func TestOwnSIGPIPE(t *testing.T) {
	if handlerAddress() == 0 {
		t.Skip("this architecture has no handler")
	}
	catch(t, queue(), unix.SIGPIPE, unix.SIGWINCH)
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[1])
	unix.Close(p[0])
	if _, err := unix.Write(p[1], []byte("x")); err != unix.EPIPE {
		t.Fatalf("got error %v, want EPIPE", err)
	}
	send(t, unix.SIGWINCH) // it has a higher number, so it would arrive after the SIGPIPE
	late := time.After(timeout)
	for {
		select {
		case sig := <-in:
			if sig == unix.SIGPIPE {
				t.Error("the SIGPIPE arrived")
			} else if sig == unix.SIGWINCH {
				return
			}
		case <-late:
			t.Fatalf("SIGWINCH did not arrive within %v", timeout)
		}
	}
}

// TestFullChannel checks that no signal is lost while the channel is full.
func TestFullChannel(t *testing.T) {
	catch(t, queue(), unix.SIGUSR1, unix.SIGUSR2)
	for range 100 {
		send(t, unix.SIGUSR1)
		send(t, unix.SIGUSR2)
	}
	await(t, unix.SIGUSR1)
	await(t, unix.SIGUSR2)
}

// TestStopAndContinue checks that of SIGCONT and a stop signal only the last one is passed on. The
// command would otherwise stay stopped after a SIGTSTP and a SIGCONT in quick succession.
func TestStopAndContinue(t *testing.T) {
	if handlerAddress() == 0 {
		t.Skip("this architecture has no handler")
	}
	stops := []unix.Signal{unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU}
	catch(t, queue(), append(stops, unix.SIGCONT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH)...)
	for _, stop := range stops {
		checkLast(t, stop, unix.SIGCONT)
		checkLast(t, unix.SIGCONT, stop)
	}
}

// checkLast sends two signals while the queue waits for the channel, and checks that only the last
// one arrives.
func checkLast(t *testing.T, first, last unix.Signal) {
	t.Helper()
	// A signal of a thread to itself has been handled when tgkill(2) returns.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	raise := func(sig unix.Signal) {
		if err := unix.Tgkill(unix.Getpid(), unix.Gettid(), sig); err != nil {
			t.Fatal(err)
		}
	}
	raise(unix.SIGWINCH)
	await(t, unix.SIGWINCH) // after the signals of an earlier test
	raise(unix.SIGUSR1)     // it fills the channel
	for late := time.Now().Add(timeout); len(in) == 0; runtime.Gosched() {
		if time.Now().After(late) {
			t.Fatal("SIGUSR1 did not arrive")
		}
	}
	raise(unix.SIGUSR2) // the queue waits with it
	for late := time.Now().Add(timeout); atomic.LoadUint64(&pending) != 0; runtime.Gosched() {
		if time.Now().After(late) {
			t.Fatal("the queue did not take SIGUSR2")
		}
	}
	raise(first)
	raise(last)
	raise(unix.SIGWINCH) // it has a higher number
	var got []os.Signal
	for late := time.After(timeout); ; {
		select {
		case sig := <-in:
			if sig == unix.SIGWINCH {
				want := []os.Signal{unix.SIGUSR1, unix.SIGUSR2, last}
				if !slices.Equal(got, want) {
					t.Errorf("%v, then %v: %v arrived, want %v", first, last, got, want)
				}
				return
			}
			got = append(got, sig)
		case <-late:
			t.Fatalf("SIGWINCH did not arrive; %v did", got)
		}
	}
}

// TestBlockedSignal checks that os/signal catches a signal that was blocked: the handler of this
// package would never run, because no thread unblocks the signal.
func TestBlockedSignal(t *testing.T) {
	if handlerAddress() == 0 {
		t.Skip("this architecture has no handler")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	set := unix.Sigset_t{Val: [16]uint64{1 << (unix.SIGUSR2 - 1)}}
	var old unix.Sigset_t
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, &old); err != nil {
		t.Fatal(err)
	}
	queue()
	defer atomic.StoreInt32(&eventFD, atomic.LoadInt32(&eventFD))
	catch(t, New(in), unix.SIGUSR1, unix.SIGUSR2)
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil); err != nil {
		t.Fatal(err)
	}
	for sig, own := range map[unix.Signal]bool{unix.SIGUSR1: true, unix.SIGUSR2: false} {
		got := action(t, sig).Handler
		if (got == handlerAddress()) != own {
			t.Errorf("%v: handler %#x, want the handler of this package: %v", sig, got, own)
		}
	}
}

// TestFault checks that a fault in the program is still a panic. With a handler that returns, the
// program would repeat the instruction for ever.
func TestFault(t *testing.T) {
	catch(t, queue(), faults[:]...)
	panicked := make(chan any)
	go func() {
		defer func() { panicked <- recover() }()
		var nothing *[]int
		runtime.KeepAlive((*nothing)[0])
	}()
	select {
	case p := <-panicked:
		if _, ok := p.(runtime.Error); !ok {
			t.Errorf("got panic %v, want a runtime error", p)
		}
	case <-time.After(timeout):
		t.Errorf("no panic within %v", timeout)
	}
}

// TestInterruptedWork checks that signals change nothing in the threads that they interrupt.
func TestInterruptedWork(t *testing.T) {
	catch(t, queue(), unix.SIGUSR1)
	want := compute(30, 1.5)
	done, wrong := make(chan struct{}), make(chan int)
	const workers = 4
	for range workers {
		go func() {
			n := 0
			for {
				select {
				case <-done:
					wrong <- n
					return
				default:
				}
				if !slices.Equal(compute(30, 1.5), want) || unix.Getpid() == 0 {
					n++
				}
			}
		}()
	}
	for range 20_000 {
		send(t, unix.SIGUSR1)
	}
	close(done)
	for range workers {
		if n := <-wrong; n != 0 {
			t.Errorf("%d wrong results", n)
		}
	}
	await(t, unix.SIGUSR1)
}

// compute uses the stack, the heap and floating-point registers.
func compute(n int, x float64) []float64 {
	if n == 0 {
		return []float64{x}
	}
	return append(compute(n-1, x*1.0625+float64(n)), x/3)
}
