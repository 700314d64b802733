package keyfile_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/fips140"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/dpop/keyfile"
	"github.com/senderlock/senderlock/internal/poptest"
)

func TestMain(m *testing.M) {
	keyfile.CheapPassphrases()
	keyfile.KnownRSAKeys()
	os.Exit(m.Run())
}

func passphrase(s string) func() (string, error) {
	return func() (string, error) { return s, nil }
}

func path(t testing.TB) string { return filepath.Join(t.TempDir(), "client.key") }

// put writes content as the owner's own file.
func put(t testing.TB, content []byte) keyfile.File {
	t.Helper()
	p := path(t)
	if err := os.WriteFile(p, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return keyfile.File{Path: p}
}

func pkcs8(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func text(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func same(a, b crypto.Signer) bool {
	return a.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(b.Public())
}

// withAge ends a test that encrypts a file where that cannot be done.
func withAge(t *testing.T) {
	t.Helper()
	if fips140.Enforced() {
		t.Skip("age encrypts with ChaCha20-Poly1305, which FIPS 140-only mode refuses")
	}
}

func TestCreateAndLoad(t *testing.T) {
	for _, alg := range []string{"", "ES256", "ES384", "ES512", "PS256", "RS512", "EdDSA", "Ed25519"} {
		for name, f := range map[string]keyfile.File{
			"PEM":           {},
			"JWK":           {Format: keyfile.JWK},
			"encrypted PEM": {Passphrase: passphrase("correct horse")},
			"encrypted JWK": {Format: keyfile.JWK, Passphrase: passphrase("correct horse")},
		} {
			t.Run(alg+" "+name, func(t *testing.T) {
				if f.Passphrase != nil {
					withAge(t)
				}
				f.Path = path(t)
				created, err := f.Create(alg)
				if err != nil {
					t.Fatal(err)
				}
				f.Format = keyfile.PEM // reading finds out
				loaded, err := f.Load()
				if err != nil || !same(created, loaded) {
					t.Fatalf("loaded another key (%v)", err)
				}
				signer, err := dpop.NewSigner(loaded, alg)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := signer.Sign(dpop.ProofOptions{Method: "GET", URL: poptest.URL}); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// Another program can read what was written.
func TestStoredForms(t *testing.T) {
	key := poptest.ClientKey()
	f := keyfile.File{Path: path(t)}
	if err := f.Store(key.Private); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(f.Path); !bytes.Equal(got, text("PRIVATE KEY", pkcs8(t, key.Private))) {
		t.Errorf("PEM: %s", got)
	}
	f.Format = keyfile.JWK
	if err := f.Store(key.Private); err != nil {
		t.Fatal(err)
	}
	var jwk map[string]string
	if got, _ := os.ReadFile(f.Path); json.Unmarshal(got, &jwk) != nil || jwk["d"] == "" || poptest.Thumbprint(jwk) != key.Thumbprint() {
		t.Errorf("JWK: %s", got)
	}
	withAge(t)
	f.Passphrase = passphrase("secret")
	if err := f.Store(key.Private); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(f.Path); !bytes.HasPrefix(got, []byte("-----BEGIN AGE ENCRYPTED FILE-----\n")) {
		t.Errorf("encrypted: %s", got)
	}
}

// What the age command writes without -a is read as well.
func TestLoadBinaryAge(t *testing.T) {
	withAge(t)
	recipient, err := age.NewScryptRecipient("secret")
	if err != nil {
		t.Fatal(err)
	}
	recipient.SetWorkFactor(10)
	var b bytes.Buffer
	w, err := age.Encrypt(&b, recipient)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(text("PRIVATE KEY", pkcs8(t, poptest.ClientKey().Private)))
	w.Close()
	f := put(t, b.Bytes())
	f.Passphrase = passphrase("secret")
	if key, err := f.Load(); err != nil || !same(key, poptest.ClientKey().Private) {
		t.Errorf("got %v", err)
	}
}

func TestAccess(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the mode of a file says little there")
	}
	f := keyfile.File{Path: path(t)}
	if _, err := f.Create(""); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(f.Path); info.Mode() != 0o600 {
		t.Errorf("created with mode %v", info.Mode())
	}
	for mode, refused := range map[fs.FileMode]bool{
		0o600: false, 0o400: false, 0o700: false,
		0o640: true, 0o604: true, 0o644: true, 0o660: true, 0o620: true, 0o601: true, 0o610: true, 0o666: true,
	} {
		if err := os.Chmod(f.Path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := f.Load()
		if errors.Is(err, keyfile.ErrExposed) != refused || !refused && err != nil {
			t.Errorf("mode %#o: %v", mode, err)
		}
		if refused && (!strings.Contains(err.Error(), "chmod 600") || !strings.Contains(err.Error(), f.Path)) {
			t.Errorf("mode %#o: the error does not help: %v", mode, err)
		}
	}
	// Storing mends the mode.
	if err := f.Store(poptest.ClientKey().Private); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(f.Path); info.Mode() != 0o600 {
		t.Errorf("stored with mode %v", info.Mode())
	}
}

func TestPassphrases(t *testing.T) {
	withAge(t)
	failed := errors.New("the terminal is gone")
	encrypted := keyfile.File{Path: path(t), Passphrase: passphrase("right")}
	if _, err := encrypted.Create(""); err != nil {
		t.Fatal(err)
	}
	plain := keyfile.File{Path: path(t)}
	if _, err := plain.Create(""); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name       string
		path       string
		passphrase func() (string, error)
		want       error
		text       string
	}{
		{"right", encrypted.Path, passphrase("right"), nil, ""},
		{"wrong", encrypted.Path, passphrase("Right"), keyfile.ErrPassphrase, "it is wrong"},
		{"none for an encrypted file", encrypted.Path, nil, keyfile.ErrPassphrase, "is encrypted"},
		{"one for a plain file", plain.Path, passphrase("right"), keyfile.ErrPassphrase, "not encrypted"},
		{"empty", encrypted.Path, passphrase(""), keyfile.ErrPassphrase, "empty"},
		{"not to be had", encrypted.Path, func() (string, error) { return "", failed }, failed, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := keyfile.File{Path: test.path, Passphrase: test.passphrase}.Load()
			if !errors.Is(err, test.want) || err != nil && !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %v, want %v with %q", err, test.want, test.text)
			}
		})
	}
	for name, p := range map[string]func() (string, error){
		"empty": passphrase(""), "not to be had": func() (string, error) { return "", failed },
	} {
		f := keyfile.File{Path: path(t), Passphrase: p}
		if _, err := f.Create(""); !errors.Is(err, keyfile.ErrPassphrase) && !errors.Is(err, failed) {
			t.Errorf("stored with a passphrase that is %s: %v", name, err)
		}
		if _, err := os.Stat(f.Path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a file was left behind with a passphrase that is %s", name)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	ec := poptest.ClientKey().Private.(*ecdsa.PrivateKey)
	sec1, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	var x25519 *ecdh.PrivateKey
	fips140.WithoutEnforcement(func() { x25519, err = ecdh.X25519().GenerateKey(rand.Reader) })
	if err != nil {
		t.Fatal(err)
	}
	good := text("PRIVATE KEY", pkcs8(t, ec))
	d, err := ec.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	jwk := func(x string, d []byte) []byte {
		members := poptest.ClientKey().JWK()
		if x != "" {
			members["x"] = x
		}
		if d != nil {
			members["d"] = b64(d)
		}
		b, _ := json.Marshal(members)
		return b
	}
	other, _ := poptest.NewKey("ES256").Private.(*ecdsa.PrivateKey).Bytes()
	for _, test := range []struct {
		name    string
		content []byte
		text    string
	}{
		{"nothing", nil, ""},
		{"a word", []byte("key"), ""},
		{"half a file", good[:len(good)/2], ""},
		{"two keys", append(bytes.Clone(good), good...), "follows"},
		{"a public key", poptest.ClientKey().PublicPEM(), "PUBLIC KEY"},
		{"an older format", text("EC PRIVATE KEY", sec1), "openssl pkcs8"},
		{"DER of another kind", text("PRIVATE KEY", sec1), ""},
		{"a key that cannot sign", text("PRIVATE KEY", pkcs8(t, x25519)), "cannot sign"},
		{"too much", bytes.Repeat([]byte(" "), 64<<10+1), "larger"},
		{"JSON that is not a JWK", []byte(`{"a":1}`), ""},
		{"half a JWK", jwk("", d)[:100], ""},
		{"a public JWK", jwk("", nil), "ecdsa.PublicKey"},
		{"a symmetric JWK", []byte(`{"kty":"oct","k":"AAAA"}`), "holds"},
		{"a JWK with another public key", jwk("", other), "does not belong"},
		{"a JWK with a point beside its curve", jwk(strings.Repeat("A", 43), d), ""},
		{"damaged encryption", []byte("age-encryption.org/v1\n-> scrypt x"), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if fips140.Enforced() && strings.HasPrefix(test.name, "a key that") {
				t.Skip("FIPS 140-only mode refuses X25519 before we do")
			}
			f := put(t, test.content)
			if strings.HasPrefix(test.name, "damaged") {
				f.Passphrase = passphrase("x")
			}
			key, err := f.Load()
			if key != nil || !errors.Is(err, keyfile.ErrFormat) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %v, %v, want ErrFormat with %q", key, err, test.text)
			}
			if strings.Contains(err.Error(), b64(d)) {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
	if key, err := put(t, jwk("", d)).Load(); err != nil || !same(key, ec) {
		t.Errorf("the JWK that the others are made from: %v", err)
	}
	if _, err := (keyfile.File{Path: path(t)}).Load(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// Data at the end of an encrypted file is authenticated.
func TestLoadDamagedEncryption(t *testing.T) {
	withAge(t)
	f := keyfile.File{Path: path(t), Passphrase: passphrase("x")}
	if err := f.Store(poptest.ClientKey().Private); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	i := len(b) - 60
	b[i] ^= 'A' ^ 'B'
	g := put(t, b)
	g.Passphrase = f.Passphrase
	if _, err := g.Load(); !errors.Is(err, keyfile.ErrFormat) {
		t.Errorf("got %v", err)
	}
}

func TestCreateRefuses(t *testing.T) {
	f := keyfile.File{Path: path(t)}
	first, err := f.Create("")
	if err != nil {
		t.Fatal(err)
	}
	if key, err := f.Create(""); !errors.Is(err, fs.ErrExist) || key != nil {
		t.Errorf("a file in the way: %v", err)
	}
	if key, err := f.Load(); err != nil || !same(key, first) {
		t.Errorf("the first key is gone: %v", err)
	}
	for _, alg := range []string{"HS256", "none", "es256"} {
		if _, err := (keyfile.File{Path: path(t)}).Create(alg); err == nil || !strings.Contains(err.Error(), alg) {
			t.Errorf("algorithm %s: %v", alg, err)
		}
	}
	if _, err := (keyfile.File{Path: path(t), Format: 7}).Create(""); err == nil || !strings.Contains(err.Error(), "keyfile.JWK") {
		t.Errorf("format 7: %v", err)
	}
	if _, err := (keyfile.File{Path: filepath.Join(path(t), "no", "folder")}).Create(""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// hardware is a key that never leaves its token.
type hardware struct{ *ecdsa.PublicKey }

func (h hardware) Public() crypto.PublicKey { return h.PublicKey }

func (h hardware) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, nil }

// A failure leaves the old key and nothing else in the folder.
func TestWithoutPath(t *testing.T) {
	_, created := keyfile.File{}.Create("")
	_, loaded := keyfile.File{}.Load()
	stored := keyfile.File{}.Store(poptest.NewKey("ES256").Private)
	for name, err := range map[string]error{"Create": created, "Load": loaded, "Store": stored} {
		if err == nil || !strings.Contains(err.Error(), "Path is empty: give") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStoreFailures(t *testing.T) {
	f := keyfile.File{Path: path(t)}
	if err := f.Store(poptest.ClientKey().Private); err != nil {
		t.Fatal(err)
	}
	key := hardware{poptest.ClientKey().Private.Public().(*ecdsa.PublicKey)}
	if err := f.Store(key); err == nil || !strings.Contains(err.Error(), "cannot be stored") {
		t.Errorf("a hardware key: %v", err)
	}
	if _, err := f.Create(""); err == nil {
		t.Error("created twice")
	}
	folder := keyfile.File{Path: filepath.Join(filepath.Dir(f.Path), "folder")}
	if err := os.MkdirAll(filepath.Join(folder.Path, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := folder.Store(poptest.ClientKey().Private); err == nil {
		t.Error("stored in place of a folder")
	}
	entries, err := os.ReadDir(filepath.Dir(f.Path))
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v (%v)", entries, err)
	}
	if loaded, err := f.Load(); err != nil || !same(loaded, poptest.ClientKey().Private) {
		t.Errorf("the old key is gone: %v", err)
	}
}

// Of many processes that create the key one wins, and all see its key whole.
func TestConcurrently(t *testing.T) {
	f := keyfile.File{Path: path(t)}
	var wg sync.WaitGroup
	var mu sync.Mutex
	created := 0
	for range 8 {
		wg.Go(func() {
			_, err := f.Create("")
			if err != nil && !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
			if _, err := f.Load(); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				created++
			}
		})
	}
	wg.Wait()
	if created != 1 {
		t.Errorf("created %d times", created)
	}
	for i := range 8 {
		wg.Go(func() {
			for range 10 {
				if i == 0 {
					if err := f.Store(poptest.NewKey("ES512").Private); err != nil {
						t.Error(err)
					}
				} else if _, err := f.Load(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func FuzzLoad(f *testing.F) {
	for _, alg := range []string{"ES256", "Ed25519", "RS256"} {
		for _, format := range []keyfile.Format{keyfile.PEM, keyfile.JWK} {
			file := keyfile.File{Path: path(f), Format: format}
			if err := file.Store(poptest.NewKey(alg).Private); err != nil {
				f.Fatal(err)
			}
			b, err := os.ReadFile(file.Path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	p := path(f)
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(p, content, 0o600); err != nil {
			t.Fatal(err)
		}
		key, err := keyfile.File{Path: p}.Load()
		if err != nil {
			if !errors.Is(err, keyfile.ErrFormat) && !errors.Is(err, keyfile.ErrPassphrase) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		again := keyfile.File{Path: filepath.Join(t.TempDir(), "again")}
		if err := again.Store(key); err != nil {
			t.Fatal(err)
		}
		if loaded, err := again.Load(); err != nil || !same(key, loaded) {
			t.Fatalf("not the same key again: %v", err)
		}
	})
}
