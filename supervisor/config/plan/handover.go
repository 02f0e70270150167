package plan

import (
	"fmt"
	"slices"
	"strings"

	"tp0/supervisor/config"
)

// Ending is a process that a reload ends.
type Ending struct {
	Spec    *config.Instance // the process was started by it
	Next    *config.Instance // the next process of the instance; nil if none follows
	Listens []string         // where the process listens now, as in [ParseAddress]; nil if unknown
	// New says that the process may not listen yet. If neither the configuration nor Listens has
	// an address, the numbers in its arguments stand for its listeners.
	New bool
}

// Starting is a process that a reload starts.
type Starting struct {
	Spec *config.Instance
	// Before is the specification of the process that it replaces; nil unless that is ready. What
	// both claim is no hand-over: the process before did not need it for itself alone.
	Before *config.Instance
}

// Claim is an address, or a program with its arguments, that processes give up in a reload.
type Claim struct {
	Givers  []int // indices of the processes that give it up
	Address Address
	certain bool // a process has the address, and the next one does not listen there
	socket  bool // it is of a listen block, and no giver listens with a socket of its own
}

// HandOver says that a process starts only when all givers of a claim have ended.
type HandOver struct {
	*Claim
	kind handOverKind
	// Socket is the address of the listen block that cannot be opened before; empty for none.
	Socket string
}

type handOverKind uint8

const (
	byAddress handOverKind = iota // both claim the address
	byMention                     // the arguments or the environment have the port
	byProgram                     // both run the same command with the same arguments
)

// Reason says in words why a process waits.
func (h HandOver) Reason() string {
	switch h.kind {
	case byMention:
		return fmt.Sprintf("port %d is in use, and the arguments or the environment have it",
			h.Address.port)
	case byProgram:
		return "both run the same command with the same arguments"
	}
	return "both claim " + h.Address.String()
}

// HandOvers returns the hand-overs of each process that a reload starts. Processes that start do
// not wait for an address that is kept: an ending process gives up what its next process does not
// claim.
func HandOvers(starting []Starting, ending []Ending) [][]HandOver {
	given := newClaimsGivenUp(ending)
	all := make([][]HandOver, len(starting))
	if len(given.byProgram) == 0 && len(given.byAddress) == 0 {
		return all
	}
	for i, s := range starting {
		all[i] = given.handOvers(s)
	}
	return all
}

// claimsGivenUp are the claims that the processes give up which a reload ends.
type claimsGivenUp struct {
	ending     []Ending
	byProgram  map[string]*Claim
	byAddress  map[Address]*Claim
	byPort     map[uint16][]*Claim
	anyCertain bool // one of byAddress is certain
}

func newClaimsGivenUp(ending []Ending) claimsGivenUp {
	g := claimsGivenUp{
		ending: ending, byProgram: map[string]*Claim{}, byAddress: map[Address]*Claim{},
		byPort: map[uint16][]*Claim{},
	}
	for i, e := range ending {
		var next claims
		if e.Next != nil {
			next = claimsOf(e.Next)
		}
		c := claimsOf(e.Spec)
		if e.Next == nil && c.empty() {
			p := program(e.Spec)
			if g.byProgram[p] == nil {
				g.byProgram[p] = &Claim{}
			}
			g.byProgram[p].Givers = append(g.byProgram[p].Givers, i)
		}
		for _, a := range c.sockets {
			if !slices.Contains(next.sockets, a) {
				g.add(a, i, true, true)
			}
		}
		kept := next.listeners()
		for _, a := range c.listeners() {
			if !overlapsAny(a, kept) {
				g.add(a, i, slices.Contains(c.own, a), false)
			}
		}
		if e.New && c.empty() && len(e.Listens) == 0 {
			e.Listens = portsOf(e.Spec)
		}
		for _, l := range liveListeners(e, c) {
			if !overlapsAny(l.Address, kept) {
				g.add(l.Address, i, l.givenUp, false)
			}
		}
	}
	return g
}

// add records that an ending process gives an address up.
func (g *claimsGivenUp) add(a Address, giver int, certain, socket bool) {
	c := g.byAddress[a]
	if c == nil {
		c = &Claim{Address: a, socket: true}
		g.byAddress[a] = c
		g.byPort[a.port] = append(g.byPort[a.port], c)
	}
	if n := len(c.Givers); n == 0 || c.Givers[n-1] != giver {
		c.Givers = append(c.Givers, giver)
	}
	c.certain, c.socket = c.certain || certain, c.socket && socket
	g.anyCertain = g.anyCertain || certain
}

// portsOf returns an address for each number in the arguments of an instance that can be a port.
// Most numbers below 1024 are none (--workers=3): they count only after a colon.
func portsOf(i *config.Instance) (all []string) {
	for _, arg := range i.Launch.Args {
		for port, before := range numbersIn(arg) {
			if port >= 1024 || before == ':' {
				all = append(all, fmt.Sprintf(":%d", port))
			}
		}
	}
	return all
}

// listener is an address on which a process was seen to listen.
type listener struct {
	Address
	// givenUp is false if the next process may listen there too: nothing says that it does not.
	givenUp bool
}

// liveListeners returns the addresses of the sockets that an ending process opened itself. A port
// that the arguments or the environment have before and after is not given up.
func liveListeners(e Ending, c claims) (all []listener) {
	var before, after map[uint16]bool
	for _, text := range e.Listens {
		for _, a := range ParseAddress(text) {
			if overlapsAny(a, c.sockets) {
				continue
			}
			if e.Next != nil && before == nil {
				before, after = portsIn(e.Spec), portsIn(e.Next)
			}
			if !before[a.port] || !after[a.port] {
				all = append(all, listener{a, e.Next == nil || before[a.port]})
			}
		}
	}
	return all
}

// handOvers returns the hand-overs of a process that starts.
func (g *claimsGivenUp) handOvers(s Starting) (all []HandOver) {
	var before claims
	if s.Before != nil {
		before = claimsOf(s.Before)
	}
	add := func(h HandOver) {
		same := func(o HandOver) bool { return o.Claim == h.Claim }
		if !slices.ContainsFunc(all, same) {
			all = append(all, h)
		}
	}
	for _, l := range s.Spec.Launch.Listen {
		for _, a := range ParseAddress(l.Address()) {
			for _, c := range g.byPort[a.port] {
				if a.overlaps(c.Address) && !(c.socket && a == c.Address) {
					add(HandOver{Claim: c, Socket: l.Address()})
				}
			}
		}
	}
	had := before.listeners()
	for _, a := range claimsOf(s.Spec).listeners() {
		for _, c := range g.byPort[a.port] {
			if a.overlaps(c.Address) && !overlapsAny(c.Address, had) {
				add(HandOver{Claim: c})
			}
		}
	}
	if g.anyCertain {
		g.addMentions(s, add)
	}
	c := g.byProgram[program(s.Spec)]
	if c != nil && (s.Before == nil || program(s.Before) != program(s.Spec)) {
		// A process of the same name is one that was replaced with an overlap.
		other := func(i int) bool { return g.ending[i].Spec.Name != s.Spec.Name }
		if slices.ContainsFunc(c.Givers, other) {
			all = append(all, HandOver{Claim: c, kind: byProgram})
		}
	}
	return all
}

// addMentions adds the addresses whose port is in the new arguments or the new environment. That is
// a guess, so it concerns only addresses that are certainly given up.
func (g *claimsGivenUp) addMentions(s Starting, add func(HandOver)) {
	ports := portsIn(s.Spec)
	if s.Before != nil {
		for port := range portsIn(s.Before) {
			delete(ports, port)
		}
	}
	for port := range ports {
		for _, c := range g.byPort[port] {
			if c.certain {
				add(HandOver{Claim: c, kind: byMention})
			}
		}
	}
}

// program returns the command and the arguments of an instance as one comparable value.
func program(i *config.Instance) string {
	return strings.Join(append([]string{i.Launch.Command, i.Launch.Path}, i.Launch.Args...), "\x00")
}

// DoubleClaim is an address that two processes claim: one that keeps running, and one that starts.
type DoubleClaim struct {
	Address    Address
	Kept, Next string // instances
}

// DoubleClaims returns the addresses that a reload cannot hand over, because a process of another
// child keeps them. An address of an http probe alone does not count.
func DoubleClaims(kept, starting []*config.Instance) (all []DoubleClaim) {
	type keeper struct {
		*config.Instance
		address Address
		socket  bool
	}
	byPort := map[uint16][]keeper{}
	for _, i := range kept {
		c := claimsOf(i)
		for _, a := range c.sockets {
			byPort[a.port] = append(byPort[a.port], keeper{i, a, true})
		}
		for _, a := range c.own {
			byPort[a.port] = append(byPort[a.port], keeper{i, a, false})
		}
	}
	for _, i := range starting {
		c := claimsOf(i)
		for at, a := range slices.Concat(c.own, c.sockets) {
			socket := at >= len(c.own)
			for _, h := range byPort[a.port] {
				same := h.socket && socket && h.address == a
				if h.Child != i.Child && !same && a.overlaps(h.address) {
					all = append(all, DoubleClaim{a, h.Name, i.Name})
				}
			}
		}
	}
	return all
}

// Processes returns the processes that a reload from old to new starts and ends, if each instance
// has a process that is ready.
func Processes(old, new *config.Config) (starting []Starting, ending []Ending) {
	changes := Compare(old, new)
	before, after := instancesOf(old).byName, instancesOf(new).byName
	for _, name := range changes.Added {
		starting = append(starting, Starting{Spec: after[name].Instance})
	}
	for _, name := range changes.Removed {
		ending = append(ending, Ending{Spec: before[name].Instance})
	}
	for _, c := range changes.Changed {
		if c.Restart {
			was, next := before[c.Name].Instance, after[c.Name].Instance
			starting = append(starting, Starting{Spec: next, Before: was})
			ending = append(ending, Ending{Spec: was, Next: next})
		}
	}
	return starting, ending
}
