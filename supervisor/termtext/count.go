package termtext

import "strconv"

// Count returns a number with its noun: "1 child", "2 children".
func Count[N ~int | ~uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatUint(uint64(n), 10) + " " + many
}
