package config

import (
	"testing"
	"time"
)

func TestReserve(t *testing.T) {
	for deadline, want := range map[time.Duration]time.Duration{
		9 * time.Second:       450 * time.Millisecond,
		10 * time.Second:      500 * time.Millisecond,
		time.Hour:             500 * time.Millisecond,
		10 * time.Millisecond: 500 * time.Microsecond,
	} {
		if got := Reserve(deadline); got != want {
			t.Errorf("Reserve(%v): got %v, want %v", deadline, got, want)
		}
	}
}
