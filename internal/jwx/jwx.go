// Package jwx is all that is used of lestrrat-go/jwx: to sign a JWT of our own (a client's assertion, a security
// event token, a token of an example's issuer), and to write and read a key file of our own. Nothing that came over a
// network enters it; package jose reads and verifies that, with the standard library. It carries RFC 7515 §5.1 and the
// private keys of RFC 7517.
//
// The second major version, which is used here, gets no more fixes. This package is what another library, or another
// version, would have to do.
package jwx

import (
	"crypto"
	"encoding/json"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// Sign makes a compact JWS (RFC 7515 §7.1). Header holds the members beside alg, such as typ and kid; those with an
// empty value are left out.
func Sign(payload []byte, alg string, key crypto.Signer, header map[string]string) (string, error) {
	members := jws.NewHeaders()
	for name, value := range header {
		if value == "" {
			continue
		}
		if err := members.Set(name, value); err != nil {
			return "", err
		}
	}
	if alg == "Ed25519" { // one algorithm of two names, of which jwx knows the other (RFC 9864 §2.2)
		alg = "EdDSA"
	}
	signed, err := jws.Sign(payload, jws.WithKey(jwa.SignatureAlgorithm(alg), key, jws.WithProtectedHeaders(members)))
	return string(signed), err
}

// MarshalKey writes a private key as a JWK.
func MarshalKey(key crypto.Signer) ([]byte, error) {
	j, err := jwk.FromRaw(key)
	if err != nil {
		return nil, err
	}
	return json.Marshal(j)
}

// UnmarshalKey reads a JWK of any kind. What comes back is a key of the standard library, or octets for a symmetric
// one. Whether the public members belong to the private ones is not checked.
func UnmarshalKey(raw []byte) (key any, err error) {
	j, err := jwk.ParseKey(raw)
	if err != nil {
		return nil, err
	}
	return key, j.Raw(&key)
}
