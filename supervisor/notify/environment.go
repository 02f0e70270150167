package notify

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

// Environment is what the service manager passed in environment variables. The zero value means
// that there is no service manager.
type Environment struct {
	Socket string // NOTIFY_SOCKET; empty disables notifications
	// WATCHDOG_USEC, the longest time between two keep-alives; 0 disables them
	Watchdog time.Duration
}

// TakeEnvironment reads the variables and unsets them, so that children do not notify our
// service manager in our name. Call it before the first child is started.
func TakeEnvironment() (Environment, error) {
	const socket, usec, pid = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
	defer func() {
		for _, name := range []string{socket, usec, pid} {
			_ = os.Unsetenv(name)
		}
	}()
	e := Environment{Socket: os.Getenv(socket)}
	if e.Socket != "" && e.Socket[0] != '/' && e.Socket[0] != '@' {
		return Environment{}, fmt.Errorf(
			"%s is %q: want an absolute path or the name of an abstract socket (@name)",
			socket, e.Socket)
	}
	if watched := os.Getenv(pid); watched != "" && watched != strconv.Itoa(os.Getpid()) {
		return e, nil // the watchdog is for another process
	}
	if text := os.Getenv(usec); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n <= 0 || n > int64(time.Duration(1<<62)/time.Microsecond) {
			return e, fmt.Errorf("%s is %q: want a number of microseconds above 0", usec, text)
		}
		e.Watchdog = time.Duration(n) * time.Microsecond
	}
	return e, nil
}
