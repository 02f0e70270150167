package hclconfig

import (
	"fmt"
	"sync"
	"time"

	"github.com/zclconf/go-cty/cty"

	"tp0/supervisor/config"
)

const (
	minRotateSize config.Bytes = 64 << 10 // of a log file: several lines fit into it
	maxRotateSize config.Bytes = 1 << 40
	maxRotateAge               = 366 * 24 * time.Hour
	maxRotateKeep              = 1000 // files
)

var logsSchema = sync.OnceValue(func() block[childValues] {
	return block[childValues]{
		name: "logs",
		doc:  "Where the output of the child goes, and in which format.",
		attributes: []attribute[childValues]{
			field("format", func(v *childValues) *string { return &v.launch.Logs.Format },
				oneOf("text", "json", "raw", config.LogInherit), `"json"`,
				"`text` writes the name of the instance before each line. `json` writes an "+
					"object for each line. `raw` writes the lines unchanged. `inherit` gives "+
					"the supervisor's own descriptor to the child, so a file is not possible."),
			field("colors", func(v *childValues) *string { return &v.launch.Logs.Colors },
				oneOf("keep", "strip"), `"strip"`,
				"`keep` passes the [colors of the child](output.md#colors) on to a terminal. "+
					"In files and pipes they are visible as `\\x1b[31m`. `strip` removes "+
					"them, also in `json`."),
			field("stdout", func(v *childValues) *string { return &v.launch.Logs.Stdout },
				sinkKind, `"/var/log/server.log"`,
				"Where standard output goes. The path of a file is relative to `cwd`. The "+
					"file is [opened again](output.md#rotated-log-files) after it was "+
					"renamed. A path that leads to the supervisor's own stream, as "+
					"`/dev/stdout`, is that stream."),
			field("stderr", func(v *childValues) *string { return &v.launch.Logs.Stderr },
				sinkKind, `"none"`,
				"Where standard error goes, as for `stdout`."),
			field("timestamps", func(v *childValues) *bool { return &v.policy.Logs.Timestamps },
				boolKind, "true",
				"Write the time at which a line was read in front of it, with the format `text`: "+
					"`2026-11-29T10:00:00.000Z [web1] line`, in UTC. `json` always has it."),
			field("retain", func(v *childValues) *config.Bytes { return &v.policy.Logs.Retain },
				size(0, maxRetain), `"256KiB"`,
				"How much output of each instance is kept in memory, for `supervisor logs`. Only "+
					"whole lines are kept, those of earlier processes too. An instance that "+
					"prints nothing needs no memory. With `format = \"inherit\"` nothing is "+
					"kept. `log_retain_total` limits the sum. \"0B\" disables it."),
		},
		blocks: []block[childValues]{rotateSchema()},
	}
})

var rotateSchema = sync.OnceValue(func() block[childValues] {
	return block[childValues]{
		name: "rotate",
		doc: "When the supervisor renames the log files of the child and opens new ones. At " +
			"least one of `size` and `age` is required. See " +
			"[Rotation](output.md#rotation-by-the-supervisor). A change restarts no process.",
		attributes: []attribute[childValues]{
			field("size", func(v *childValues) *config.Bytes { return &v.policy.Logs.Rotate.Size },
				size(minRotateSize, maxRotateSize), `"10MiB"`,
				"A file does not get larger than this, unless a single line is."),
			field("age", func(v *childValues) *time.Duration { return &v.policy.Logs.Rotate.Age },
				durationBetween(time.Second, maxRotateAge), `"168h"`,
				"The file is renamed before a line is written, if its first line is that old. A "+
					"file to which nothing is written stays as it is."),
			field("keep", func(v *childValues) *int { return &v.policy.Logs.Rotate.Keep },
				keepKind(), "5",
				"The number of renamed files. The oldest one is deleted."),
			field("compress", func(v *childValues) *bool { return &v.policy.Logs.Rotate.Compress },
				boolKind, "true",
				"Compress the renamed files with gzip, but for the newest one, which a log "+
					"shipper may still be reading."),
		},
		anyOf: []string{"size", "age"},
	}
})

func keepKind() kind[int] {
	return kind[int]{"number", fmt.Sprintf("1 to %d", maxRotateKeep), readKeep}
}

func readKeep(v cty.Value) (int, error) {
	n, err := readInteger(0, maxRotateKeep)(v)
	if err == nil && n == 0 {
		err = invalid("The number must be at least 1.")
	}
	return n, err
}
