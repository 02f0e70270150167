package probe

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLineMatcher(t *testing.T) {
	for _, tt := range []struct {
		re     string
		blocks []string
		want   bool
	}{
		{"^listening on [0-9]+$", []string{"one\r\nlistening on 80\r\nthree\n"}, true},
		// the last line may lack a newline
		{"^listening$", []string{"not listening\n", "listening"}, true},
		// each line is matched alone
		{"a\nb", []string{"a\nb\n"}, false},
		{"x", nil, false},
		{"x", []string{strings.Repeat("a", maxLine-1) + "x\n"}, true},
		// colors are not matched, nor what a carriage return overwrites
		{"^up$", []string{"\x1b[32mup\x1b[0m\n"}, true},
		{"^up on [0-9]+$", []string{"10%\r\x1b[K20%\r\x1b[Kup on \x1b[1m80\x1b[0m\n"}, true},
		{"^up$", []string{strings.Repeat("99%\r", maxLine) + "up\r\n"}, true},
		{"^$", []string{"\rup\n"}, false},
		// only the beginning of a line is matched
		{"x", []string{strings.Repeat("a", maxLine) + "x\n"}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := NewLineMatcher(regexp.MustCompile(tt.re))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			for _, b := range tt.blocks {
				l.Match([]byte(b))
			}
			if err := l.Wait(ctx); (err == nil) != tt.want {
				t.Errorf("%q in %q: error %v, want a match: %t", tt.re, tt.blocks, err, tt.want)
			}
			l.Match([]byte("late\n"))
		})
	}
}
