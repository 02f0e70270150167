package fdledger_test

import (
	"fmt"

	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/procfs"
)

// printer is a sink that prints messages.
type printer struct{}

func (printer) Emit(e event.Event) { fmt.Println(e.Record().Message) }

func ExampleLedger() {
	ledger := fdledger.New(printer{})
	ledger.Opened(7, "pipe", "server stdout")
	_ = ledger.Close(7, func() error { return nil }) // close(2) in a program
	fmt.Println(ledger.Counts())
	// Output:
	// fd opened
	// fd closed
	// 1 1
}

func ExampleCompare() {
	log := procfs.FD{Num: 3, Kind: "file", Target: "/var/log/app"}
	client := procfs.FD{Num: 4, Kind: "socket", Target: "tcp 10.0.0.1:80 -> 10.0.0.2:4711"}
	before, after := []procfs.FD{log, client}, []procfs.FD{log}
	closed, leaked := fdledger.Compare(before, after, nil, fdledger.Unknown, nil)
	fmt.Println(closed, "closed,", leaked, "leaked")
	// Output: 1 closed, 1 leaked
}
