package explain_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/senderlock/senderlock/internal/explain"
)

// Each reason of the Guard belongs to a step, or to what a pasted request cannot show.
func TestEachReasonHasAStep(t *testing.T) {
	elsewhere := []string{
		"account_not_active", "address_mismatch", "bearer_ended", "binding_missing", "bound_token_elsewhere", "cross_origin",
		"login_too_old", "login_too_weak", "ticket_unknown", "token_not_on_record",
	}
	names := regexp.MustCompile(`reason\.New\("([a-z_]+)"`)
	found := 0
	for _, folder := range []string{"access", "dpop", "internal/jose"} {
		files, err := filepath.Glob(filepath.Join("..", "..", folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names.FindAllStringSubmatch(string(text), -1) {
				found++
				if _, _, ok := explain.StepOf(name[1]); ok == slices.Contains(elsewhere, name[1]) {
					t.Errorf("%s in %s: a step knows it: %t", name[1], file, ok)
				}
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d reasons were found", found)
	}
}
