package poptest

import (
	"os"
	"testing"
)

// Walks is how many of so many random walks a test takes: all of them under CI=true, and a quarter elsewhere and with
// -short.
func Walks(all int) int {
	if os.Getenv("CI") == "true" && !testing.Short() {
		return all
	}
	return max(1, all/4)
}
