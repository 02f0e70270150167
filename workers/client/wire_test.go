package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"tp0/workers/internal/trial"
)

// FuzzReceive reads the answer of a server that sends any bytes. The result is the first line, or
// an error; the client reads a bounded number of bytes. padding makes a long answer of a short
// input: the minimization of a long input takes minutes.
func FuzzReceive(f *testing.F) {
	const message = "[CLIENT 1] Message N°1"
	f.Add(uint32(0), []byte(message+"\n"), message, false)
	f.Add(uint32(0), []byte("\x00\xff\r\nmore\n"), message, true)
	f.Add(uint32(9), []byte("no newline"), message, true)
	f.Add(uint32(maxExcess+len(message)), []byte("x\n"), message, false)
	f.Fuzz(func(t *testing.T, padding uint32, sent []byte, message string, slow bool) {
		sent = append(bytes.Repeat([]byte{'x'}, int(padding%(2*maxExcess))), sent...)
		reader := bytes.NewReader(sent)
		var conn io.Reader = reader
		if slow {
			conn = iotest.OneByteReader(reader)
		}
		answer, err := receive(conn, message)
		most := len(message) + maxExcess
		line, _, whole := bytes.Cut(sent[:min(len(sent), most)], []byte{'\n'})
		switch {
		case whole && (err != nil || answer != string(line)+"\n"):
			t.Errorf("got %.100q and error %v, want the line %.100q", answer, err, line)
		case !whole && (err == nil || answer != ""):
			t.Errorf("got %.100q without an error, although no newline came", answer)
		case !whole && errors.Is(err, errWrong) != (len(sent) >= most):
			t.Errorf("got error %v for %d bytes, want a wrong answer from %d bytes on", err,
				len(sent), most)
		}
		if read := len(sent) - reader.Len(); read > most {
			t.Errorf("read %d bytes, want %d at most", read, most)
		}
	})
}

// TestHostileServers checks that every answer of a server that is not the echo fails the message.
func TestHostileServers(t *testing.T) {
	t.Parallel()
	fixed := func(text string) answer { return respondWith(func(string) string { return text }) }
	const message = "[CLIENT 1] Message N°1"
	for name, tt := range map[string]struct {
		answer answer
		line   string
	}{
		"NULs":            {fixed("\x00\x00\x00\n"), "wrong answer"},
		"NUL in the echo": {fixed(message + "\x00\n"), "wrong answer"},
		"too long": {fixed(message + strings.Repeat("x", maxExcess/2) + "\n"),
			"wrong answer"},
		"too short":       {fixed(message[:len(message)-1] + "\n"), "wrong answer"},
		"carriage return": {fixed(message + "\r\n"), "wrong answer"},
		"one byte at a time": {func(conn *net.TCPConn) {
			for range int64(trial.Bound / (100 * time.Millisecond)) {
				if _, err := io.WriteString(conn, "x"); err != nil {
					return
				}
				<-time.After(100 * time.Millisecond)
			}
		}, "no whole answer within 2s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := runClient(t, serve(t, tt.answer))
			p.Await("receive_message | result: fail | client_id: 1 | error: ", tt.line)
			ends(t, p, 1)
			closes(t, p, 1)
		})
	}
}
