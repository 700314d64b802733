package poptest

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha3"
	"sync"

	"github.com/senderlock/senderlock/internal/mint"
)

// Key is a signing key and the algorithm it signs with.
type Key = mint.Key

// Thumbprint returns the RFC 7638 thumbprint of a public JWK. Members that
// do not count are left out.
func Thumbprint(jwk map[string]string) string { return mint.Thumbprint(jwk) }

var (
	keyedMu sync.Mutex
	keyed   = map[[2]string]*Key{}
)

// NewKey returns a fresh random key. RSA keys have 2048 bits and come in turn
// from four: the fifth RSA key equals the first. A test that needs more
// different ones uses Keyed, whose RSA keys are never among the four.
func NewKey(alg string) *Key {
	if family := mint.Family(alg); family == "ES" || family == "Ed" {
		return mint.New(alg)
	}
	return &Key{Alg: alg, Private: nextRSA()}
}

// Keyed returns the key that belongs to an algorithm and a seed. Within a
// process the same arguments give an equal key; EC and Ed25519 keys are
// derived from the seed and stay the same across processes too. The caller
// may change the returned Key without affecting others.
func Keyed(alg, seed string) *Key {
	keyedMu.Lock()
	defer keyedMu.Unlock()
	id := [2]string{alg, seed}
	k, ok := keyed[id]
	if !ok {
		k = &Key{Alg: alg, Private: derive(alg, seed)}
		keyed[id] = k
	}
	c := *k
	return &c
}

// ClientKey returns the ES256 key that a zero Proof is signed with.
func ClientKey() *Key { return Keyed("ES256", "client") }

// IssuerKey returns the ES256 key that a zero Token is signed with.
func IssuerKey() *Key { return Keyed("ES256", "issuer") }

func derive(alg, seed string) crypto.Signer {
	switch mint.Family(alg) {
	case "ES":
		return mint.Derive(mint.CurveOf(alg), alg+"\x00"+seed)
	case "Ed":
		return ed25519.NewKeyFromSeed(sha3.SumSHAKE256([]byte(alg+"\x00"+seed), ed25519.SeedSize))
	}
	return ownRSA()
}
