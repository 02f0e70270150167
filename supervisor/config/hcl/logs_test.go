package hclconfig

import (
	"testing"
	"time"

	"tp0/supervisor/config"
)

// faultsOfRetention are the faults of sizes, timestamps and rotations.
var faultsOfRetention = []faultCase{
	inBlock("size without a unit", "logs", `retain = "256"`,
		`4:10 Invalid value for logs.retain: The size has no unit. Write "256B" for bytes, `+
			`"256KiB" for KiB, "256MiB" for MiB.`),
	inBlock("size as a number", "logs", `retain = 0`,
		`4:10 Invalid value for logs.retain: The size has no unit.`),
	inBlock("size with a letter", "logs", `retain = "10m"`,
		`4:10 Invalid value for logs.retain: "m" is not a unit of sizes. Did you mean "MiB" `+
			`(1024 * 1024 bytes)?`),
	inBlock("size with an unknown unit", "logs", `retain = "10 lines"`,
		`4:10 Invalid value for logs.retain: "lines" is not a unit of sizes. Use "B", "KiB", `+
			`"MiB" or "GiB".`),
	inBlock("fraction of a size", "logs", `retain = "1.5MiB"`,
		`4:10 Invalid value for logs.retain: "1.5MiB" is not a size.`),
	inBlock("negative size", "logs", `retain = "-1MiB"`,
		`4:10 Invalid value for logs.retain: "-1MiB" is not a size.`),
	inBlock("size as a list", "logs", `retain = ["1MiB"]`,
		"4:10 Incorrect attribute value type: `logs.retain` must be a size, such as"),
	inBlock("size too large", "logs", `retain = "2GiB"`,
		`4:10 Invalid value for logs.retain: The size must be at most 1GiB.`),
	inBlock("size out of range", "logs", `retain = "99999999999999999999999999999B"`,
		`4:10 Invalid value for logs.retain: The size must be at most 1GiB.`),
	inBlock("timestamps of raw lines", "logs", "timestamps = true\nformat = \"raw\"",
		"4:14 Timestamps without a format: `format = \"raw\"` leaves the lines unchanged"),
	inBlock("misspelt block", "logs", "rotat {\n}", "4:1 "),
	inBlock("empty rotation", "logs", "stdout = \"/tmp/a.log\"\nrotate {\n}",
		"5:8 Missing required argument: At least one of \"size\" and \"age\" is required."),
	inBlock("rotation without a file", "logs", "rotate {\nsize = \"1MiB\"\n}",
		"5:8 Rotation without a log file: `rotate` requires that `logs.stdout`"),
	inBlock("faults of a rotation", "logs",
		"stdout = \"/tmp/a.log\"\nrotate {\nsize = \"1KiB\"\nkeep = 0\nage = \"1ms\"\n}",
		`6:8 Invalid value for logs.rotate.size: The size must be at least 64KiB.`,
		`7:8 Invalid value for logs.rotate.keep: The number must be at least 1.`,
		`8:7 Invalid value for logs.rotate.age: The duration must be at least 1s.`),
	{"different rotations", `child "a" {
command = "server"
logs {
stdout = "/tmp/a.log"
rotate { size = "1MiB" }
}
}
child "b" {
command = "server"
logs {
stderr = "/tmp/../tmp/a.log"
rotate { size = "2MiB" }
}
}
`, []string{"12:17 Different rotations of a file: The log file \"/tmp/a.log\" already has " +
		"another rotation in line 5."}},
	{"total without a unit",
		"log_retain_total = \"1024\"\nchild \"a\" { command = \"server\" }\n",
		[]string{"1:20 Invalid value for log_retain_total: The size has no unit."}},
}

// TestLogs checks the values of the logs block, also where a child follows the rotation of another.
func TestLogs(t *testing.T) {
	_, opt := machine(t)
	c := good(t, `log_retain_total = "1MB"
child "a" {
  count = 2
  command = "server"
  logs {
    stdout     = "/tmp/a.log"
    timestamps = index == 2
    retain     = "${index}KiB"
    rotate {
      size     = "10 MiB"
      age      = "168h"
      keep     = 3
    }
  }
}
child "b" {
  command = "server"
  logs {
    format = "json"
    retain = "0B"
    stdout = "/tmp/a.log"
  }
}
`, opt)
	if c.Log.RetainTotal != 1_000_000 {
		t.Errorf("the sum is %v", c.Log.RetainTotal)
	}
	rotate := config.Rotate{Size: 10 << 20, Age: 168 * time.Hour, Keep: 3}
	for i, want := range []config.LogPolicy{
		{Retain: 1024, Rotate: rotate},
		{Retain: 2048, Rotate: rotate, Timestamps: true},
		{Retain: 0, Rotate: config.Rotate{Keep: 5}},
	} {
		if got := c.Instances()[i].Policy.Logs; got != want {
			t.Errorf("instance %d: got %+v, want %+v", i, got, want)
		}
	}
}
