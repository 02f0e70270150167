package mailbox_test

import (
	"fmt"

	"tp0/supervisor/mailbox"
)

func ExampleQueue() {
	q := mailbox.New[string]()
	q.Put("first", "second")
	q.Put("third") // Put never blocks
	<-q.Wake()
	fmt.Println(q.Take())
	// Output: [first second third]
}
