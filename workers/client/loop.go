package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	maxAttempts = 3

	// firstPause is the pause before the second attempt, doubled before the third. Up to a quarter
	// is added at random, so that clients that failed together do not retry together.
	firstPause = 400 * time.Millisecond
)

// errUndelivered is the error of a loop in which a message failed. The log has the details.
var errUndelivered = errors.New("a message failed")

// loop sends the messages one after the other.
type loop struct {
	config
	requester
}

// sendAll sends the messages until the stop. It returns errUndelivered if one of them failed. A
// message that the stop interrupted has not failed.
func (l *loop) sendAll() error {
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
	case l.stopping.Err() != nil: // the stop interrupted the last message
	case result == nil:
		l.log.Success("loop_finished", "client_id", l.id)
	default:
		l.log.Fail("loop_finished", "client_id", l.id, "error", result)
	}
	return result
}

// deliver sends message and checks its echo. It repeats an attempt whose connection was refused or
// cut, so a server can receive a message more than once. It does not repeat after a wrong answer.
func (l *loop) deliver(message string) error {
	until := time.Now().Add(budget)
	pause := firstPause
	for attempt := 1; ; attempt++ {
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
		if attempt == maxAttempts || time.Now().Add(pause).After(until) {
			return l.failed(err)
		}
		l.log.Progress("retry", "client_id", l.id, "try", attempt+1, "pause",
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

// cut logs a message that the stop interrupted, which is no failure. err is the error of its last
// attempt.
func (l *loop) cut(message string, err error) {
	l.log.Progress("receive_message", "client_id", l.id, "msg", message, "reason",
		"interrupted by the stop", "error", err)
}

// wait waits for d, or until the context ends.
func wait(until context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-until.Done():
	}
}
