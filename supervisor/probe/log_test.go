package probe

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLog(t *testing.T) {
	for _, tt := range []struct {
		re     string
		blocks []string
		want   bool
	}{
		{"^listening on [0-9]+$", []string{"one\r\nlistening on 80\r\nthree\n"}, true},
		{"^listening$", []string{"not listening\n", "listening"}, true}, // the last line may have no end
		{"a\nb", []string{"a\nb\n"}, false},                             // a line is matched by itself
		{"x", nil, false},
		{"x", []string{strings.Repeat("a", mostLine-1) + "x\n"}, true},
		{"x", []string{strings.Repeat("a", mostLine) + "x\n"}, false}, // only the beginning of a line is matched
	} {
		synctest.Test(t, func(t *testing.T) {
			l := NewLineMatcher(regexp.MustCompile(tt.re))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			for _, b := range tt.blocks {
				l.Match([]byte(b))
			}
			if err := l.Wait(ctx); (err == nil) != tt.want {
				t.Errorf("%q in %q: %v", tt.re, tt.blocks, err)
			}
			l.Match([]byte("late\n"))
		})
	}
}
