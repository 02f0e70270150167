package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"tp0/supervisor/event"
	"tp0/supervisor/findings"
	"tp0/supervisor/termtext"
)

// self is the name of the supervisor in the budget.
const self = "supervisor"

// fdOf returns the descriptor of an event, without its time.
func fdOf(e event.FDClosed) FD {
	d := e.Detail
	return FD{
		FD: e.FD, Kind: termtext.Valid(e.Kind), Target: termtext.Valid(e.Target), By: e.By,
		Proof: e.Proof, Uncounted: e.NotCounted, Finding: termtext.Valid(e.Finding),
		Process: termtext.Valid(e.Process), HeldBy: termtext.Valid(e.HeldBy),
		State: d.State, Unread: d.Unread, Unsent: d.Unsent, Mode: d.Mode, Lock: d.Lock,
		Deleted: d.Deleted,
	}
}

// Notes returns the details of a descriptor in words.
func Notes(e event.FDClosed) string { return strings.Join(fdOf(e).notes(), ", ") }

// notes returns the details of a descriptor, each in words.
func (f FD) notes() (n []string) {
	if f.State != "" {
		n = append(n, f.State)
	}
	if f.Mode != "" {
		n = append(n, "mode "+f.Mode)
	}
	if f.Unread > 0 {
		n = append(n, fmt.Sprintf("%d bytes unread", f.Unread))
	}
	if f.Unsent > 0 {
		n = append(n, fmt.Sprintf("%d bytes unsent", f.Unsent))
	}
	if f.Lock != "" {
		n = append(n, "lock "+f.Lock)
	}
	if f.Deleted {
		n = append(n, "deleted")
	}
	if f.Process != "" {
		n = append(n, "by "+f.Process)
	}
	if f.HeldBy != "" {
		n = append(n, "held by "+f.HeldBy)
	}
	return n
}

func signals(steps []Step) string {
	names := make([]string, len(steps))
	for i, r := range steps {
		names[i] = shortSignal(r.Signal)
	}
	return strings.Join(names, " ")
}

func shortSignal(signal string) string { return strings.TrimPrefix(signal, "SIG") }

func firstStepMS(steps []Step) string {
	if len(steps) == 0 {
		return ""
	}
	return formatMS(steps[0].At)
}

// endOf returns how a process ended. A process that was not reaped survived.
func endOf(e *event.Exit) string {
	if e == nil {
		return "survived"
	}
	return e.String()
}

// endIfSeen returns how a descendant ended. The supervisor does not see every exit of one.
func endIfSeen(e *event.Exit) string {
	if e == nil {
		return "unseen"
	}
	return e.String()
}

func optionalMS(ms *float64) string {
	if ms == nil {
		return ""
	}
	return formatMS(*ms)
}

// nonZero returns a number as text. 0 is an empty cell.
func nonZero(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// formatMS returns a time in ms with three digits, or with all digits of its integer part.
func formatMS(ms float64) string {
	switch {
	case ms >= 100 || ms <= -100 || ms == float64(int64(ms)):
		return strconv.FormatFloat(ms, 'f', 0, 64)
	case ms >= 10 || ms <= -10:
		return strconv.FormatFloat(ms, 'f', 1, 64)
	}
	return strconv.FormatFloat(ms, 'f', 2, 64)
}

// escaped escapes characters that a terminal would act upon. A child may have chosen the text.
func escaped(s string) string {
	return termtext.Escape(strings.ReplaceAll(s, "\n", " ⏎ "))
}

// harmful reports whether a finding of a kind means that data was lost or clients were reset. The
// other kinds are descriptors that were left open without such a loss.
func harmful(finding string) bool {
	switch findings.Kind(finding) {
	case findings.UnreadData, findings.UnsentData, findings.ClientsWaiting:
		return true
	}
	return false
}

// took returns how long the stop of a process took, in ms. It is the time that the process loop
// measured, or else the time since the first signal.
func (x *Child) took(elapsed float64) float64 {
	if x.Stop != nil {
		return *x.Stop
	}
	return stopDuration(x.Steps, x.Ended, elapsed)
}

// stopDuration returns the time in ms from the first signal to the end, or to the end of the stop.
func stopDuration(steps []Step, ended *float64, elapsed float64) float64 {
	if len(steps) == 0 {
		return 0
	}
	if ended != nil {
		elapsed = *ended
	}
	return elapsed - steps[0].At
}

// tone returns the class of a descriptor that leaked: bad for a finding that lost data, warn for
// another finding, empty for no finding.
func (f FD) tone() string {
	switch {
	case f.Finding == "":
		return ""
	case harmful(f.Finding):
		return "bad"
	}
	return "warn"
}

// worstTone returns the worst tone of descriptors.
func worstTone(fds []FD) (tone string) {
	for _, f := range fds {
		switch f.tone() {
		case "bad":
			return "bad"
		case "warn":
			tone = "warn"
		}
	}
	return tone
}

// percent returns the part that ms is of a time, from 0 to 100.
func percent(ms, of float64) float64 {
	return math.Round(1e5*min(1, max(0, ms/max(of, 0.001)))) / 1e3
}
