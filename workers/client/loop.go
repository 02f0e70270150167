package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"tp0/workers/internal/graceful"
)

const (
	tries  = 3
	budget = 2 * time.Second // for all the tries of a message

	// firstPause comes before the second try of a message, twice as much before the third; both get
	// up to a quarter on top, by chance, so that clients that failed together do not come back
	// together.
	firstPause = 400 * time.Millisecond
)

// errUndelivered is what a loop ends with of which a message failed; the log has said which and
// why.
var errUndelivered = errors.New("a message failed")

// loop sends the messages one after the other.
type loop struct {
	config
	log             *graceful.Log
	stopping, hurry context.Context
}

// run sends every message, or those that the end leaves time for. It returns errUndelivered if any
// of them failed; one that the end cut did not.
func (l *loop) run() error {
	var result error
	for n := 1; n <= l.amount; n++ {
		if n > 1 {
			wait(l.stopping, l.period)
		}
		if l.stopping.Err() != nil {
			return result
		}
		if err := l.deliver(fmt.Sprintf("[CLIENT %s] Message N°%d", l.id, n)); err != nil {
			result = err
		}
	}
	switch {
	case l.stopping.Err() != nil: // in the last message
	case result == nil:
		l.log.Success("loop_finished", "client_id", l.id)
	default:
		l.log.Fail("loop_finished", "client_id", l.id, "error", result)
	}
	return result
}

// deliver tries to have message echoed. A try that was refused or cut is repeated, so that a server
// may get a message more than once; a wrong answer is final.
func (l *loop) deliver(message string) error {
	until := time.Now().Add(budget)
	pause := firstPause
	for try := 1; ; try++ {
		err := l.request(message, until)
		switch {
		case err == nil:
			l.log.Success("receive_message", "client_id", l.id, "msg", message)
			return nil
		case errors.Is(err, errWrong):
			return l.failed(err)
		case l.stopping.Err() != nil:
			l.cut(message, err)
			return nil
		}
		pause += rand.N(pause / 4)
		if try == tries || time.Now().Add(pause).After(until) {
			return l.failed(err)
		}
		l.log.Progress("retry", "client_id", l.id, "try", try+1, "pause",
			pause.Round(time.Millisecond), "error", err)
		wait(l.stopping, pause)
		if l.stopping.Err() != nil {
			l.cut(message, err)
			return nil
		}
		pause = 2 * firstPause
	}
}

func (l *loop) failed(err error) error {
	if errors.Is(err, errConnect) {
		l.log.Fail("connect", "client_id", l.id, "error", err)
	}
	l.log.Fail("receive_message", "client_id", l.id, "error", err)
	return errUndelivered
}

// cut tells of a message that the end did not leave time for, which is no failure. err is what came
// of its last try.
func (l *loop) cut(message string, err error) {
	l.log.Progress("receive_message", "client_id", l.id, "msg", message, "reason", "cut by the end",
		"error", err)
}

// wait returns after d, or as soon as until is done.
func wait(until context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-until.Done():
	}
}
