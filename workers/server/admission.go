package main

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

// evictAfter is how long a connection is safe from eviction. A client that has sent nothing for so
// long is idle at a stop too.
const evictAfter = firstByteTimeout

// admission limits the open connections. While the limit is reached, a new connection takes the
// place of the one that has waited longest for its client, at the address that has most
// connections. So clients that hold connections open cannot keep other clients out, neither from
// another address nor from their own.
type admission struct {
	limit int
	ended chan struct{} // one element if a connection has ended since the last look

	mu       sync.Mutex
	open     map[*connection]bool // the value is true once the connection is evicted
	networks map[netip.Prefix]int // the number of open connections of each network
	evicted  int                  // open connections that are evicted
}

func newAdmission(limit int) *admission {
	return &admission{limit: limit, ended: make(chan struct{}, 1),
		open: make(map[*connection]bool), networks: make(map[netip.Prefix]int)}
}

// admit waits until c may be served, which takes evictAfter at most, and the time in which an
// evicted connection ends. It does not wait any longer once until ends: connections then end by
// themselves.
func (a *admission) admit(c *connection, until context.Context) {
	for {
		next, admitted := a.try(c, until.Err() != nil)
		if admitted {
			return
		}
		a.awaitPlace(next, until)
	}
}

// awaitPlace waits for the end of a connection, for next unless it is 0, and for until.
func (a *admission) awaitPlace(next time.Duration, until context.Context) {
	var due <-chan time.Time
	if next > 0 {
		timer := time.NewTimer(next)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-a.ended:
	case <-due:
	case <-until.Done():
	}
}

// try admits c if a place is free, or if it must. Otherwise it evicts a connection, or returns the
// time until one can be evicted; 0 means that the end of a connection is due.
func (a *admission) try(c *connection, must bool) (next time.Duration, admitted bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if must || len(a.open) < a.limit {
		a.open[c] = false
		c.accepted = time.Now()
		a.networks[c.network]++
		return 0, true
	}
	return a.evict(c.network), false
}

// relieve evicts a connection if one can be evicted: descriptors are missing.
func (a *admission) relieve() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.evict(netip.Prefix{})
}

// evict evicts a connection, unless one is about to end. newcomer is the network of the connection
// that needs the place. a.mu is held.
func (a *admission) evict(newcomer netip.Prefix) (next time.Duration) {
	if a.evicted > 0 {
		return 0
	}
	victim := a.victim(newcomer)
	if victim == nil {
		return 0
	}
	if age := time.Since(victim.accepted); age < evictAfter {
		return evictAfter - age
	}
	a.open[victim] = true
	a.evicted++
	victim.cancel(errEvicted)
	return 0
}

// victim returns the connection to evict next: of the networks with most connections, the newcomer
// included, the oldest one without a whole line, or else the oldest one.
func (a *admission) victim(newcomer netip.Prefix) (victim *connection) {
	count := func(n netip.Prefix) int {
		if n == newcomer {
			return a.networks[n] + 1
		}
		return a.networks[n]
	}
	for c := range a.open {
		switch {
		case victim == nil, count(c.network) > count(victim.network):
			victim = c
		case count(c.network) < count(victim.network):
		case c.whole.Load() != victim.whole.Load():
			if victim.whole.Load() {
				victim = c
			}
		case c.accepted.Before(victim.accepted):
			victim = c
		}
	}
	return victim
}

// release gives the place of a connection back that has ended.
func (a *admission) release(c *connection) {
	a.mu.Lock()
	if a.open[c] {
		a.evicted--
	}
	delete(a.open, c)
	if a.networks[c.network]--; a.networks[c.network] == 0 {
		delete(a.networks, c.network)
	}
	a.mu.Unlock()
	select {
	case a.ended <- struct{}{}:
	default:
	}
}
