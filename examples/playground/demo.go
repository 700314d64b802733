package main

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/mint"
)

// The API, and the authorization server that it trusts. Neither exists: nobody is asked anything.
const (
	origin  = "https://api.example.com"
	issuer  = "https://login.example.com"
	keyName = "demo"
)

// demo has the keys of everybody, made at the start.
type demo struct {
	owner    *mint.Key // to whom tokens are issued
	thief    *mint.Key
	issuer   *mint.Key
	stranger *mint.Key // who would like to be an issuer

	ownersCertificate, thiefsCertificate *x509.Certificate
	nonceSecret                          []byte
}

func newDemo() (*demo, error) {
	d := &demo{
		owner: mint.New("ES256"), thief: mint.New("ES256"), issuer: mint.New("ES256"), stranger: mint.New("ES256"),
		nonceSecret: make([]byte, dpop.MinNonceSecret),
	}
	_, _ = rand.Read(d.nonceSecret) // never fails
	var err error
	if d.ownersCertificate, err = certificate("owner", d.owner); err != nil {
		return nil, err
	}
	d.thiefsCertificate, err = certificate("thief", d.thief)
	return d, err
}

// certificate is self-signed, which is good enough to be bound to (RFC 8705 §6.2).
func certificate(name string, key *mint.Key) (*x509.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(10, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Private.Public(), key.Private)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func inPEM(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// keySet is what the issuer publishes.
func (d *demo) keySet() []byte {
	key := d.issuer.JWK()
	key["kid"], key["use"], key["alg"] = keyName, "sig", "ES256"
	return []byte(mint.Marshal(map[string]any{"keys": []any{key}}))
}

func (d *demo) nonces() dpop.Nonces { return dpop.Nonces{Secrets: [][]byte{d.nonceSecret}} }

// nonce is one that the server hands out at a time.
func (d *demo) nonce(now time.Time) (string, error) {
	server, err := dpop.New(dpop.Config{
		Origins: []string{origin}, Nonces: d.nonces(), InsecureForgetAtStart: true, Now: func() time.Time { return now },
	})
	if err != nil {
		return "", err
	}
	defer server.Close()
	return server.Nonce(), nil
}

// key is that of a name on the page.
func (d *demo) key(name string) (*mint.Key, error) {
	key := map[string]*mint.Key{"owner": d.owner, "thief": d.thief, "issuer": d.issuer, "stranger": d.stranger}[name]
	if key == nil {
		return nil, fmt.Errorf("nobody is called %q", name)
	}
	return key, nil
}

// sign signs two texts as they are, whether they are JSON or not, by the algorithm that the header names if the key can.
func (d *demo) sign(header, claims, by string) (string, error) {
	key, err := d.key(by)
	if err != nil {
		return "", err
	}
	return mint.Compact(header, claims, forging(key, header)), nil
}

// forging is a key with the algorithm of a header that makes a signature out of nothing, or out of what is public.
func forging(key *mint.Key, header string) *mint.Key {
	var named struct {
		Alg string `json:"alg"`
	}
	_ = json.Unmarshal([]byte(header), &named) // it may be anything
	switch named.Alg {
	case "none", "HS256", "HS384", "HS512":
		return &mint.Key{Alg: named.Alg, Private: key.Private}
	}
	return key
}

// proof makes a good proof for a request, as a client does.
func (d *demo) proof(o dpop.ProofOptions, by string) (string, error) {
	key, err := d.key(by)
	if err != nil {
		return "", err
	}
	signer, err := dpop.NewSigner(key.Private, key.Alg)
	if err != nil {
		return "", err
	}
	return signer.Sign(o)
}
