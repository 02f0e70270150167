package process

import (
	"context"
	"testing"
)

// TestListeners: the listeners of a process tree are found, also that of a survivor whose main
// process has ended. Sockets of listen blocks are not among them.
func TestListeners(t *testing.T) {
	b := newTestLoop(t)
	main, lines := b.spawn("leaky")
	with := b.silentSpec("sleep")
	with.Sockets = listenSockets(t, 1)
	inherits, _ := b.startSpec(with)
	survivor, _ := startDaemon(t, b, "web+127.0.0.1:0")
	b.exited(survivor)
	none, _ := b.spawn("sleep")

	found, err := b.Listeners(t.Context(), []ID{main, inherits, survivor, none, 1000})
	if err != nil {
		t.Fatal(err)
	}
	if len(found[main]) != 1 || "listens "+found[main][0] != lines[0] {
		t.Errorf("got %v, want the address of %q", found[main], lines[0])
	}
	if len(found[survivor]) != 1 || found[survivor][0] == found[main][0] {
		t.Errorf("got %v for the survivor, want an address of its own", found[survivor])
	}
	if len(found[inherits])+len(found[none])+len(found[1000]) > 0 {
		t.Errorf("got %v, want only the listeners of %d and %d", found, main, survivor)
	}
}

// TestListenersIsBounded: a search ends with its context.
func TestListenersIsBounded(t *testing.T) {
	b := newTestLoop(t)
	id, _ := b.spawn("sleep")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Listeners(ctx, []ID{id}); err == nil {
		t.Error("no error, want that of the context")
	}
}
