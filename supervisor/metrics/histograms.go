package metrics

import vm "github.com/VictoriaMetrics/metrics"

// histograms are the histograms of one metric, by child.
type histograms struct {
	set    *vm.Set
	family *family
	bounds []float64
}

func newHistograms(f *family, bounds []float64) *histograms {
	return &histograms{vm.NewSet(), f, bounds}
}

func (h *histograms) observe(child string, value float64) {
	h.set.GetOrCreatePrometheusHistogramExt(h.family.series(child), h.bounds).Update(value)
}

// keep removes the histograms of all other children.
func (h *histograms) keep(children map[string]bool) {
	wanted := map[string]bool{}
	for child := range children {
		wanted[h.family.series(child)] = true
	}
	for _, name := range h.set.ListMetricNames() {
		if !wanted[name] {
			h.set.UnregisterMetric(name)
		}
	}
}
