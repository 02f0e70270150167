package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/workers/internal/graceful"
)

// pair returns the two ends of a connection.
func pair(t *testing.T) (one, other *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "socket pair")
		conn, err := net.FileConn(file)
		_ = file.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = conn.(*net.UnixConn)
	}
	return ends[0], ends[1]
}

// FuzzWire sends bytes to the server in pieces of a given size. The answer is the first line, or
// nothing if that line is too long, and the connection ends.
func FuzzWire(f *testing.F) {
	f.Add(uint32(0), []byte("[CLIENT 1] Message N°1\n"), uint16(3), true)
	f.Add(uint32(0), []byte("\xff\x00\r\n\nmore"), uint16(0), false)
	f.Add(uint32(maxLine), []byte("x"), uint16(2047), true)
	f.Add(uint32(maxLine), []byte("\n"), uint16(4096), false)
	config := config{idleTimeout: time.Minute, level: "CRITICAL"}
	log := graceful.NewLog(io.Discard)
	never := context.Background()
	f.Fuzz(func(t *testing.T, padding uint32, sent []byte, piece uint16, eof bool) {
		sent = append(bytes.Repeat([]byte{'x'}, int(padding%(2*maxLine))), sent...)
		line, _, whole := bytes.Cut(sent, []byte{'\n'})
		if !whole && len(line) <= maxLine {
			eof = true // the server would wait for the rest
		}
		ours, theirs := pair(t)
		c := newConnection(shared{config: config, log: log, stopping: never, hurry: never}, theirs)
		c.accepted = time.Now()
		served := make(chan struct{})
		go func() {
			defer close(served)
			c.serve()
		}()
		wrote := make(chan struct{})
		go func() {
			defer close(wrote)
			for part := range slices.Chunk(sent, int(piece)+1) {
				if _, err := ours.Write(part); err != nil {
					return // the server has closed
				}
			}
			if eof {
				_ = ours.CloseWrite()
			}
		}()
		got, err := io.ReadAll(ours)
		_ = ours.Close()
		<-wrote
		<-served
		want := append(bytes.Clone(line), '\n')
		if len(line) > maxLine {
			want = nil
		}
		if len(want) > 0 && err != nil || !bytes.Equal(got, want) {
			t.Errorf("got the answer %.100q and error %v, want %.100q", got, err, want)
		}
	})
}
