package report

import "slices"

// Times has percentiles of durations. Each is a duration that was measured, by the nearest-rank
// method. All are 0 if n is 0.
type Times struct {
	N       int     `json:"n" doc:"number of stops that were measured"`
	P50     float64 `json:"p50_ms" doc:"half of the stops took at most this time"`
	P95     float64 `json:"p95_ms" doc:"95 % of the stops took at most this time"`
	Worst   float64 `json:"worst_ms" doc:"the longest"`
	WorstIn string  `json:"worst_in" doc:"the file with the longest"`
}

// sample is a duration in ms and the file that has it.
type sample struct {
	ms   float64
	file string
}

// timesOf returns the percentiles of durations. Of two equal durations, the file of the first one
// counts as the file with the longest.
func timesOf(all []sample) Times {
	if len(all) == 0 {
		return Times{}
	}
	worst := all[0]
	sorted := make([]float64, len(all))
	for i, s := range all {
		sorted[i] = s.ms
		if s.ms > worst.ms {
			worst = s
		}
	}
	slices.Sort(sorted)
	return Times{
		len(all), percentile(sorted, 50), percentile(sorted, 95), worst.ms, worst.file,
	}
}

// percentile returns the nearest-rank percentile p, from 1 to 100, of sorted values: the smallest
// value that at least p % of the values do not exceed. There must be a value.
func percentile(sorted []float64, p int) float64 {
	rank := (len(sorted)*p + 99) / 100 // rounded up, from 1
	return sorted[rank-1]
}
