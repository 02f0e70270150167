package trial

import "testing"

func TestCheck(t *testing.T) {
	const head = "22:00:00.001Z [INFO]  action: "
	for line, ok := range map[string]bool{
		head + "exit | result: success":                                    true,
		"22:00:00.001Z [ERROR] action: exit | result: fail":                true,
		head + "accept_connections | result: in_progress":                  true,
		head + `receive_message | result: success | msg: a: b`:             true,
		head + `receive_message | result: success | msg: `:                 true,
		"a line of something else | anything":                              true,
		head + "exit | result: done":                                       false,
		head + "receive_message | result: success | msg: a | b":            false,
		head + "receive_message | result: success | msg: a | result: fail": false,
		head + "receive_message | result: success | action: exit":          false,
		head + "receive_message | result: success | source: x":             false,
		head + "exit":                    false,
		"action: exit | result: success": false,
		"2026-11-24T22:00:00Z [INFO]  action: exit | result: success":   false,
		"22:00:00.001Z [INFO]  server: action: exit | result: success":  false,
		"22:00:00.001Z [INFO]  \x1b[1maction: exit | result: success":   false,
		"22:00:00.001Z [INFO]   action: exit | result: success | a: b:": false,
	} {
		if err := Check(line); (err == nil) != ok {
			t.Errorf("%q: %v", line, err)
		}
	}
}
