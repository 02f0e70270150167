// Package history reads the lines of log files that are not in memory any more, also those of
// renamed and compressed files. It has no goroutine of its own: the goroutine of the request reads.
//
// A file can have any content and any size, because the user of a child may be able to write to it.
// So files are read in blocks, and lines in pieces. Three numbers have a limit: the bytes that are
// searched, the bytes of an unpacked file, and the open files. A note reports lines beyond a limit.
package history

import (
	"context"

	"tp0/supervisor/fdledger"
	"tp0/supervisor/output/retain"
)

// Show calls each with the lines that a query selects, in memory and in log files, in the order of
// their times. The lines of one instance are in the order in which it printed them. A line without
// a time comes before the next line of its file.
//
// A file is opened only if memory does not have what the query asks for. sources has the files of
// all instances. Show returns the error of each, or that of ctx.
func Show(
	ctx context.Context, memory Memory, fds fdledger.Registrar, query retain.Query,
	sources []Source, each func(Line) error,
) error {
	h := &history{memory: memory, query: query}
	defer func() {
		for _, s := range h.stacks {
			s.close()
		}
	}()
	if err := h.plan(ctx, sources, fds); err != nil {
		return err
	}
	// The files end here. What is printed from now on is read from memory.
	for _, s := range h.stacks {
		s.openOlder()
	}
	reader, err := memory.Lines(query)
	if err != nil {
		return err
	}
	defer reader.Close()
	for _, s := range h.stacks {
		for _, t := range s.targets {
			if err := t.measure(ctx, memory); err != nil {
				return err
			}
		}
		s.locate(ctx)
		s.align(ctx)
	}
	m := merger{history: h, reader: reader, each: each}
	defer m.stop()
	return m.run(ctx)
}
