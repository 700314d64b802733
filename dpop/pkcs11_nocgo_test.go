//go:build !cgo

package dpop_test

import (
	"os"
	"testing"
)

func TestSignWithPKCS11(t *testing.T) {
	if os.Getenv("CI") == "true" {
		t.Fatal("built without cgo, which PKCS#11 modules need")
	}
	t.Skip("built without cgo, which PKCS#11 modules need")
}
