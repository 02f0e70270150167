package lifecycle

// Scope says which processes the signals of a stop sequence reach.
type Scope string

// The scopes. The empty value means ScopeGroup.
const (
	ScopeProcess Scope = "process" // the main process
	ScopeGroup   Scope = "group"   // the process group that the main process was started in
	ScopeTree    Scope = "tree"    // all descendants at that moment, in whatever group or session
)
