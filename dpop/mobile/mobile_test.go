package mobile_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/senderlock/senderlock/dpop/mobile"
	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/poptest"
)

// enclave is a platform's key. Each function may be replaced.
type enclave struct {
	public func() ([]byte, error)
	sign   func(digest []byte) ([]byte, error)
}

func (e *enclave) PublicKey() ([]byte, error)               { return e.public() }
func (e *enclave) SignDigest(digest []byte) ([]byte, error) { return e.sign(digest) }

func spki(public crypto.PublicKey) func() ([]byte, error) {
	return func() ([]byte, error) { return x509.MarshalPKIXPublicKey(public) }
}

func point(public crypto.PublicKey) func() ([]byte, error) {
	return func() ([]byte, error) { return public.(*ecdsa.PublicKey).Bytes() }
}

func der(key *ecdsa.PrivateKey) func([]byte) ([]byte, error) {
	return func(digest []byte) ([]byte, error) { return ecdsa.SignASN1(rand.Reader, key, digest) }
}

func raw(key *ecdsa.PrivateKey) func([]byte) ([]byte, error) {
	return func(digest []byte) ([]byte, error) {
		b, err := ecdsa.SignASN1(rand.Reader, key, digest)
		if err != nil {
			return nil, err
		}
		var sig struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(b, &sig); err != nil {
			return nil, err
		}
		size := (key.Params().BitSize + 7) / 8
		out := make([]byte, 2*size)
		sig.R.FillBytes(out[:size])
		sig.S.FillBytes(out[size:])
		return out, nil
	}
}

// open reads a proof and verifies its signature as servers do.
func open(t *testing.T, proof string) (alg, thumbprint string, claims map[string]any) {
	t.Helper()
	compact, err := jose.Split(proof)
	if err != nil {
		t.Fatal(err)
	}
	header, err := jose.ParseHeader(compact.Header)
	if err != nil {
		t.Fatal(err)
	}
	key, err := jose.ParseKey(header.JWK, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := jose.DecodeObject(compact.Payload, &claims); err != nil {
		t.Fatal(err)
	}
	if err := key.Verify(header.Algorithm, compact); err != nil {
		t.Fatal(err)
	}
	return header.Algorithm, key.Thumbprint(), claims
}

func TestProof(t *testing.T) {
	for _, alg := range []string{"ES256", "ES384", "ES512"} {
		key := poptest.NewKey(alg)
		private := key.Private.(*ecdsa.PrivateKey)
		for name, platform := range map[string]*enclave{
			"as on iOS":          {point(private.Public()), der(private)},
			"as on Android":      {spki(private.Public()), der(private)},
			"with R and S plain": {point(private.Public()), raw(private)},
		} {
			t.Run(alg+" "+name, func(t *testing.T) {
				signer, err := mobile.NewSigner(platform)
				if err != nil {
					t.Fatal(err)
				}
				proof, err := signer.Proof("POST", poptest.URL+"?a=b", "token", "nonce")
				if err != nil {
					t.Fatal(err)
				}
				gotAlg, thumbprint, claims := open(t, proof)
				if gotAlg != alg || thumbprint != key.Thumbprint() || signer.Thumbprint() != thumbprint {
					t.Errorf("%s by %s, want %s by %s", gotAlg, thumbprint, alg, key.Thumbprint())
				}
				for name, want := range map[string]any{
					"htm": "POST", "htu": poptest.URL, "ath": poptest.ATH("token"), "nonce": "nonce",
				} {
					if claims[name] != want {
						t.Errorf("%s is %v, want %v", name, claims[name], want)
					}
				}
				if jwk, err := jose.ParseKey([]byte(signer.PublicJWK()), 0); err != nil || jwk.Thumbprint() != thumbprint {
					t.Errorf("public key %s (%v)", signer.PublicJWK(), err)
				}
			})
		}
	}
}

func TestProofWithoutTokenAndNonce(t *testing.T) {
	private := poptest.NewKey("ES256").Private.(*ecdsa.PrivateKey)
	signer, err := mobile.NewSigner(&enclave{point(private.Public()), der(private)})
	if err != nil {
		t.Fatal(err)
	}
	proof, err := signer.Proof("POST", poptest.URL, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, claims := open(t, proof); claims["ath"] != nil || claims["nonce"] != nil {
		t.Errorf("claims %v", claims)
	}
	if _, err := signer.Proof("", poptest.URL, "", ""); err == nil || !strings.Contains(err.Error(), "Method") {
		t.Errorf("no method: %v", err)
	}
}

func TestProofConcurrently(t *testing.T) {
	private := poptest.NewKey("ES256").Private.(*ecdsa.PrivateKey)
	signer, err := mobile.NewSigner(&enclave{point(private.Public()), der(private)})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := signer.Proof("GET", poptest.URL, "token", ""); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestNewSignerRefuses(t *testing.T) {
	locked := errors.New("the device is locked")
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	offCurve, _ := point(poptest.ClientKey().Private.Public())()
	offCurve[64] ^= 1
	for _, test := range []struct {
		name   string
		public func() ([]byte, error)
		want   string
	}{
		{"an error of the platform", func() ([]byte, error) { return nil, locked }, "locked"},
		{"nothing", func() ([]byte, error) { return nil, nil }, "neither"},
		{"a compressed point", func() ([]byte, error) { return make([]byte, 33), nil }, "neither"},
		{"a point beside the curve", func() ([]byte, error) { return offCurve, nil }, "public key"},
		{"an RSA key", spki(poptest.NewKey("RS256").Private.Public()), "P-256"},
		{"another curve", spki(p224.Public()), "P-256"},
	} {
		t.Run(test.name, func(t *testing.T) {
			signer, err := mobile.NewSigner(&enclave{public: test.public})
			if signer != nil || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, %v, want an error with %q", signer, err, test.want)
			}
		})
	}
	if _, err := mobile.NewSigner(nil); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("no key: %v", err)
	}
}

func TestProofWithBrokenKeys(t *testing.T) {
	private := poptest.NewKey("ES256").Private.(*ecdsa.PrivateKey)
	other := poptest.NewKey("ES256").Private.(*ecdsa.PrivateKey)
	canceled := errors.New("the user canceled")
	for _, test := range []struct {
		name string
		sign func([]byte) ([]byte, error)
		want string
	}{
		{"an error of the platform", func([]byte) ([]byte, error) { return nil, canceled }, "the user canceled"},
		{"nothing", func([]byte) ([]byte, error) { return nil, nil }, "SignDigest"},
		{"64 octets of something", func([]byte) ([]byte, error) { return make([]byte, 64), nil }, "SignDigest"},
		{"a digest that was hashed again", func(digest []byte) ([]byte, error) {
			again := sha256.Sum256(digest)
			return der(private)(again[:])
		}, "must not hash again"},
		{"another key", der(other), "by the key"},
		{"another key, R and S plain", raw(other), "by the key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			signer, err := mobile.NewSigner(&enclave{point(private.Public()), test.sign})
			if err != nil {
				t.Fatal(err)
			}
			proof, err := signer.Proof("GET", poptest.URL, "", "")
			if proof != "" || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, %v, want an error with %q", proof, err, test.want)
			}
		})
	}
}

func TestNeedsNonce(t *testing.T) {
	const challenge = `DPoP error="use_dpop_nonce"`
	for _, test := range []struct {
		name            string
		status          int
		wwwAuthenticate string
		body            string
		want            bool
	}{
		{"a resource server", 401, challenge, "", true},
		{"behind another challenge", 401, `Bearer realm="x", ` + challenge, "not JSON", true},
		{"an authorization server", 400, "", `{"error":"use_dpop_nonce"}`, true},
		{"another error", 401, `DPoP error="invalid_token"`, "", false},
		{"another grant", 400, "", `{"error":"invalid_grant"}`, false},
		{"success", 200, challenge, `{"error":"use_dpop_nonce"}`, false},
		{"forbidden", 403, challenge, "", false},
		{"nothing", 401, "", "", false},
	} {
		if got := mobile.NeedsNonce(test.status, test.wwwAuthenticate, test.body); got != test.want {
			t.Errorf("%s: got %v", test.name, got)
		}
	}
}
