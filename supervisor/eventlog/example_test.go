package eventlog_test

import (
	"context"
	"os"
	"strings"

	"tp0/supervisor/event"
	"tp0/supervisor/eventlog"
)

// noTime removes the time at the start of a line.
type noTime struct{}

func (noTime) Write(p []byte) (int, error) {
	_, line, _ := strings.Cut(string(p), " ")
	_, err := os.Stdout.WriteString(line)
	return len(p), err
}

func ExampleLog() {
	log := eventlog.New()
	log.Emit(event.Spawned{Child: "server", Pid: 13, Command: "server"})
	log.Start(noTime{}, eventlog.Settings{Level: "info", Format: "text"})
	log.Emit(event.SignalReceived{Signal: "SIGTERM"})
	_ = log.Close(context.Background())
	// Output:
	// [INFO]  supervisor: child spawned: child=server pid=13 command=server
	// [INFO]  supervisor: signal received: signal=SIGTERM
}
