package termtext_test

import (
	"fmt"

	"tp0/supervisor/termtext"
)

// A file name can hold an escape sequence and a line break that forges a line of a log.
func ExampleEscape() {
	fmt.Println(termtext.Escape("/tmp/\x1b[2Ja\n12:00:00 [INFO] all is well"))
	// Output: /tmp/\x1b[2Ja\n12:00:00 [INFO] all is well
}

func ExampleCut() {
	fmt.Println(termtext.Cut("a status of many words", 12))
	// Output: a status …
}

func ExampleAppendJSON() {
	line := termtext.AppendJSON([]byte(`{"@message":"`), []byte("say \"hi\"\xff"))
	fmt.Println(string(append(line, `"}`...)))
	// Output: {"@message":"say \"hi\"\ufffd"}
}
