package main_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/dpop"
)

// A verifier accepts what the program makes, for the request that it was made for.
func TestProof(t *testing.T) {
	file := newKey(t)
	verifier, err := dpop.New(dpop.Config{Origins: []string{"https://api.example.com"}, InsecureForgetAtStart: true})
	if err != nil {
		t.Fatal(err)
	}
	defer verifier.Close()
	request := func(proof string) *http.Request {
		r := httptest.NewRequest("POST", "https://api.example.com/pay?id=1", nil)
		r.Header.Set("DPoP", strings.TrimSpace(proof))
		return r
	}
	made := expect(t, "token-1\n", outcome{out: "ey"}, "proof", "-X", "POST", "--key", file, "--token-file", "-", "https://api.example.com/pay?id=1")
	if _, err := verifier.Verify(request(made.out), "token-1"); err != nil {
		t.Error(err)
	}
	made = run(t, "", "proof", "-X", "POST", "--key", file, "--nonce", verifier.Nonce(), "https://api.example.com/pay")
	if p, err := verifier.Verify(request(made.out), ""); err != nil || !p.HasNonce() {
		t.Errorf("%v, with nonce: %t", err, err == nil && p.HasNonce())
	}
	got := decode[struct {
		Proof          string
		Header, Claims map[string]any
	}](t, run(t, "t", "proof", "--json", "--key", file, "--token-file", "-", "--nonce", "n", "https://API.example.com/a?b").out)
	hash := sha256.Sum256([]byte("t"))
	for claim, want := range map[string]string{
		"htm": "GET", "htu": "https://api.example.com/a", "nonce": "n", "ath": base64.RawURLEncoding.EncodeToString(hash[:]),
	} {
		if got.Claims[claim] != want {
			t.Errorf("%s is %v, want %s", claim, got.Claims[claim], want)
		}
	}
	if got.Header["typ"] != "dpop+jwt" || strings.Count(got.Proof, ".") != 2 {
		t.Errorf("%+v", got)
	}
}

func TestProofRefused(t *testing.T) {
	file := newKey(t)
	for name, test := range map[string]struct {
		stdin, said string
		args        []string
	}{
		"no URL":         {"", "the URL is missing (usage: senderlock proof [flags] URL", nil},
		"two URLs":       {"", `"https://b.example" is one argument too many`, []string{"https://a.example", "https://b.example"}},
		"no address":     {"", "proof: ", []string{"api.example.com"}},
		"method":         {"", "method", []string{"-X", "GE T", "https://a.example"}},
		"no token":       {" \n", "the access token is empty", []string{"--token-file", "-", "https://a.example"}},
		"two tokens":     {"a b", "it has spaces or control characters inside", []string{"--token-file", "-", "https://a.example"}},
		"huge token":     {strings.Repeat("a", 65<<10), "larger than 65536 octets", []string{"--token-file", "-", "https://a.example"}},
		"no such file":   {"", "no such file", []string{"--token-file", filepath.Join(t.TempDir(), "x"), "https://a.example"}},
		"token as flag":  {"", "unknown flag: --token ", []string{"--token", "secret", "https://a.example"}},
		"nonce of space": {"", "nonce", []string{"--nonce", "a b", "https://a.example"}},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, test.stdin, outcome{said: test.said, status: 2}, append([]string{"proof", "--key", file}, test.args...)...)
		})
	}
}
