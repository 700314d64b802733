package dpop_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/poptest"
)

// sentProof is a proof as a server reads it.
type sentProof struct {
	typ, alg, thumbprint string
	claims               map[string]any
}

// openProof reads a proof and verifies its signature, with the code that servers use.
func openProof(t testing.TB, proof string) sentProof {
	t.Helper()
	p, err := tryOpenProof(proof)
	if err != nil {
		t.Fatalf("proof %s: %v", proof, err)
	}
	return p
}

func tryOpenProof(proof string) (p sentProof, err error) {
	compact, err := jose.Split(proof)
	if err != nil {
		return p, err
	}
	header, err := jose.ParseHeader(compact.Header)
	if err != nil {
		return p, err
	}
	key, err := jose.ParseKey(header.JWK, 0)
	if err != nil {
		return p, err
	}
	p = sentProof{typ: header.Type, alg: header.Algorithm, thumbprint: key.Thumbprint()}
	if err := jose.DecodeObject(compact.Payload, &p.claims); err != nil {
		return p, err
	}
	return p, key.Verify(header.Algorithm, compact)
}

func newTestSigner(t testing.TB, key *poptest.Key) *dpop.Signer {
	t.Helper()
	s, err := dpop.NewSigner(key.Private, key.Alg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSignerAlgorithms(t *testing.T) {
	for _, alg := range dpop.SignerAlgorithms() {
		t.Run(alg, func(t *testing.T) {
			key := poptest.NewKey(alg)
			signer := newTestSigner(t, key)
			proof, err := signer.Sign(dpop.ProofOptions{Method: "GET", URL: poptest.URL})
			if err != nil {
				t.Fatal(err)
			}
			p := openProof(t, proof)
			if p.typ != "dpop+jwt" || p.alg != alg || signer.Algorithm() != alg {
				t.Errorf("typ %q, alg %q, want dpop+jwt and %q", p.typ, p.alg, alg)
			}
			if want := key.Thumbprint(); p.thumbprint != want || signer.Thumbprint() != want {
				t.Errorf("thumbprint %q in the proof, %q of the signer, want %q", p.thumbprint, signer.Thumbprint(), want)
			}
			var jwk map[string]string
			if err := json.Unmarshal([]byte(signer.PublicJWK()), &jwk); err != nil || poptest.Thumbprint(jwk) != key.Thumbprint() {
				t.Errorf("public key %s (%v)", signer.PublicJWK(), err)
			}
			if len(jwk) != len(key.JWK()) {
				t.Errorf("public key %s: want the required members alone", signer.PublicJWK())
			}
		})
	}
}

// Coordinates keep their leading zeros in keys (RFC 7518 §6.2.1.2) and in signatures (§3.4).
func TestSignerKeepsLeadingZeros(t *testing.T) {
	for i := 0; ; i++ {
		key := poptest.Keyed("ES256", strconv.Itoa(i))
		if !strings.HasPrefix(key.JWK()["x"].(string), "AA") {
			continue
		}
		if s := newTestSigner(t, key); s.Thumbprint() != key.Thumbprint() {
			t.Errorf("thumbprint of %s is %s, want %s", s.PublicJWK(), s.Thumbprint(), key.Thumbprint())
		}
		break
	}
	one := []byte{0x30, 6, 2, 1, 1, 2, 1, 2} // R 1, S 2
	signer, err := dpop.NewSigner(oddSigner{public: poptest.NewKey("ES512").Private.Public(), signature: one}, "")
	if err != nil {
		t.Fatal(err)
	}
	proof, err := signer.Sign(dpop.ProofOptions{Method: "GET", URL: poptest.URL})
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 132)
	want[65], want[131] = 1, 2
	compact, _ := jose.Split(proof)
	if got, err := jose.Decode(compact.Signature); !bytes.Equal(got, want) {
		t.Errorf("signature %x (%v), want %x", got, err, want)
	}
}

// The salt of a PSS signature is as long as the hash (RFC 7518 §3.5); some servers accept no other.
func TestSignerSalt(t *testing.T) {
	for alg, hash := range map[string]crypto.Hash{"PS256": crypto.SHA256, "PS384": crypto.SHA384, "PS512": crypto.SHA512} {
		key := poptest.NewKey(alg)
		proof, err := newTestSigner(t, key).Sign(dpop.ProofOptions{Method: "GET", URL: poptest.URL})
		if err != nil {
			t.Fatal(err)
		}
		compact, _ := jose.Split(proof)
		signature, _ := jose.Decode(compact.Signature)
		digest := hash.New()
		digest.Write([]byte(compact.Input))
		public := key.Private.Public().(*rsa.PublicKey)
		exact := &rsa.PSSOptions{SaltLength: hash.Size(), Hash: hash}
		if err := rsa.VerifyPSS(public, hash, digest.Sum(nil), signature, exact); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

func TestSignerNaturalAlgorithm(t *testing.T) {
	for of, want := range map[string]string{
		"ES256": "ES256", "ES384": "ES384", "ES512": "ES512", "RS256": "PS256", "Ed25519": "EdDSA",
	} {
		signer, err := dpop.NewSigner(poptest.NewKey(of).Private, "")
		if err != nil || signer.Algorithm() != want {
			t.Errorf("key of %s: got %v (%v), want %s", of, signer, err, want)
		}
	}
}

func TestNewSignerRefuses(t *testing.T) {
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		key  crypto.Signer
		alg  string
		want error
	}{
		{"no key", nil, "", dpop.ErrKey},
		{"no EC key", (*ecdsa.PrivateKey)(nil), "", dpop.ErrKey},
		{"no RSA key", (*rsa.PrivateKey)(nil), "", dpop.ErrKey},
		{"no Ed25519 key", ed25519.PrivateKey(nil), "", dpop.ErrKey},
		{"an EC key that was never made", &ecdsa.PrivateKey{}, "", dpop.ErrKey},
		{"an RSA key that was never made", &rsa.PrivateKey{}, "", dpop.ErrKey},
		{"a P-256 key for ES384", poptest.NewKey("ES256").Private, "ES384", dpop.ErrKeyAlg},
		{"a P-384 key for ES256", poptest.NewKey("ES384").Private, "ES256", dpop.ErrKeyAlg},
		{"a P-256 key for RS256", poptest.NewKey("ES256").Private, "RS256", dpop.ErrKeyAlg},
		{"a P-256 key for EdDSA", poptest.NewKey("ES256").Private, "EdDSA", dpop.ErrKeyAlg},
		{"an RSA key for ES256", poptest.NewKey("RS256").Private, "ES256", dpop.ErrKeyAlg},
		{"an Ed25519 key for PS256", poptest.NewKey("Ed25519").Private, "PS256", dpop.ErrKeyAlg},
		{"a MAC", poptest.NewKey("ES256").Private, "HS256", dpop.ErrKeyAlg},
		{"no signature", poptest.NewKey("ES256").Private, "none", dpop.ErrKeyAlg},
		{"a name in lower case", poptest.NewKey("ES256").Private, "es256", dpop.ErrKeyAlg},
		{"an RSA key of 1024 bits", poptest.RSA("PS256", 1024).Private, "", dpop.ErrKey},
		{"an RSA key of 2040 bits", poptest.RSA("PS256", 2040).Private, "PS256", dpop.ErrKey},
		{"another curve", p224, "", dpop.ErrKey},
		//lint:ignore SA1019 nothing else makes such a key
		{"a point off its curve", oddSigner{public: &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}}, "", dpop.ErrKey},
		{"a key of another kind", oddSigner{public: "secret"}, "", dpop.ErrKey},
	} {
		t.Run(test.name, func(t *testing.T) {
			if s, err := dpop.NewSigner(test.key, test.alg); s != nil || !errors.Is(err, test.want) {
				t.Errorf("got %v, %v, want %v", s, err, test.want)
			}
		})
	}
}

func TestSignClaims(t *testing.T) {
	signer := newTestSigner(t, poptest.ClientKey())
	for _, test := range []struct {
		name string
		o    dpop.ProofOptions
		want map[string]any // nil: absent
	}{
		{"method and URL", dpop.ProofOptions{Method: "GET", URL: poptest.URL},
			map[string]any{"htm": "GET", "htu": poptest.URL, "iat": float64(poptest.Now.Unix()), "ath": nil, "nonce": nil}},
		{"the case of the method", dpop.ProofOptions{Method: "get", URL: poptest.URL}, map[string]any{"htm": "get"}},
		{"without query and fragment", dpop.ProofOptions{Method: "GET", URL: poptest.URL + "?a=b/c#d?e"},
			map[string]any{"htu": poptest.URL}},
		{"without a path", dpop.ProofOptions{Method: "GET", URL: "https://api.example.com?a"},
			map[string]any{"htu": "https://api.example.com/"}},
		{"scheme, host and port", dpop.ProofOptions{Method: "GET", URL: "HTTPS://API.Example.com:443/A"},
			map[string]any{"htu": "https://api.example.com/A"}},
		{"another port", dpop.ProofOptions{Method: "GET", URL: "https://[::1]:8443/A"},
			map[string]any{"htu": "https://[::1]:8443/A"}},
		{"escapes", dpop.ProofOptions{Method: "GET", URL: "https://api.example.com/%7e%2f|/é"},
			map[string]any{"htu": "https://api.example.com/~%2F%7C/%C3%A9"}},
		{"an access token", dpop.ProofOptions{Method: "GET", URL: poptest.URL, AccessToken: "abc.def"},
			map[string]any{"ath": poptest.ATH("abc.def")}},
		{"the token of RFC 9449 §7.1", dpop.ProofOptions{Method: "GET", URL: poptest.URL,
			AccessToken: poptest.Vectors().RFC9449.OpaqueAccessToken}, map[string]any{"ath": poptest.Vectors().RFC9449.ATH}},
		{"a nonce", dpop.ProofOptions{Method: "GET", URL: poptest.URL, Nonce: "eyJ!~x"}, map[string]any{"nonce": "eyJ!~x"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.o.IssuedAt = poptest.Now.Add(999 * time.Millisecond)
			proof, err := signer.Sign(test.o)
			if err != nil {
				t.Fatal(err)
			}
			claims := openProof(t, proof).claims
			for name, want := range test.want {
				if claims[name] != want {
					t.Errorf("%s is %v, want %v", name, claims[name], want)
				}
			}
		})
	}
}

func TestSignTimeIsNow(t *testing.T) {
	before := time.Now().Unix()
	proof, err := newTestSigner(t, poptest.ClientKey()).Sign(dpop.ProofOptions{Method: "GET", URL: poptest.URL})
	if err != nil {
		t.Fatal(err)
	}
	if iat := openProof(t, proof).claims["iat"].(float64); int64(iat) < before || int64(iat) > time.Now().Unix() {
		t.Errorf("iat %v, now %d", iat, before)
	}
}

func TestSignRefuses(t *testing.T) {
	signer := newTestSigner(t, poptest.ClientKey())
	for _, test := range []struct {
		name string
		o    dpop.ProofOptions
		want string
	}{
		{"no method", dpop.ProofOptions{URL: poptest.URL}, "Method"},
		{"a method of two words", dpop.ProofOptions{Method: "GET /", URL: poptest.URL}, "Method"},
		{"no URL", dpop.ProofOptions{Method: "GET"}, "URL"},
		{"a relative URL", dpop.ProofOptions{Method: "GET", URL: "/accounts"}, "URL"},
		{"another scheme", dpop.ProofOptions{Method: "GET", URL: "ftp://api.example.com/"}, "URL"},
		{"user information", dpop.ProofOptions{Method: "GET", URL: "https://user@api.example.com/"}, "URL"},
		{"a broken escape", dpop.ProofOptions{Method: "GET", URL: "https://api.example.com/%2"}, "URL"},
		{"a space in the nonce", dpop.ProofOptions{Method: "GET", URL: poptest.URL, Nonce: "a b"}, "Nonce"},
		{"a quote in the nonce", dpop.ProofOptions{Method: "GET", URL: poptest.URL, Nonce: `a"b`}, "Nonce"},
		{"a backslash in the nonce", dpop.ProofOptions{Method: "GET", URL: poptest.URL, Nonce: `a\b`}, "Nonce"},
		{"a nonce beyond ASCII", dpop.ProofOptions{Method: "GET", URL: poptest.URL, Nonce: "é"}, "Nonce"},
	} {
		t.Run(test.name, func(t *testing.T) {
			proof, err := signer.Sign(test.o)
			if proof != "" || err == nil || !strings.HasPrefix(err.Error(), "dpop.ProofOptions."+test.want+": ") {
				t.Errorf("got %q, %v, want an error about %s", proof, err, test.want)
			}
		})
	}
}

// oddSigner is a key that does not do what crypto.Signer demands.
type oddSigner struct {
	public    crypto.PublicKey
	signature []byte
	err       error
}

func (s oddSigner) Public() crypto.PublicKey { return s.public }

func (s oddSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return s.signature, s.err
}

func TestSignWithBrokenKeys(t *testing.T) {
	locked := errors.New("the token is locked")
	for _, test := range []struct {
		name      string
		signature []byte
		err       error
		want      string
	}{
		{"an error of the key", nil, locked, "locked"},
		{"no signature", nil, nil, "ASN.1"},
		{"R and S in place of ASN.1", make([]byte, 64), nil, "ASN.1"},
		{"more than a signature", []byte{0x30, 6, 2, 1, 1, 2, 1, 1, 0}, nil, "ASN.1"},
		{"a zero", []byte{0x30, 6, 2, 1, 0, 2, 1, 1}, nil, "ASN.1"},
		{"a negative number", []byte{0x30, 6, 2, 1, 1, 2, 1, 0x80}, nil, "ASN.1"},
		{"a number longer than the curve", append([]byte{0x30, 38, 2, 1, 1, 2, 33, 1}, make([]byte, 32)...), nil, "ASN.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			signer, err := dpop.NewSigner(oddSigner{poptest.ClientKey().Private.Public(), test.signature, test.err}, "")
			if err != nil {
				t.Fatal(err)
			}
			proof, err := signer.Sign(dpop.ProofOptions{Method: "GET", URL: poptest.URL})
			if proof != "" || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, %v, want an error with %q", proof, err, test.want)
			}
			if test.err != nil && !errors.Is(err, test.err) {
				t.Errorf("%v hides the key's error", err)
			}
		})
	}
}

// No two proofs share a jti (RFC 9449 §4.2), whoever asks for them; each is of 128 random bits or more.
func TestSignUniqueIdentifiers(t *testing.T) {
	signer := newTestSigner(t, poptest.ClientKey())
	var seen sync.Map
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				proof, err := signer.Sign(dpop.ProofOptions{Method: "GET", URL: poptest.URL})
				if err != nil {
					t.Error(err)
					return
				}
				p, err := tryOpenProof(proof)
				jti, _ := p.claims["jti"].(string)
				if _, twice := seen.LoadOrStore(jti, true); twice || err != nil || len(jti) < 26 {
					t.Errorf("jti %q: twice %v (%v)", jti, twice, err)
				}
			}
		})
	}
	wg.Wait()
}

// The header segment is the same octets every time, which lets servers cache the key.
func TestSignHeaderIsConstant(t *testing.T) {
	signer := newTestSigner(t, poptest.ClientKey())
	var headers [2]string
	for i := range headers {
		proof, err := signer.Sign(dpop.ProofOptions{Method: "GET", URL: poptest.URL, Nonce: strings.Repeat("n", i)})
		if err != nil {
			t.Fatal(err)
		}
		headers[i], _, _ = strings.Cut(proof, ".")
	}
	if headers[0] != headers[1] {
		t.Errorf("%s, then %s", headers[0], headers[1])
	}
}

// A proof costs little more than its signature; "x-bare" is the ratio to the signature alone.
func BenchmarkSign(b *testing.B) {
	for _, alg := range []string{"ES256", "PS256", "EdDSA"} {
		b.Run(alg, func(b *testing.B) {
			key := poptest.NewKey(alg)
			signer := newTestSigner(b, key)
			message := make([]byte, 400)
			b.ReportAllocs()
			for b.Loop() {
				o := dpop.ProofOptions{Method: "GET", URL: poptest.URL, AccessToken: "token", Nonce: "nonce"}
				if _, err := signer.Sign(o); err != nil {
					b.Fatal(err)
				}
			}
			proofs, start := b.Elapsed(), time.Now()
			for range b.N {
				if _, err := crypto.SignMessage(key.Private, rand.Reader, message, dpop.SignerOpts(alg)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(proofs)/float64(time.Since(start)), "x-bare")
		})
	}
}
