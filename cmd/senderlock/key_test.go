package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/dpop/keyfile"
)

// newKey makes a key by the program and returns its file.
func newKey(t *testing.T, flags ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keys", "key")
	expect(t, "", outcome{out: file}, append([]string{"key", "new", "--key", file}, flags...)...)
	return file
}

type shownKey struct {
	File, Alg, Thumbprint string
	JWK                   map[string]string
}

func TestKeys(t *testing.T) {
	for alg, flags := range map[string][]string{
		"ES256": nil, "ES384": {"--alg", "ES384"}, "PS256": {"--alg", "PS256", "--jwk"}, "EdDSA": {"--alg", "EdDSA", "--jwk"},
	} {
		t.Run(alg, func(t *testing.T) {
			file := newKey(t, flags...)
			key, err := keyfile.File{Path: file}.Load()
			if err != nil {
				t.Fatal(err)
			}
			signer, err := dpop.NewSigner(key, "")
			if err != nil {
				t.Fatal(err)
			}
			shown := decode[shownKey](t, run(t, "", "key", "show", "--json", "--key", file).out)
			jwk, _ := json.Marshal(shown.JWK)
			if shown.File != file || shown.Alg != alg || shown.Thumbprint != signer.Thumbprint() || len(jwk) != len(signer.PublicJWK()) {
				t.Errorf("%+v, want %s", shown, signer.PublicJWK())
			}
			expect(t, "", outcome{out: "public key  " + signer.PublicJWK()}, "key", "show", "--key", file)
			if got := run(t, "", "key", "thumbprint", "--key", file); got.out != signer.Thumbprint()+"\n" {
				t.Errorf("thumbprint: %+v", got)
			}
			expect(t, "", outcome{out: `"thumbprint": "` + signer.Thumbprint() + `"`}, "key", "thumbprint", "--json", "--key", file)
		})
	}
}

// What is said of a new key is what the other commands do with it.
func TestKeyAlgorithm(t *testing.T) {
	for alg, used := range map[string]string{"RS256": "PS256", "Ed25519": "EdDSA"} {
		file := filepath.Join(t.TempDir(), "key.pem")
		made := expect(t, "", outcome{out: "algorithm   " + used + "\n"}, "key", "new", "--alg", alg, "--key", file)
		expect(t, "", outcome{out: made.out}, "key", "show", "--key", file)
	}
}

// The private key is in its file and nowhere else, and a second key does not take its place.
func TestKeyStays(t *testing.T) {
	file := newKey(t)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "", outcome{said: "there is a key already, and it stays", status: 2}, "key", "new", "--key", file)
	after, err := os.ReadFile(file)
	if err != nil || string(after) != string(before) {
		t.Errorf("the key was replaced: %v", err)
	}
	for path, mode := range map[string]os.FileMode{file: 0o600, filepath.Dir(file): 0o700} {
		if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v, want %#o", path, info.Mode(), err, mode)
		}
	}

	jwk := newKey(t, "--jwk")
	text, err := os.ReadFile(jwk)
	if err != nil {
		t.Fatal(err)
	}
	var private struct{ D string }
	if err := json.Unmarshal(text, &private); err != nil || private.D == "" {
		t.Fatalf("%v in %s", err, text)
	}
	for _, args := range [][]string{{"show"}, {"show", "--json"}, {"thumbprint"}} {
		got := run(t, "", append([]string{"key", "--key", jwk}, args...)...)
		if strings.Contains(got.out+got.said, private.D) || got.out == "" {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

func TestKeysInTheFolder(t *testing.T) {
	u := newUser(t)
	u.env = []string{"SENDERLOCK_PASSPHRASE=correct horse"}
	made := u.expect("", outcome{out: filepath.Join("senderlock", "key.pem")}, "key", "new")
	u.expect("", outcome{out: made.out}, "key", "show")
	u.env = nil
	u.expect("", outcome{said: "the file is encrypted: give its passphrase", status: 2}, "key", "show")
	u.env = []string{"SENDERLOCK_PASSPHRASE=wrong"}
	u.expect("", outcome{said: "the passphrase does not fit the key file", status: 2}, "key", "show")
}

func TestKeyRefused(t *testing.T) {
	folder := t.TempDir()
	text := filepath.Join(folder, "text")
	if err := os.WriteFile(text, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	exposed := newKey(t)
	if err := os.Chmod(exposed, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		said string
		args []string
	}{
		"no key":    {"there is no key yet: senderlock key new makes one", []string{"show", "--key", filepath.Join(folder, "none")}},
		"no PEM":    {text + ": not a private key in PEM (PKCS#8) or JWK", []string{"show", "--key", text}},
		"algorithm": {"HS256", []string{"new", "--alg", "HS256", "--key", filepath.Join(folder, "hs")}},
		"exposed":   {"others than the owner have access", []string{"thumbprint", "--key", exposed}},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "exposed" && runtime.GOOS == "windows" {
				t.Skip("access depends on more than the mode there")
			}
			expect(t, "", outcome{said: test.said, status: 2}, append([]string{"key"}, test.args...)...)
		})
	}
}
