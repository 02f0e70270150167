// Package output relays the output of children to its destinations: whole lines, in order within
// a stream, prefixed with the instance.
//
// Each process of a child has one pipe for each stream. A goroutine reads the pipe, formats the
// lines and passes batches of whole lines to a sink. A pipe that is quiet for 200 ms needs neither
// a goroutine nor a buffer: one goroutine waits for all of them. A sink is one destination.
// It is shared by all streams that go there and has one goroutine that writes. All queues are
// bounded:
//
//	child ─ pipe ─ stream ─┐
//	child ─ pipe ─ stream ─┼─ sink (queue of 1 MiB) ─ stdout
//	own log ─ Writer ──────┘
//
// While the destination of a full sink accepts bytes, however slowly, the streams wait and no
// line is lost. If it accepts no byte for one second the sink is stalled: lines that do not fit
// are dropped and counted until the destination accepts bytes again, so a child never blocks
// because nothing reads our output. If the destination fails (its reader is gone) the sink drops
// and counts all further lines. A full disk makes a sink stalled, and its write is repeated every
// second.
//
// The package does not know when a process ends. A stream ends at EOF, which a descendant can
// delay, or when [ChildOutput.Close] is called.
package output
