// Package report records the events of a stop and writes them as one document: JSON for
// programs, an HTML page for people, tables for terminals.
package report

import (
	"math"
	"path"
	"strings"
	"time"

	"tp0/supervisor/event"
)

// Schema is the version of the document. It increases when a key is removed or changes its
// meaning. New keys do not increase it.
const Schema = 1

// Document is the report of one stop. Times are in ms since the start of the stop, with three
// decimals; a time before the stop is negative. Each is the time at which the supervisor learned of
// the fact. docs/report.md is generated from the tags. The keys of an embedded struct are keys of
// the document itself.
type Document struct {
	Origin
	Began    time.Time     `json:"began" doc:"when the stop began (RFC 3339)"`
	Signal   string        `json:"signal,omitempty" doc:"the signal that began the stop"`
	Reason   string        `json:"reason,omitempty" doc:"why the stop began without a signal"`
	Deadline float64       `json:"deadline_ms" doc:"the deadline: longest time of the stop"`
	Elapsed  float64       `json:"elapsed_ms" doc:"time until the report was written"`
	Code     int           `json:"exit_code" doc:"the exit code of the supervisor"`
	Verdict  event.Verdict `json:"verdict" doc:"graceful, leaky or forced"`
	Failed   []string      `json:"failed,omitempty" doc:"instances that failed permanently"`
	Stop     Counts        `json:"stop" doc:"numbers of this stop alone"`
	Balance  Balance       `json:"balance" doc:"the numbers of the last line of the log"`
	Budget   []TimeShare   `json:"budget" doc:"who took the time, without gaps"`
	Findings []Finding     `json:"findings" doc:"leaked descriptors that a person must act on"`
	Children []Child       `json:"children" doc:"processes of the stop"`
	Before   []EarlierEnd  `json:"ended_before" doc:"instances that had ended before the stop"`
	Orphans  []Orphan      `json:"orphans" doc:"orphans that ended or survived"`
	Own      []FD          `json:"own" doc:"descriptors that the supervisor closed"`
	Signals  []Instant     `json:"signals" doc:"the signals to the supervisor in the stop"`
	Warnings []Instant     `json:"warnings" doc:"warnings, and earlier failures"`
	Omitted  int           `json:"left_out" doc:"entries that exceeded the limit"`
}

// Origin identifies the writer of a document.
type Origin struct {
	Schema     int    `json:"schema" doc:"version of this format"`
	Supervisor string `json:"supervisor" doc:"the version of the supervisor"`
	Host       string `json:"host" doc:"the name of the machine or the container"`
	Config     string `json:"config" doc:"the configuration, an absolute path"`
}

// Counts has the numbers of this stop alone. What happened before it is in [Balance].
type Counts struct {
	Processes int `json:"processes" doc:"processes of children that lived in the stop"`
	Ended     int `json:"ended" doc:"of these, processes that were reaped"`
	Killed    int `json:"killed" doc:"processes of children that got SIGKILL"`
	Orphans   int `json:"orphans" doc:"orphans that were reaped"`
	Findings  int `json:"findings" doc:"leaked descriptors that a person must act on"`
	Unproven  int `json:"unproven" doc:"processes without an exact proof"`
	Closed    int `json:"fds_closed" doc:"descriptors that children closed"`
	Left      int `json:"fds_left" doc:"descriptors that children leaked"`
	OwnClosed int `json:"own_fds_closed" doc:"descriptors that the supervisor closed"`
}

// Balance has the numbers of the last line of the log. Most are totals since the start of the
// supervisor.
type Balance struct {
	Spawned      int `json:"spawned" doc:"since the start: processes of children started"`
	Reaped       int `json:"reaped" doc:"since the start: processes of children reaped"`
	Orphans      int `json:"orphans" doc:"since the start: adopted processes reaped"`
	Killed       int `json:"killed" doc:"in this stop: processes that got SIGKILL"`
	KilledBefore int `json:"killed_before" doc:"before this stop: processes that got SIGKILL"`
	Opened       int `json:"fds_opened" doc:"since the start: supervisor's descriptors opened"`
	Closed       int `json:"fds_closed" doc:"since the start: of these, descriptors closed"`
	Left         int `json:"fds_left" doc:"in this stop: descriptors that children leaked"`
	Findings     int `json:"findings" doc:"in this stop: of these, findings"`
	Unproven     int `json:"unproven" doc:"in this stop: processes without an exact proof"`
	LeftBefore   int `json:"fds_left_before" doc:"before this stop: descriptors leaked"`
}

// Finding is a leaked descriptor that a person must act on.
type Finding struct {
	Child   string `json:"child" doc:"the instance"`
	Pid     int    `json:"pid" doc:"pid of the process that held it"`
	Process string `json:"process,omitempty" doc:"command of that process, if a descendant"`
	FD      int    `json:"fd" doc:"number of the descriptor"`
	Kind    string `json:"kind" doc:"file, pipe, socket, epoll, …"`
	Target  string `json:"target" doc:"what it refers to"`
	Finding string `json:"finding" doc:"kind of finding, such as unread_data"`
	Harm    string `json:"harm" doc:"what happened, in a sentence"`
	Advice  string `json:"advice" doc:"what to do, in a sentence"`
}

// TimeShare is a part of the critical path of the stop.
type TimeShare struct {
	Who   string  `json:"who" doc:"the instance, the name of an orphan, or supervisor"`
	Kind  string  `json:"kind" doc:"child, orphan or supervisor"`
	Pid   int     `json:"pid,omitempty" doc:"pid of the instance or the orphan"`
	From  float64 `json:"from_ms" doc:"when it got its first signal"`
	To    float64 `json:"to_ms" doc:"when it ended"`
	Share float64 `json:"share" doc:"its part of elapsed_ms, from 0 to 1"`
	Steps int     `json:"steps" doc:"number of signals that it got"`
}

// Child is a process of a child.
type Child struct {
	Child     string      `json:"child" doc:"the instance"`
	Pid       int         `json:"pid" doc:"pid of the process"`
	Command   string      `json:"command" doc:"as the configuration has it"`
	DependsOn []string    `json:"depends_on,omitempty" doc:"children that outlive it"`
	Restarts  int         `json:"restarts,omitempty" doc:"earlier restarts"`
	Spawned   float64     `json:"spawned_at_ms" doc:"when it was started"`
	Ready     *float64    `json:"ready_after_ms,omitempty" doc:"time to ready; absent: never"`
	NoHandler *NoHandler  `json:"no_handler,omitempty" doc:"it had no handler for its stop signal"`
	Steps     []Step      `json:"steps" doc:"the signals that it got"`
	Ended     *float64    `json:"ended_at_ms,omitempty" doc:"its end; absent: it was not reaped"`
	Stop      *float64    `json:"stop_ms,omitempty" doc:"time from its first signal to its end"`
	Exit      *event.Exit `json:"exit,omitempty" doc:"how it ended"`
	Why       []string    `json:"why,omitempty" doc:"why its stop was slow or not graceful"`
	Resources
	Tree *Tree `json:"tree,omitempty" doc:"counts of threads and processes"`
	Descriptors
	Processes []Process `json:"processes" doc:"its descendants"`
	Slow      []Slow    `json:"slow" doc:"what it did in a slow stop"`
}

// Resources is what a process used.
type Resources struct {
	User   float64 `json:"user_ms" doc:"CPU time in user mode"`
	System float64 `json:"sys_ms" doc:"CPU time in the kernel"`
	MaxRSS int64   `json:"max_rss_kb" doc:"its largest resident memory"`
}

// Descriptors has the descriptors that a process had open when its stop began, or at its exit.
type Descriptors struct {
	Proof   event.Proof `json:"proof" doc:"exact, sampled or none"`
	NoProof string      `json:"reason,omitempty" doc:"why the proof is not exact"`
	ClosedN int         `json:"fds_closed" doc:"descriptors that it closed itself"`
	LeftN   int         `json:"fds_left" doc:"descriptors that it leaked"`
	Closed  []FD        `json:"closed" doc:"descriptors that it closed"`
	Left    []FD        `json:"left" doc:"descriptors that it leaked"`
}

// NoHandler says how a process without a handler for its stop signal treats the signal.
type NoHandler struct {
	Signal      string `json:"signal" doc:"name of the signal"`
	Disposition string `json:"disposition" doc:"ignored, or default: it ends the process at once"`
}

// Step is a signal of a stop sequence.
type Step struct {
	Step   int     `json:"step" doc:"from 1; 0: outside the stop sequence"`
	Signal string  `json:"signal" doc:"name of the signal"`
	At     float64 `json:"at_ms" doc:"when it was sent"`
}

// Tree counts the threads of a process and its descendants.
type Tree struct {
	Threads      int `json:"threads" doc:"threads when its stop began"`
	ThreadsAtEnd int `json:"threads_at_end" doc:"threads in the last scan before the exit"`
	Processes    int `json:"processes" doc:"descendants when its stop began"`
	Forked       int `json:"forked" doc:"descendants forked after that"`
}

// FD is a descriptor.
type FD struct {
	FD        int         `json:"fd" doc:"number of the descriptor"`
	Kind      string      `json:"kind" doc:"file, pipe, socket, pidfd, epoll, …"`
	Target    string      `json:"target" doc:"what it refers to"`
	By        string      `json:"by" doc:"who closed it: child, kernel or supervisor"`
	At        float64     `json:"at_ms" doc:"when it was found closed"`
	Proof     event.Proof `json:"proof,omitempty" doc:"exact or sampled, for a child"`
	Uncounted string      `json:"uncounted,omitempty" doc:"why it does not count"`
	Process   string      `json:"process,omitempty" doc:"command of the descendant"`
	Pid       int         `json:"pid,omitempty" doc:"pid of that descendant"`
	State     string      `json:"state,omitempty" doc:"state of a socket"`
	Unread    uint64      `json:"unread,omitempty" doc:"bytes that were not read"`
	Unsent    uint64      `json:"unsent,omitempty" doc:"bytes not sent or not acknowledged"`
	Mode      string      `json:"mode,omitempty" doc:"of a file: r, w or rw, then a for append"`
	Lock      string      `json:"lock,omitempty" doc:"lock on a file"`
	Deleted   bool        `json:"deleted,omitempty" doc:"the file has no name any more"`
	HeldBy    string      `json:"held_by,omitempty" doc:"a process that still has it open"`
	Finding   string      `json:"finding,omitempty" doc:"the kind of the finding"`
}

// Process is a descendant.
type Process struct {
	Pid      int         `json:"pid" doc:"pid of the process"`
	Parent   int         `json:"parent" doc:"pid of its parent when it was first seen"`
	Command  string      `json:"command" doc:"name of its program"`
	Ended    float64     `json:"ended_at_ms" doc:"when it ended"`
	Lifetime float64     `json:"elapsed_ms" doc:"how long it lived"`
	Exit     *event.Exit `json:"exit,omitempty" doc:"how it ended; absent: unknown"`
	InStop   bool        `json:"in_stop" doc:"it was forked after the stop began"`
	Threads  int         `json:"threads" doc:"threads when it was first seen"`
	ClosedN  int         `json:"fds_closed" doc:"descriptors that it closed itself"`
	LeftN    int         `json:"fds_left" doc:"descriptors that it leaked"`
	Proof    event.Proof `json:"proof" doc:"exact, sampled or none"`
	NoProof  string      `json:"reason,omitempty" doc:"why the proof is not exact"`
}

// Slow is what a process did while its stop took long.
type Slow struct {
	At          float64  `json:"at_ms" doc:"when it was examined"`
	Step        int      `json:"step" doc:"the last step until then"`
	Signal      string   `json:"signal" doc:"the signal of that step"`
	Disposition string   `json:"disposition" doc:"caught, awaited, ignored, blocked or default"`
	CPU         float64  `json:"cpu_ms" doc:"CPU time used since the first signal"`
	Threads     []string `json:"threads" doc:"what each thread waits for"`
}

// EarlierEnd is an instance that had ended when the stop began.
type EarlierEnd struct {
	Child    string     `json:"child" doc:"the instance"`
	Pid      int        `json:"pid" doc:"pid of its last process"`
	Restarts int        `json:"restarts,omitempty" doc:"how often it had been restarted"`
	Ended    float64    `json:"ended_at_ms" doc:"the end of that process"`
	Exit     event.Exit `json:"exit" doc:"how that process ended"`
}

// Orphan is an adopted process.
type Orphan struct {
	Pid     int         `json:"pid" doc:"pid of the process"`
	Command string      `json:"command" doc:"name of its program"`
	Steps   []Step      `json:"steps" doc:"the signals that it got"`
	Ended   *float64    `json:"ended_at_ms,omitempty" doc:"its end; absent: it survived"`
	Exit    *event.Exit `json:"exit,omitempty" doc:"how it ended"`
}

// Instant is a signal or a warning.
type Instant struct {
	At    float64 `json:"at_ms" doc:"when it happened"`
	Child string  `json:"child,omitempty" doc:"the instance that it is about"`
	What  string  `json:"what" doc:"the signal, or the kind of the warning"`
	Why   string  `json:"reason,omitempty" doc:"what the signal does, or why there is a warning"`
}

// count returns the numbers of the stop alone. The numbers of leaked descriptors and findings come
// from the balance, which also has entries that exceeded the limit.
func count(d *Document) Counts {
	n := Counts{
		Processes: len(d.Children), Killed: d.Balance.Killed, Findings: d.Balance.Findings,
		Unproven: d.Balance.Unproven, Left: d.Balance.Left, OwnClosed: len(d.Own),
	}
	for _, c := range d.Children {
		if c.Ended != nil {
			n.Ended++
		}
		n.Closed += c.ClosedN
	}
	for _, o := range d.Orphans {
		if o.Ended != nil {
			n.Orphans++
		}
	}
	return n
}

// name returns a short name of the configuration: its file, with the folder if the file has the
// default name. Without a configuration it is the command, as in supervisor exec.
func (d *Document) name() string {
	file := path.Base(d.Config)
	switch {
	case d.Config == "" && len(d.Children) > 0:
		return d.Children[0].Child
	case d.Config == "":
		return d.Host
	case file != "supervisor.hcl":
		return file
	}
	return strings.TrimPrefix(path.Join(path.Base(path.Dir(d.Config)), file), "/")
}

// counted returns the descriptors that count.
func counted(all []FD) (some []FD) {
	for _, f := range all {
		if f.Uncounted == "" {
			some = append(some, f)
		}
	}
	return some
}

// millis returns d in milliseconds with three decimals.
func millis(d time.Duration) float64 { return math.Round(float64(d)/1e3) / 1e3 }
