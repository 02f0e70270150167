// Package report keeps what a stop was made of and writes it as one document:
// JSON for programs, a page for people, a table for terminals.
package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"tp0/supervisor/event"
)

// Schema is the version of the document. It goes up when a key goes or means
// something else; further keys may come without.
const Schema = 1

// Document is the report of one stop. Times in ms count from its begin, with
// µs behind the point, and are those at which the supervisor learned of a fact;
// what was before it is negative. docs/report.md is generated from the tags.
type Document struct {
	Schema     int           `json:"schema" doc:"the version of this form"`
	Supervisor string        `json:"supervisor" doc:"the version of the supervisor"`
	Host       string        `json:"host" doc:"the name of the machine or the container"`
	Config     string        `json:"config" doc:"the configuration, an absolute path"`
	Began      time.Time     `json:"began" doc:"when the stop began (RFC 3339)"`
	Signal     string        `json:"signal,omitempty" doc:"the signal that asked for it"`
	Reason     string        `json:"reason,omitempty" doc:"why it began, where no signal said so"`
	Deadline   float64       `json:"deadline_ms" doc:"how long it was allowed to take"`
	Elapsed    float64       `json:"elapsed_ms" doc:"how long it took until this was written; the last line of the log comes after that and may say a little more"`
	Code       int           `json:"exit_code" doc:"the exit code of the supervisor"`
	Verdict    event.Verdict `json:"verdict" doc:"graceful, leaky or forced"`
	Balance    Balance       `json:"balance" doc:"the numbers of the last line of the log"`
	Budget     []TimeShare   `json:"budget" doc:"who used up the time: one after the other, without gaps, from the begin to elapsed_ms"`
	Children   []Child       `json:"children" doc:"the runs that lived when the stop began"`
	Before     []EarlierEnd  `json:"ended_before" doc:"the instances whose last run had ended by then"`
	Orphans    []Orphan      `json:"orphans" doc:"the processes of nobody that ended in the stop, or survived it"`
	Own        []FD          `json:"own" doc:"the descriptors of the supervisor that were closed in the stop, but for the one of this report"`
	Signals    []Instant     `json:"signals" doc:"the signals to the supervisor in the stop"`
	Warnings   []Instant     `json:"warnings" doc:"what else a person should know; children that failed and faults from before the stop too"`
	Omitted    int           `json:"left_out" doc:"entries that the lists above are short of, because there were too many"`
}

// Balance is the books. It equals the last line of the log.
type Balance struct {
	Spawned int `json:"spawned" doc:"runs that began, since the supervisor did"`
	Reaped  int `json:"reaped" doc:"runs whose status was collected"`
	Orphans int `json:"orphans" doc:"adopted processes that were reaped"`
	Killed  int `json:"killed" doc:"runs and orphans that got SIGKILL"`
	Opened  int `json:"fds_opened" doc:"descriptors that the supervisor opened"`
	Closed  int `json:"fds_closed" doc:"those of them that it closed"`
	Left    int `json:"fds_left" doc:"descriptors that children left to the kernel"`
}

// TimeShare is a part of the time that the stop could not have gone without.
type TimeShare struct {
	Who   string  `json:"who" doc:"the instance, the name of an orphan, or supervisor"`
	Kind  string  `json:"kind" doc:"child, orphan or supervisor"`
	Pid   int     `json:"pid,omitempty" doc:"of the instance or the orphan"`
	From  float64 `json:"from_ms" doc:"its first signal"`
	To    float64 `json:"to_ms" doc:"its end"`
	Share float64 `json:"share" doc:"of elapsed_ms, from 0 to 1"`
	Steps int     `json:"steps" doc:"how many signals it took"`
}

// Child is a run.
type Child struct {
	Child     string      `json:"child" doc:"the instance"`
	Pid       int         `json:"pid" doc:"of the run"`
	Command   string      `json:"command" doc:"as the configuration has it"`
	DependsOn []string    `json:"depends_on,omitempty" doc:"the children that it was to end before"`
	Restarts  int         `json:"restarts,omitempty" doc:"how often the instance had been restarted"`
	Spawned   float64     `json:"spawned_at_ms" doc:"its begin"`
	Ready     *float64    `json:"ready_after_ms,omitempty" doc:"from its begin until it proved that it serves; not there: it did not"`
	Steps     []Step      `json:"steps" doc:"the signals that it got"`
	Ended     *float64    `json:"ended_at_ms,omitempty" doc:"its end; not there: it was not reaped"`
	Stop      *float64    `json:"stop_ms,omitempty" doc:"from its first signal to its end"`
	Exit      *event.Exit `json:"exit,omitempty" doc:"how it ended"`
	User      float64     `json:"user_ms" doc:"CPU time of its own"`
	System    float64     `json:"sys_ms" doc:"CPU time in the kernel"`
	MaxRSS    int64       `json:"max_rss_kb" doc:"the most memory it had resident"`
	Tree      *Tree       `json:"tree,omitempty" doc:"its threads and processes, where they were counted"`
	Proof     event.Proof `json:"proof" doc:"how well the fate of its descriptors is known: exact, sampled or none"`
	NoProof   string      `json:"reason,omitempty" doc:"why the proof is not exact"`
	ClosedN   int         `json:"fds_closed" doc:"descriptors that it closed itself"`
	LeftN     int         `json:"fds_left" doc:"descriptors that it left to the kernel"`
	Closed    []FD        `json:"closed" doc:"what it closed; what does not count says why"`
	Left      []FD        `json:"left" doc:"what it left; what does not count says why"`
	Processes []Process   `json:"processes" doc:"the processes below it"`
	Slow      []Slow      `json:"slow" doc:"what it did while it took long"`
}

// Step is a signal of a stop sequence.
type Step struct {
	Step   int     `json:"step" doc:"from 1; 0: outside the stop sequence"`
	Signal string  `json:"signal" doc:"its name"`
	At     float64 `json:"at_ms" doc:"when it was sent"`
}

// Tree counts the threads and the processes of a run.
type Tree struct {
	Threads      int `json:"threads" doc:"when its stop was asked for"`
	ThreadsAtEnd int `json:"threads_at_end" doc:"at the last look before the exit"`
	Processes    int `json:"processes" doc:"below it when its stop was asked for"`
	Forked       int `json:"forked" doc:"below it after that"`
}

// FD is a descriptor.
type FD struct {
	FD        int         `json:"fd" doc:"its number"`
	Kind      string      `json:"kind" doc:"file, pipe, socket, pidfd, epoll, …"`
	Target    string      `json:"target" doc:"what it leads to"`
	By        string      `json:"by" doc:"who closed it: child, kernel or supervisor"`
	At        float64     `json:"at_ms" doc:"when that was found: for a child's, as it exits"`
	Proof     event.Proof `json:"proof,omitempty" doc:"exact or sampled; for a child's"`
	Uncounted string      `json:"uncounted,omitempty" doc:"why it does not count: standard stream, go runtime"`
	Process   string      `json:"process,omitempty" doc:"the command that held it, where that was a process below the run"`
	Pid       int         `json:"pid,omitempty" doc:"of that process"`
	State     string      `json:"state,omitempty" doc:"of a socket"`
	Unread    uint64      `json:"unread,omitempty" doc:"bytes that waited to be read"`
	Unsent    uint64      `json:"unsent,omitempty" doc:"bytes that were not sent, or not acknowledged"`
	Mode      string      `json:"mode,omitempty" doc:"of a file: r, w, rw; with a: append"`
	Lock      string      `json:"lock,omitempty" doc:"on a file"`
	Deleted   bool        `json:"deleted,omitempty" doc:"the file has no name any more"`
	HeldBy    string      `json:"held_by,omitempty" doc:"a process that still has it open"`
}

// Process is one below a run.
type Process struct {
	Pid      int         `json:"pid" doc:"of the process"`
	Parent   int         `json:"parent" doc:"its parent, when it was seen first"`
	Command  string      `json:"command" doc:"its name"`
	Ended    float64     `json:"ended_at_ms" doc:"its end"`
	Lifetime float64     `json:"elapsed_ms" doc:"how long it lived"`
	Exit     *event.Exit `json:"exit,omitempty" doc:"how it ended; not there: nobody saw it"`
	InStop   bool        `json:"in_stop" doc:"it was forked after the stop began"`
	Threads  int         `json:"threads" doc:"when it was seen first"`
	ClosedN  int         `json:"fds_closed" doc:"descriptors that it closed itself"`
	LeftN    int         `json:"fds_left" doc:"descriptors that it left to the kernel"`
	Proof    event.Proof `json:"proof" doc:"as for a run"`
	NoProof  string      `json:"reason,omitempty" doc:"why the proof is not exact"`
}

// Slow is what a run did while its stop took long.
type Slow struct {
	At          float64  `json:"at_ms" doc:"when it was looked at"`
	Step        int      `json:"step" doc:"the last one sent"`
	Signal      string   `json:"signal" doc:"the last one sent"`
	Disposition string   `json:"disposition" doc:"of that signal: caught, ignored, blocked, default"`
	CPU         float64  `json:"cpu_ms" doc:"used since the first signal"`
	Threads     []string `json:"threads" doc:"what each thread waits for"`
}

// EarlierEnd is an instance that had ended when the stop began.
type EarlierEnd struct {
	Child    string     `json:"child" doc:"the instance"`
	Pid      int        `json:"pid" doc:"of its last run"`
	Restarts int        `json:"restarts,omitempty" doc:"how often it had been restarted"`
	Ended    float64    `json:"ended_at_ms" doc:"the end of its last run"`
	Exit     event.Exit `json:"exit" doc:"how that ended"`
}

// Orphan is an adopted process.
type Orphan struct {
	Pid     int         `json:"pid" doc:"of the process"`
	Command string      `json:"command" doc:"its name"`
	Steps   []Step      `json:"steps" doc:"the signals that it got"`
	Ended   *float64    `json:"ended_at_ms,omitempty" doc:"its end; not there: it survived"`
	Exit    *event.Exit `json:"exit,omitempty" doc:"how it ended"`
}

// Instant is something that was said.
type Instant struct {
	At    float64 `json:"at_ms" doc:"when"`
	Child string  `json:"child,omitempty" doc:"the instance that it is about"`
	What  string  `json:"what" doc:"in a word or two"`
	Why   string  `json:"reason,omitempty" doc:"in more words"`
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

func millis(d time.Duration) float64 { return math.Round(float64(d)/1e3) / 1e3 }

// most is how large a report may be that somebody wants to read.
const most = 128 << 20

// island is where the page has the document.
const island = `<script type="application/json" id="report">`

// Read reads a document, or the page that has it.
func Read(r io.Reader) (*Document, error) {
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, err
	}
	if len(b) > most {
		return nil, fmt.Errorf("larger than %d MiB", most>>20)
	}
	if _, rest, ok := bytes.Cut(b, []byte(island)); ok {
		b, _, _ = bytes.Cut(rest, []byte("</script>"))
	}
	var head struct{ Schema *int }
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("no report of a stop: %w", err)
	}
	switch {
	case head.Schema == nil || *head.Schema < 1:
		return nil, errors.New("no report of a stop: it has no schema")
	case *head.Schema > Schema:
		return nil, fmt.Errorf("written by a newer supervisor: it has schema %d, and this one reads %d", *head.Schema, Schema)
	}
	var d Document
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("no report of a stop: %w", err)
	}
	return &d, nil
}
