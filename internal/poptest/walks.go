package poptest

import "testing"

// Walks is how many of so many random walks a test takes: all of them, and a quarter with -short.
func Walks(all int) int {
	if testing.Short() {
		return max(1, all/4)
	}
	return all
}
