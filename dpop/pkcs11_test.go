//go:build cgo

package dpop_test

import (
	"crypto"
	"crypto/elliptic"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ThalesGroup/crypto11"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
)

// softHSM starts a PKCS#11 token in software, which behaves as one in hardware does: keys are made inside and do
// not come out. Without Debian's package softhsm2 the test is skipped, but not in CI.
func softHSM(t *testing.T) *crypto11.Context {
	t.Helper()
	missing := func(what string) {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s not found: install softhsm2", what)
		}
		t.Skipf("%s not found: install softhsm2 to test with a PKCS#11 token", what)
	}
	util, err := exec.LookPath("softhsm2-util")
	if err != nil {
		missing("softhsm2-util")
	}
	var module string
	for _, pattern := range []string{
		"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/*/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so",
		"/usr/local/lib/softhsm/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so",
	} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			module = found[0]
			break
		}
	}
	if module == "" {
		missing("libsofthsm2.so")
	}
	folder := t.TempDir()
	config := filepath.Join(folder, "softhsm2.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, "directories.tokendir = %s\n", folder), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", config)
	initialise := exec.Command(util, "--init-token", "--free", "--label", "client", "--pin", "1234", "--so-pin", "5678")
	if output, err := initialise.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	token, err := crypto11.Configure(&crypto11.Config{Path: module, TokenLabel: "client", Pin: "1234"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := token.Close(); err != nil {
			t.Error(err)
		}
	})
	return token
}

// A key that never leaves its token signs proofs like any other.
func TestSignWithPKCS11(t *testing.T) {
	token := softHSM(t)
	makers := map[string]func(id []byte) (crypto11.Signer, error){
		"ES256": func(id []byte) (crypto11.Signer, error) { return token.GenerateECDSAKeyPair(id, elliptic.P256()) },
		"ES384": func(id []byte) (crypto11.Signer, error) { return token.GenerateECDSAKeyPair(id, elliptic.P384()) },
		"PS256": func(id []byte) (crypto11.Signer, error) { return token.GenerateRSAKeyPair(id, 2048) },
		"RS256": func(id []byte) (crypto11.Signer, error) { return token.GenerateRSAKeyPair(id, 2048) },
	}
	for alg, generate := range makers {
		t.Run(alg, func(t *testing.T) {
			if _, err := generate([]byte(alg)); err != nil {
				t.Fatal(err)
			}
			// As another run of the program would find it.
			key, err := token.FindKeyPair([]byte(alg), nil)
			if err != nil || key == nil {
				t.Fatalf("the key is not in the token: %v", err)
			}
			signer, err := dpop.NewSigner(crypto.Signer(key), alg)
			if err != nil {
				t.Fatal(err)
			}
			for range 20 { // R and S of different lengths
				proof, err := signer.Sign(dpop.ProofOptions{Method: "GET", URL: poptest.URL, AccessToken: "token"})
				if err != nil {
					t.Fatal(err)
				}
				if p := openProof(t, proof); p.thumbprint != signer.Thumbprint() || p.alg != alg {
					t.Errorf("proof by %s with %s", p.thumbprint, p.alg)
				}
			}
		})
	}
}
