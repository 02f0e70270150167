package api

import (
	"encoding/json"
	"testing"
	"time"
)

// TestDuration checks that a duration is written as a person writes it, and that a fault says what
// would be right.
func TestDuration(t *testing.T) {
	text, err := json.Marshal(Operation{Deadline: Duration(1500 * time.Millisecond)})
	if want := `{"deadline":"1.5s"}`; err != nil || string(text) != want {
		t.Errorf("got %s, %v; want %s", text, err, want)
	}
	var op Operation
	if err := json.Unmarshal([]byte(`{"deadline":"2m"}`), &op); err != nil ||
		op.Deadline != Duration(2*time.Minute) {
		t.Errorf("got %+v, %v", op, err)
	}
	err = json.Unmarshal([]byte(`{"deadline":"soon"}`), &op)
	want := `"soon" is not a duration: write it as 1.5s or 2m`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
