package client

import (
	"context"

	"tp0/supervisor/control"
)

// AskHealth asks a question to all supervisors that are meant. It returns a note if all answers are
// good. The error is the first bad answer, or why there is none before ctx ends.
func AskHealth(
	ctx context.Context, o Options, q control.Question,
) (note string, err error) {
	found, err := Find(ctx, o)
	if err != nil {
		return "", err
	}
	defer func() {
		for _, s := range found {
			s.Close()
		}
	}()
	for _, s := range found {
		one, err := s.Health(ctx, q)
		if err != nil {
			return "", err
		}
		if note == "" {
			note = one
		}
	}
	return note, nil
}
