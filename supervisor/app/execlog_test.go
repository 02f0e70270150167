package app

import (
	"strings"
	"testing"

	"tp0/supervisor/event"
)

// TestAdviceOnce checks that two descriptors of one file have one advice, and count as two.
func TestAdviceOnce(t *testing.T) {
	var b strings.Builder
	file := row{process: "a[1]", fd: "3", kind: "file", target: "/x", advice: "close it"}
	again, other := file, file
	again.fd, other.fd, other.advice = "4", "5", "close that"
	writeTable(&b, []row{file, again, other}, nil, event.Verdict("leaky"), 3)
	_, got, _ := strings.Cut(b.String(), "supervisor: ")
	want := "close it\nsupervisor: close that\nsupervisor: verdict leaky, 3 findings, exit code 3\n"
	if got != want {
		t.Errorf("got:\n%s", b.String())
	}
}
