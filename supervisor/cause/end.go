package cause

// End is the unexpected end of a main process.
type End struct {
	Pid       int
	Killed    bool           // by a SIGKILL that the supervisor did not send
	Code      int            // the exit code; 128+n for signal n
	MaxRSS    int64          // KiB
	Starting  bool           // it was not ready
	Output    []string       // its last lines; untrusted
	Addresses []string       // host:port of its probes of this machine
	Args      []string       // its arguments
	Children  map[int]string // the names of the instances, by the pid of the main process
}
