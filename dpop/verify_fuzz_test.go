package dpop_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/reason"
)

// The strict reading: a second opinion on what was accepted, by encoding/json and nothing of this module.

// object reads one JSON object with no name twice, at any depth, and no octet that is not UTF-8.
func object(raw []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := noNameTwice(d); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows")
	}
	if !bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{")) {
		return nil, errors.New("not an object")
	}
	var m map[string]json.RawMessage // a map, unlike a struct, takes names as they are
	return m, json.Unmarshal(raw, &m)
}

func noNameTwice(d *json.Decoder) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	names := map[string]bool{}
	for d.More() {
		if delim == '{' {
			name, err := d.Token()
			if err != nil {
				return err
			}
			if names[name.(string)] {
				return fmt.Errorf("%q twice", name)
			}
			names[name.(string)] = true
		}
		if err := noNameTwice(d); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

func stringOf(m map[string]json.RawMessage, name string) (s string, err error) {
	if raw := m[name]; len(raw) == 0 || raw[0] != '"' {
		return "", fmt.Errorf("%s is not a string: %s", name, raw)
	}
	return s, json.Unmarshal(m[name], &s)
}

func strictHeader(raw []byte) (key map[string]json.RawMessage, err error) {
	m, err := object(raw)
	if err != nil {
		return nil, err
	}
	if typ, err := stringOf(m, "typ"); err != nil || typ != "dpop+jwt" {
		return nil, fmt.Errorf("typ %q, %v", typ, err)
	}
	alg, err := stringOf(m, "alg")
	if err != nil || !slices.Contains(dpop.Algorithms(), alg) {
		return nil, fmt.Errorf("alg %q, %v", alg, err)
	}
	if m["crit"] != nil || m["b64"] != nil && string(m["b64"]) != "true" {
		return nil, errors.New("crit or b64")
	}
	if key, err = object(m["jwk"]); err != nil {
		return nil, err
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if key[private] != nil {
			return nil, errors.New("private member " + private)
		}
	}
	kty, err := stringOf(key, "kty")
	families := map[string]string{"ES": "EC", "RS": "RSA", "PS": "RSA", "Ed": "OKP"}
	if err != nil || kty != families[alg[:2]] {
		return nil, fmt.Errorf("kty %q with %s, %v", kty, alg, err)
	}
	curves := map[string]string{"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519", "Ed25519": "Ed25519"}
	if want := curves[alg]; want != "" {
		if crv, err := stringOf(key, "crv"); err != nil || crv != want {
			return nil, fmt.Errorf("crv %q with %s, %v", crv, alg, err)
		}
	}
	return key, nil
}

// strictPayload expects a GET of poptest.URL with accessToken at poptest.Now.
func strictPayload(raw []byte) error {
	m, err := object(raw)
	if err != nil {
		return err
	}
	if jti, err := stringOf(m, "jti"); err != nil || jti == "" {
		return fmt.Errorf("jti %q, %v", jti, err)
	}
	if htm, err := stringOf(m, "htm"); err != nil || htm != "GET" {
		return fmt.Errorf("htm %q, %v", htm, err)
	}
	if ath, err := stringOf(m, "ath"); err != nil || ath != poptest.ATH(accessToken) {
		return fmt.Errorf("ath %q, %v", ath, err)
	}
	if m["nonce"] != nil {
		if nonce, err := stringOf(m, "nonce"); err != nil || ofTheNamespace(nonce) {
			return fmt.Errorf("nonce %q, which nobody issued, %v", nonce, err)
		}
	}
	htu, err := stringOf(m, "htu")
	if err != nil {
		return err
	}
	htu, _, _ = strings.Cut(htu, "?")
	htu, _, _ = strings.Cut(htu, "#")
	u, err := url.Parse(htu)
	if err != nil || !strings.EqualFold(u.Scheme, "https") || !strings.EqualFold(u.Hostname(), "api.example.com") ||
		u.User != nil || strings.TrimLeft(u.Port(), "0") != "" && strings.TrimLeft(u.Port(), "0") != "443" ||
		path.Clean(u.Path) != "/accounts" || strings.HasSuffix(u.Path, "/") {
		return fmt.Errorf("htu %q, %v", htu, err)
	}
	iat, _, err := big.ParseFloat(string(m["iat"]), 10, 200, big.ToNearestEven)
	if err != nil {
		return fmt.Errorf("iat %s: %w", m["iat"], err)
	}
	// The double in between may round by a microsecond.
	low, high := big.NewFloat(float64(poptest.Now.Unix()-60)-1e-6), big.NewFloat(float64(poptest.Now.Unix()+10)+1e-6)
	if iat.Cmp(low) < 0 || iat.Cmp(high) > 0 {
		return fmt.Errorf("iat %s", m["iat"])
	}
	return nil
}

// ofTheNamespace reports whether a nonce shows that a Verifier of the empty namespace may have issued it.
func ofTheNamespace(nonce string) bool {
	raw, err := base64.RawURLEncoding.DecodeString(nonce)
	kind := sha256.Sum256([]byte("senderlock dpop nonce of a namespace\x00"))
	return err == nil && b64(raw) == nonce && len(raw) >= 32 && bytes.Equal(raw[8:11], kind[:3])
}

// strictProof re-reads a whole field, the ES256 signature included.
func strictProof(field string) error {
	var parts [3][]byte
	split := strings.Split(field, ".")
	if len(split) != 3 {
		return errors.New("not three parts")
	}
	for i, s := range split {
		raw, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil || b64(raw) != s {
			return fmt.Errorf("part %d: %v", i, err)
		}
		parts[i] = raw
	}
	key, err := strictHeader(parts[0])
	if err != nil {
		return err
	}
	if err := strictPayload(parts[1]); err != nil {
		return err
	}
	if crv, _ := stringOf(key, "crv"); crv != "P-256" {
		return nil
	}
	point := []byte{4}
	for _, name := range []string{"x", "y"} {
		s, _ := stringOf(key, name)
		raw, _ := base64.RawURLEncoding.DecodeString(s)
		point = append(point, raw...)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(split[0] + "." + split[1]))
	r, s := new(big.Int).SetBytes(parts[2][:32]), new(big.Int).SetBytes(parts[2][32:])
	if !ecdsa.Verify(public, digest[:], r, s) {
		return errors.New("the signature does not verify")
	}
	return nil
}

// judged checks the verdict on one proof against the strict reading.
func judged(t *testing.T, p *dpop.Proof, err error, strict func() error) {
	t.Helper()
	if err != nil {
		cause, ok := errors.AsType[*reason.Error](err)
		if p != nil || !ok || reason.Of(err) == "" || cause.Text == "" {
			t.Fatalf("a refusal of another kind: %v, %v", p, err)
		}
		return
	}
	if err := strict(); err != nil {
		t.Fatalf("accepted, but: %v", err)
	}
	if len(p.Thumbprint()) != 43 {
		t.Fatalf("thumbprint %q", p.Thumbprint())
	}
}

// seeds adds part i of every proof in the tables, or the whole field for -1.
func seeds(f *testing.F, i int) {
	f.Helper()
	fields := []string{mint(poptest.Proof{}), mint(poptest.Proof{Key: poptest.Keyed("Ed25519", "proof")}),
		claims(members{"htu": "HTTPS://API.example.com:443/%61ccounts?x#y"}), claims(members{"iat": json.Number("1767323045.5")})}
	for _, r := range refusals() {
		fields = append(fields, r.proof)
	}
	count := 0
	for _, field := range fields {
		if i < 0 {
			f.Add(field)
			count++
			continue
		}
		if parts := strings.Split(field, "."); len(parts) == 3 {
			if raw, err := base64.RawURLEncoding.DecodeString(parts[i]); err == nil {
				f.Add(string(raw))
				count++
			}
		}
	}
	if count < 100 {
		f.Fatalf("only %d seeds", count)
	}
}

func FuzzProofHeader(f *testing.F) {
	seeds(f, 0)
	v, _ := newServer(f, nil)
	_, rest, _ := strings.Cut(mint(poptest.Proof{}), ".")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := v.Read(requestWith(b64([]byte(text))+"."+rest), accessToken)
		judged(t, p, err, func() error { _, err := strictHeader([]byte(text)); return err })
	})
}

func FuzzProofPayload(f *testing.F) {
	seeds(f, 1)
	v, _ := newServer(f, nil)
	parts := strings.Split(mint(poptest.Proof{}), ".")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := v.Read(requestWith(parts[0]+"."+b64([]byte(text))+"."+parts[2]), accessToken)
		judged(t, p, err, func() error { return strictPayload([]byte(text)) })
	})
}

// FuzzProof judges whole fields. The store takes everything, so that nothing depends on the order of inputs.
func FuzzProof(f *testing.F) {
	seeds(f, -1)
	v, _ := newServer(f, func(s *dpop.Config) { s.Replay = storeFunc(alwaysFresh) })
	f.Fuzz(func(t *testing.T, field string) {
		p, err := v.Verify(requestWith(field), accessToken)
		judged(t, p, err, func() error { return strictProof(field) })
	})
}

func FuzzNonce(f *testing.F) {
	v, _ := newServer(f, nil)
	good := v.Nonce()
	for _, s := range []string{good, "", good[1:], good + "AAAA", strayBits(good), good[:8] + "\n" + good[9:], good + good, "\x00", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, nonce string) {
		p, err := v.Read(requestWith(claims(members{"nonce": nonce})), accessToken)
		judged(t, p, err, func() error {
			if p.HasNonce() != (nonce == good) || nonce != good && ofTheNamespace(nonce) {
				return errors.New("nobody issued it")
			}
			return nil
		})
	})
}
