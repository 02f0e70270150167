package metrics

import (
	"bufio"
	"fmt"
	"strings"

	vm "github.com/VictoriaMetrics/metrics"
)

// kind is the type of a metric in the text format of Prometheus.
type kind string

const (
	gauge     kind = "gauge"
	counter   kind = "counter"
	histogram kind = "histogram"
)

// family is a metric: all series of one name.
type family struct {
	name   string
	kind   kind
	help   string // one sentence without a full stop
	labels []string
	// values are the values of the last label; nil: it has no closed set.
	values []string
	// collect calls add for each series, with a value for each label. It is nil for a histogram.
	collect func(s *snapshot, add sample)
	// set returns the series of a histogram.
	set func(s *snapshot) *vm.Set
}

// sample adds a series.
type sample func(value float64, labels ...string)

// write writes the series of a family in the text format of Prometheus. Without a series nothing
// is written.
func (f *family) write(out *bufio.Writer, s *snapshot) {
	begun := false
	begin := func() {
		if !begun {
			fmt.Fprintf(out, "# HELP %s %s.\n# TYPE %s %s\n", f.name, f.help, f.name, f.kind)
		}
		begun = true
	}
	if f.set != nil {
		if set := f.set(s); len(set.ListMetricNames()) > 0 {
			begin()
			set.WritePrometheus(out)
		}
		return
	}
	f.collect(s, func(value float64, labels ...string) {
		begin()
		if f.kind == counter {
			vm.WriteCounterFloat64(out, f.series(labels...), value)
		} else {
			vm.WriteGaugeFloat64(out, f.series(labels...), value)
		}
	})
}

// escaper escapes the value of a label.
var escaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// series returns the name of a series with its labels.
func (f *family) series(labels ...string) string {
	if len(f.labels) != len(labels) {
		panic(fmt.Sprintf("%s has the labels %q, got the values %q", f.name, f.labels, labels))
	}
	if len(labels) == 0 {
		return f.name
	}
	var name strings.Builder
	name.WriteString(f.name)
	for i, value := range labels {
		separator := byte(',')
		if i == 0 {
			separator = '{'
		}
		name.WriteByte(separator)
		value = escaper.Replace(strings.ToValidUTF8(value, "\uFFFD"))
		name.WriteString(f.labels[i] + `="` + value + `"`)
	}
	name.WriteByte('}')
	return name.String()
}
