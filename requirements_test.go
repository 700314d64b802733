package senderlock_test

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// requirements is how many rows the table of requirements on a resource server has.
const requirements = 182

// notTested are the rows that no test here can name, each with why. The tests name the others.
var notTested = map[string]string{
	"RS-047": "it binds clients that parse challenges",
	"RS-078": "it advises authorization servers; what it warns of is refused by the longest accepted lifetime",
	"RS-081": "it says what a proof does not cover; SECURITY.md repeats it",
	"RS-169": "TLS is the server's; that of the examples is Go's default, TLS 1.2 or later",
	"RS-171": "it informs; which mitigations are on is in the settings",
	"RS-173": "it is a note on how test suites count",
}

var rowPattern = regexp.MustCompile(`RS-\d{3}`)

// Every requirement of the RFCs has a test that names it, or a sentence that says why not.
func TestEveryRequirementIsNamed(t *testing.T) {
	named := map[string][]string{}
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !isTest(path) || path == "requirements_test.go" {
			return err
		}
		text, err := os.ReadFile(path)
		for _, row := range rowPattern.FindAllString(string(text), -1) {
			if !slices.Contains(named[row], path) {
				named[row] = append(named[row], path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= requirements; i++ {
		row := rowName(i)
		why := notTested[row]
		switch {
		case len(named[row]) == 0 && why == "":
			t.Errorf("%s is named by no test, and nothing says why", row)
		case len(named[row]) > 0 && why != "":
			t.Errorf("%s is tested in %v and need not be excused", row, named[row])
		}
		delete(named, row)
	}
	for row, files := range named {
		t.Errorf("%s in %v is no requirement", row, files)
	}
}

// isTest reports whether a file holds tests: those of echoauth are in a package, which runs for each version of Echo.
func isTest(path string) bool {
	return strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "echoauth/internal/echotest/")
}

func rowName(i int) string {
	return "RS-" + string([]byte{'0' + byte(i/100), '0' + byte(i/10%10), '0' + byte(i%10)})
}
