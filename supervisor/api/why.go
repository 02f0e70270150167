package api

// Situation says why an instance is in its state, as a word for programs.
type Situation string

// The situations.
const (
	WaitsForStart   Situation = "waits_for_start"  // of a dependency, a hand-over, or a free slot
	StartsUp        Situation = "starts_up"        // its process is not ready yet
	BacksOff        Situation = "backs_off"        // a restart follows after a delay
	WaitsForUpdate  Situation = "waits_for_update" // its process is to be replaced
	UpdateHalted    Situation = "update_halted"    // its reload or restart was halted
	FailedForGood   Situation = "failed"           // no restart follows
	OutOfMemory     Situation = "out_of_memory"    // the OOM killer ended its last process
	TakesLongToStop Situation = "stopping"         // a stop sequence is under way
	WaitsForStop    Situation = "waits_for_stop"   // of the dependents that are stopped before it
	StoppedByUser   Situation = "stopped_by_request"
	NeedsRestart    Situation = "needs_restart" // its program or configuration changed on disk
	CheckFails      Situation = "check_fails"
	LeaksFDs        Situation = "leaks_descriptors"
	NearFDLimit     Situation = "near_descriptor_limit" // 80 % or more of it are open
	StoppedBySignal Situation = "stopped_by_signal"     // SIGSTOP, and no SIGCONT yet
	Runs            Situation = "runs"                  // nothing is wrong
	Completed       Situation = "completed"
	Ended           Situation = "ended" // it was stopped, and is not started again
)

// WhyAnswer explains instances.
type WhyAnswer struct {
	Instances []Why `json:"instances"`
}

// Why explains one instance. Its texts can have text from children, and are untrusted.
type Why struct {
	Name      string    `json:"name"`
	Child     string    `json:"child"`
	State     string    `json:"state"` // see [Instance.State]; empty: the answer is from a report
	Situation Situation `json:"situation"`
	Answer    string    `json:"answer"`   // one sentence
	Evidence  []string  `json:"evidence"` // the facts, one sentence each
	Next      []string  `json:"next"`     // what to do, as commands with a reason
}
