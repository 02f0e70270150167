package notify

import "time"

// What a child sends is limited in rate. A child that sends more waits: its socket is not read, and
// the queue of the kernel is short (net.unix.max_dgram_qlen, 10 by default). No other child waits.
const (
	readInterval   = 200 * time.Microsecond // for each datagram: 5,000 in a second are read
	byteInterval   = time.Microsecond       // for each byte: a megabyte in a second is read
	batchSize      = 20                     // datagrams that are read at once
	maxBurst       = 50                     // messages with an effect at once
	effectInterval = 100 * time.Millisecond
	statusInterval = time.Second // the least time between two STATUS texts
	rejectInterval = time.Second // the least time between two reports of rejected datagrams
	maxEntries     = 64          // messages that wait for the orchestrator
	latePenalty    = 10          // factor: a receive of 1 ms delays the next one by 10 ms
)

// effectLimit limits the messages that change something: READY, RELOADING and others, but neither
// WATCHDOG=1 nor STATUS. It permits maxBurst at once, and one in each effectInterval.
type effectLimit struct {
	next time.Time // when the next message is permitted without a wait
}

// add counts n messages, and returns how long the socket must not be read.
func (l *effectLimit) add(n int, now time.Time) time.Duration {
	if l.next.Before(now) {
		l.next = now
	}
	l.next = l.next.Add(time.Duration(n) * effectInterval)
	return max(0, l.next.Sub(now)-maxBurst*effectInterval)
}

// statusLimit passes on one STATUS text in each statusInterval, the newest.
type statusLimit struct {
	passed string    // the text that was passed on last
	at     time.Time // when; zero: none was
	newest string
	count  int // of the texts since then; 0: nothing waits
}

// add notes a text. If wait is false, the text is the one that was passed on last, and nothing
// waits. Otherwise take must be called at due.
func (l *statusLimit) add(text string, now time.Time) (due time.Time, wait bool) {
	if l.count == 0 && text == l.passed && !l.at.IsZero() {
		return time.Time{}, false
	}
	l.newest = text
	l.count++
	return l.due(now), true
}

// due returns when the newest text is to be passed on.
func (l *statusLimit) due(now time.Time) time.Time {
	if due := l.at.Add(statusInterval); due.After(now) {
		return due
	}
	return now
}

// take returns the newest text and the number of texts since the last one that was passed on. ok is
// false if the text was passed on already.
func (l *statusLimit) take(now time.Time) (text string, count int, ok bool) {
	text, count = l.newest, l.count
	ok = count > 0 && (text != l.passed || l.at.IsZero())
	l.count = 0
	if ok {
		l.passed, l.at = text, now
	}
	return text, count, ok
}
