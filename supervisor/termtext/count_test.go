package termtext

import "testing"

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 children", 1: "1 child", 2: "2 children"} {
		if got := Count(n, "child", "children"); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}
