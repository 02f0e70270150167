package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tp0/supervisor/api"
	"tp0/supervisor/termtext"
)

// answer is an answer that is being composed.
type answer struct {
	*Facts
	api.Why
}

// say sets the answer. The text is about "it", the instance.
func (a *answer) say(s api.Situation, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	rest, ok := strings.CutPrefix(text, "it ")
	if !ok {
		rest = text
	}
	a.Situation, a.Answer = s, a.Name+" "+strings.TrimSuffix(rest, ".")+"."
}

// add adds a fact, as a sentence.
func (a *answer) add(format string, args ...any) {
	a.Evidence = append(a.Evidence, strings.TrimSuffix(fmt.Sprintf(format, args...), ".")+".")
}

// next adds a command, with what it does.
func (a *answer) next(command, purpose string) {
	a.Next = append(a.Next, command+" # "+purpose)
}

func (a *answer) ago(t time.Time) string { return termtext.Duration(a.Now.Sub(t)) + " ago" }

func (a *answer) in(t time.Time) string { return termtext.Duration(t.Sub(a.Now)) }

// lastExit adds how the last process ended, and what it printed last.
func (a *answer) lastExit() {
	if e := a.Instance.LastExit; e != nil {
		a.add("Its last process (pid %d) %s, %s", e.Pid, e.Reason, a.ago(e.At))
	}
	e := a.Instance.LastExit
	if r := a.Restart.Reason; r != "" && (e == nil || r != e.Reason) && a.Instance.Pid != 0 {
		a.add("The process before it was replaced, because %s", a.process(r))
	}
	if n := a.Instance.Restarts; n > 0 {
		a.add("Its process was replaced %s since the supervisor started",
			termtext.Count(n, "time", "times"))
	}
}

// output adds the last lines of the last process.
func (a *answer) output() {
	for _, line := range a.Output {
		a.Evidence = append(a.Evidence, "Its output: "+line)
	}
	if len(a.Output) > 0 {
		a.next("supervisor logs --previous "+a.Name, "shows more of its output")
	}
}

// says adds what the process said about itself.
func (a *answer) says() {
	if text := a.Instance.Status; text != "" {
		a.add("Its status text (STATUS= of sd_notify): %s", text)
	}
}

// maxThreads is the number of threads that an answer describes.
const maxThreads = 5

// stoppedText says what a stop by a signal means. The subject is the process.
const stoppedText = "is stopped by a signal (SIGSTOP, SIGTSTP, SIGTTIN or SIGTTOU): nothing of " +
	"it runs"

// threads adds what the threads of the process do.
func (a *answer) threads() {
	if a.Process.Stopped {
		a.add("Its process %s", stoppedText)
		a.next("supervisor signal CONT "+a.Name, "continues it")
	}
	if a.Process.Unknown != "" {
		a.add("Its process could not be examined: %s", a.Process.Unknown)
	}
	for _, t := range a.Process.Threads[:min(len(a.Process.Threads), maxThreads)] {
		if t != "" && '0' <= t[0] && t[0] <= '9' {
			t = "Thread " + t // else it begins with the name of a descendant
		}
		a.add("%s", t)
	}
	if more := len(a.Process.Threads) - maxThreads; more > 0 {
		a.add("It has %s", termtext.Count(more, "more thread", "more threads"))
	}
}

// names returns names for a sentence, some at most.
func names(all []string) string {
	const most = 5
	all = slices.Clone(all)
	if more := len(all) - most; more > 0 {
		all = append(all[:most], fmt.Sprintf("%d more", more))
	}
	return strings.Join(all, ", ")
}

// process makes a sentence of how a process ended. Other reasons are a sentence already.
func (a *answer) process(reason string) string {
	if strings.HasPrefix(reason, "exited ") || strings.HasPrefix(reason, "ended by ") {
		return "its last process " + reason
	}
	return reason
}
