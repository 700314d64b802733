package poptest

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"time"

	"github.com/senderlock/senderlock/internal/mint"
)

// Proof describes a DPoP proof, RFC 9449 §4.2. Zero fields get good values:
// the zero Proof is a GET of [URL] by [ClientKey] at [Now].
type Proof struct {
	// Key is the key whose public half goes into the header. Nil means
	// ClientKey.
	Key *Key
	// Method is htm. Empty means GET.
	Method string
	// URL is htu; a query and a fragment are cut off. Empty means the
	// constant URL.
	URL string
	// Token is the access token that ath is derived from. Empty means no ath.
	Token string
	// Nonce is the nonce claim. Empty means none.
	Nonce string
	// JTI is the jti claim. Empty means a random one.
	JTI string
	// IssuedAt is iat, in whole seconds. Zero means Now.
	IssuedAt time.Time

	// Header and Claims replace or add members. A nil value removes the
	// member; json.RawMessage("null") makes it null.
	Header, Claims map[string]any
	// RawHeader and RawPayload, when not empty, are used as they are in
	// place of the JSON that would have been built.
	RawHeader, RawPayload string
	// Signer signs instead of Key; the jwk and alg of the header stay Key's.
	Signer *Key
}

// String returns the signed proof in compact serialisation. Each call makes a
// new jti unless JTI is set.
func (p Proof) String() string {
	key := p.Key
	if key == nil {
		key = ClientKey()
	}
	signer := p.Signer
	if signer == nil {
		signer = key
	}
	header, payload := p.RawHeader, p.RawPayload
	if header == "" {
		header = mint.Marshal(p.header(key))
	}
	if payload == "" {
		payload = mint.Marshal(p.claims())
	}
	return Compact(header, payload, signer)
}

func (p Proof) header(key *Key) map[string]any {
	return override(map[string]any{
		"typ": "dpop+jwt", "alg": key.Alg, "jwk": key.JWK(),
	}, p.Header)
}

func (p Proof) claims() map[string]any {
	target := cmp.Or(p.URL, URL)
	if i := strings.IndexAny(target, "?#"); i >= 0 {
		target = target[:i]
	}
	claims := map[string]any{
		"jti": cmp.Or(p.JTI, rand.Text()), "htm": cmp.Or(p.Method, "GET"), "htu": target,
		"iat": orNow(p.IssuedAt).Unix(),
	}
	if p.Token != "" {
		claims["ath"] = ATH(p.Token)
	}
	if p.Nonce != "" {
		claims["nonce"] = p.Nonce
	}
	return override(claims, p.Claims)
}

// ATH returns the ath claim for an access token, RFC 9449 §4.2.
func ATH(token string) string { return mint.ATH(token) }

// Compact signs JSON texts as they are and returns the compact serialisation.
// Neither text is checked.
func Compact(headerJSON, payloadJSON string, k *Key) string {
	return mint.Compact(headerJSON, payloadJSON, k)
}

// Tampered returns a compact serialisation with the first sextet of its
// signature changed. The base64url stays canonical.
func Tampered(compact string) string {
	i := strings.LastIndexByte(compact, '.') + 1
	first := byte('A')
	if compact[i] == first {
		first = 'B'
	}
	return compact[:i] + string(first) + compact[i+1:]
}

// Salted returns a compact serialisation signed anew, by PSS with a salt of so many octets. RFC 7518 §3.5 has one length,
// that of the hash, and other signers others.
func Salted(compact string, k *Key, octets int) string {
	input := compact[:strings.LastIndexByte(compact, '.')]
	hash := map[string]crypto.Hash{"PS256": crypto.SHA256, "PS384": crypto.SHA384, "PS512": crypto.SHA512}[k.Alg]
	digest := hash.New()
	digest.Write([]byte(input))
	signature, err := rsa.SignPSS(rand.Reader, k.Private.(*rsa.PrivateKey), hash, digest.Sum(nil), &rsa.PSSOptions{SaltLength: octets})
	if err != nil {
		panic("poptest: " + err.Error())
	}
	return input + "." + mint.Base64(signature)
}

func orNow(t time.Time) time.Time {
	if t.IsZero() {
		return Now
	}
	return t
}
