package generate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha3"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/big"
	"sync"
	"time"

	"github.com/senderlock/senderlock/conformance/internal/cases"
	"github.com/senderlock/senderlock/conformance/internal/recipe"
	"github.com/senderlock/senderlock/internal/mint"
)

const seed = "senderlock conformance vectors 1 "

// makeKeys derives every key from its name.
var makeKeys = sync.OnceValue(func() (k cases.Keys) {
	add := func(name, alg string, private crypto.Signer) {
		m := (&mint.Key{Alg: alg, Private: private}).JWK()
		m["kid"], m["alg"] = name, alg
		switch p := private.(type) {
		case *ecdsa.PrivateKey:
			d, err := p.Bytes()
			if err != nil {
				log.Panic(err)
			}
			m["d"] = mint.Base64(d)
		case ed25519.PrivateKey:
			m["d"] = mint.Base64(p.Seed())
		case *rsa.PrivateKey:
			m["d"], m["p"], m["q"] = mint.Base64(p.D.Bytes()), mint.Base64(p.Primes[0].Bytes()),
				mint.Base64(p.Primes[1].Bytes())
		}
		k.Keys = append(k.Keys, json.RawMessage(mint.Marshal(m)))
	}
	for _, key := range [][2]string{
		{"client", "ES256"}, {"other", "ES256"}, {"issuer", "ES256"}, {"es384", "ES384"}, {"es512", "ES512"},
	} {
		add(key[0], key[1], mint.Derive(mint.CurveOf(key[1]), seed+key[0]))
	}
	add("zero-x", "ES256", search(elliptic.P256(), func(x, _ []byte) bool { return x[0] == 0 }))
	add("zero-y", "ES256", search(elliptic.P256(), func(_, y []byte) bool { return y[0] == 0 }))
	add("zero-x-521", "ES512", search(elliptic.P521(), func(x, _ []byte) bool { return x[0] == 0 && x[1] == 0 }))
	add("ed25519", "EdDSA", ed25519.NewKeyFromSeed(sha3.SumSHAKE256([]byte(seed+"ed25519"), ed25519.SeedSize)))
	add("rsa", "RS256", rsaKey("rsa", 2048))
	add("rsa-3072", "RS256", rsaKey("rsa-3072", 3072))
	add("rsa-1024", "RS256", rsaKey("rsa-1024", 1024))

	one := mint.Derive(elliptic.P256(), seed+"certificate 1")
	two := mint.Derive(elliptic.P256(), seed+"certificate 2")
	for n, c := range []struct {
		name       string
		key        *ecdsa.PrivateKey
		begin, end int
	}{
		{"client", one, 2020, 2060}, {"other", two, 2020, 2060}, {"renewed", one, 2021, 2061}, {"expired", one, 2001,
			2002},
	} {
		k.Certificates = append(k.Certificates, certificate(c.name, int64(n+1), c.key, c.begin, c.end))
	}
	return k
})

// search tries scalars until the public point has the property.
func search(curve elliptic.Curve, good func(x, y []byte) bool) *ecdsa.PrivateKey {
	for i := 0; ; i++ {
		k := mint.Derive(curve, fmt.Sprint(seed, "search ", i))
		point, err := k.PublicKey.Bytes()
		if err != nil {
			log.Panic(err)
		}
		if half := len(point) / 2; good(point[1:1+half], point[1+half:]) {
			return k
		}
	}
}

// rsaKey draws primes from the seed. The keys are published, so how they were drawn need not be secret.
func rsaKey(name string, bits int) *rsa.PrivateKey {
	stream := sha3.NewSHAKE256()
	_, _ = stream.Write([]byte(seed + name))
	e := big.NewInt(65537)
	one := big.NewInt(1)
	small := new(big.Int).MulRange(1, 2000) // what shares a factor with it is no prime, which is seen sooner
	prime := func() *big.Int {
		b := make([]byte, bits/16)
		_, _ = io.ReadFull(stream, b)
		b[0] |= 0xc0
		b[len(b)-1] |= 1
		for p := new(big.Int).SetBytes(b); ; p.Add(p, big.NewInt(2)) {
			if new(big.Int).GCD(nil, nil, p, small).Cmp(one) == 0 && p.ProbablyPrime(10) && new(big.Int).GCD(nil, nil, e, new(big.Int).Sub(p, one)).Cmp(one) == 0 {
				return p
			}
		}
	}
	p, q := prime(), prime()
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	k := &rsa.PrivateKey{D: new(big.Int).ModInverse(e, phi), Primes: []*big.Int{p, q}}
	k.N, k.E = new(big.Int).Mul(p, q), 65537
	return k
}

// steady signs without randomness, whatever it is offered.
type steady struct{ *ecdsa.PrivateKey }

func (s steady) Sign(_ io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	return s.PrivateKey.Sign(nil, digest, o)
}

func certificate(name string, serial int64, key *ecdsa.PrivateKey, begin, end int) cases.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "conformance " + name},
		NotBefore: time.Date(begin, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(end, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), steady{key})
	if err != nil {
		log.Panic(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		log.Panic(err)
	}
	return cases.Certificate{Name: name, Certificate: der, Key: private}
}

// clock is the instant of the static cases.
var clock = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// statics writes out the proofs of every case that is about the proof alone.
func statics(k cases.Keys, all []cases.Case) []cases.Static {
	keys, certificates, err := recipe.Load(k)
	if err != nil {
		log.Panic(err)
	}
	current, drawn := "", 0 // each case draws its own, so that a new one does not change the others
	world := &recipe.World{
		Keys: keys, Certificates: certificates, Origin: "https://api.example.com",
		Audience: "https://api.example.com",
		Issuers:  map[string]recipe.Issuer{"": {URL: "https://login.example.com", Key: keys["issuer"], KeyID: "k1"}},
		Now:      func() time.Time { return clock },
		Random: func() string {
			drawn++
			return mint.Base64(sha3.SumSHAKE256(fmt.Appendf(nil, "%s%s %d", seed, current, drawn), 15))
		},
	}
	var list []cases.Static
	for _, c := range all {
		if !aboutProof(&c) {
			continue
		}
		step := &c.Steps[0]
		current, drawn = c.ID, 0
		salts := sha3.NewSHAKE256()
		_, _ = salts.Write([]byte(seed + current))
		for _, key := range keys {
			key.Salt = salts
		}
		sent, err := world.Build(&recipe.State{JTI: world.Random()}, step, "/resource")
		if err != nil {
			log.Panicf("%s: %v", c.ID, err)
		}
		s := cases.Static{
			ID: c.ID, Requirement: c.Requirement, RFC: c.RFC, Level: c.Level, Title: c.Title, Clock: clock.Unix(),
			Method: sent.Method, URL: sent.URL,
			Token: sent.Token, Proofs: append([]string{}, sent.Proofs...), Thumbprint: sent.Thumbprint, Accept: step.Strict.Accept,
			Reason: c.Reason,
		}
		if !s.Accept {
			s.Error = step.Strict.Error[0]
		}
		if s.Reason == "*" { // several are right
			s.Reason = ""
		}
		list = append(list, s)
	}
	return list
}

// aboutProof reports whether a verifier of proofs can decide the case alone.
func aboutProof(c *cases.Case) bool {
	r := &c.Steps[0].Send
	if len(c.Steps) > 1 || c.Level == cases.INFO || r.Endpoint != "" || r.Authorization != nil ||
		r.Headers != nil || r.Host != "" ||
		r.Target != "" || r.Body != "" || r.Certificate != "" || r.ProofField != "" || c.Steps[0].Copies > 0 ||
		len(c.Profiles) > 0 {
		return false
	}
	if t := r.Token; t != nil && (t.Bind == "" || t.Bind == "-" || t.Claims != nil || t.Header != nil ||
		t.Edit != nil || t.Raw != "") {
		return false
	}
	return c.Steps[0].Strict.Accept && r.Without == nil && len(c.Steps[0].Strict.Checks) == 0 || c.Reason != "" &&
		len(c.Steps[0].Strict.Error) > 0
}

// keyJSON is the public half of a key, member by member.
func keyJSON(name string) map[string]string {
	for _, text := range makeKeys().Keys {
		var m map[string]any
		if err := json.Unmarshal(text, &m); err != nil {
			log.Panic(err)
		}
		if m["kid"] == name {
			out := map[string]string{}
			for key, value := range m {
				out[key], _ = value.(string)
			}
			return out
		}
	}
	log.Panicf("no key %q", name)
	return nil
}

// extend writes a number with a zero octet more in front.
func extend(s string) string { return mint.Base64(append([]byte{0}, decode(s)...)) }

// strip takes the first octet away.
func strip(s string) string { return mint.Base64(decode(s)[1:]) }

func decode(s string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		log.Panic(err)
	}
	return b
}
