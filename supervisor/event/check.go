package event

// CheckResult is the result of an attempt of a check.
type CheckResult string

// The results of checks.
const (
	CheckIsPassed  CheckResult = "passed"
	CheckIsFailed  CheckResult = "failed"
	CheckIsExcused CheckResult = "excused" // not started, or failed while the supervisor paused
)
