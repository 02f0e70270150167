package output

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// benchLines is the number of lines, of 100 bytes each, that one iteration relays.
const benchLines = 1_000_000

// benchRetain is how many bytes of output are kept of each child, as by default.
const benchRetain = 256 << 10

// playFlood prints args[0] equal lines as fast as it can.
func playFlood(args []string) int {
	n, _ := strconv.Atoi(args[0])
	block := bytes.Repeat(numbered("m", 0), 640)
	for size := n * lineWidth; size > 0; {
		w, err := unix.Write(1, block[:min(size, len(block))])
		if err != nil {
			return 1
		}
		size -= w
		if w < len(block) {
			block = append(block[w:len(block):len(block)], block[:w]...)
		}
	}
	return 0
}

// BenchmarkRelay relays a million lines from processes to a reader. For comparison, copy is a loop
// of read(2) and write(2) without a relay.
func BenchmarkRelay(b *testing.B) {
	for _, children := range []int{1, 8} {
		for _, format := range []string{"copy", formatRaw, formatText, formatJSON} {
			b.Run(fmt.Sprintf("%s/%d", format, children), func(b *testing.B) {
				b.SetBytes(benchLines * lineWidth)
				for b.Loop() {
					relayOnce(b, format, children)
				}
			})
		}
	}
}

func relayOnce(b *testing.B, format string, children int) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		b.Fatal(err)
	}
	lines := make(chan int)
	go func() {
		buf := make([]byte, 256<<10)
		count := 0
		for {
			n, err := unix.Read(p[0], buf)
			if n <= 0 && err != unix.EINTR {
				lines <- count
				return
			}
			count += bytes.Count(buf[:max(n, 0)], []byte{'\n'})
		}
	}()
	sink := os.NewFile(uintptr(p[1]), "sink")
	var pids []int
	if format == "copy" {
		pids = copyAll(b, p[1], children)
	} else {
		pids = relayAll(b, sink, format, children)
	}
	for _, pid := range pids {
		syscall.Wait4(pid, nil, 0, nil)
	}
	sink.Close()
	if n := <-lines; n != benchLines {
		b.Errorf("got %d lines, want %d", n, benchLines)
	}
	unix.Close(p[0])
}

// relayAll starts children whose lines a relay writes to sink, and waits until all are relayed.
func relayAll(b *testing.B, sink *os.File, format string, children int) (pids []int) {
	h := NewRelay(Options{Stdout: sink, Stderr: sink, FDs: noLedger{}})
	settings := Settings{RetainTotal: 16 << 20, Instances: map[string]InstanceSettings{}}
	for i := range children {
		settings.Instances[fmt.Sprint("client", i)] = InstanceSettings{Retain: benchRetain}
	}
	h.Configure(settings)
	var outputs []*ChildOutput
	for i := range children {
		r, err := h.Prepare(Spec{Instance: fmt.Sprint("client", i), Format: format,
			Stdout: "stdout", Stderr: "none"})
		if err != nil {
			b.Fatal(err)
		}
		out, _ := r.ChildFiles()
		pids = append(pids, flood(b, out, children))
		r.Started()
		outputs = append(outputs, r)
	}
	for _, r := range outputs {
		<-r.Done()
	}
	if err := h.Close(b.Context()); err != nil {
		b.Error(err)
	}
	return pids
}

// flood starts a process that prints its part of the lines to out.
func flood(b *testing.B, out, children int) int {
	pid, err := syscall.ForkExec("/proc/self/exe",
		[]string{"relay.test", fmt.Sprint(benchLines / children)}, &syscall.ProcAttr{
			Env: environ("flood"), Files: []uintptr{0, uintptr(out), 2},
		})
	if err != nil {
		b.Fatal(err)
	}
	return pid
}

// copyAll starts children that write into one pipe, and copies the pipe to a descriptor.
func copyAll(b *testing.B, to, children int) (pids []int) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		b.Fatal(err)
	}
	for range children {
		pids = append(pids, flood(b, p[1], children))
	}
	unix.Close(p[1])
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(p[0], buf)
		if n <= 0 && err != unix.EINTR {
			break
		}
		for done := 0; done < n; {
			w, _ := unix.Write(to, buf[done:n])
			done += max(w, 0)
		}
	}
	unix.Close(p[0])
	return pids
}
