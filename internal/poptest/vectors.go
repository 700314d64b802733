package poptest

import (
	_ "embed" // for the vectors
	"encoding/json"
)

//go:embed testdata/rfc-vectors.json
var rfcVectors []byte

// RFCVectors holds values as the RFCs print them.
type RFCVectors struct {
	RFC9449 RFC9449 `json:"rfc9449"`
	RFC8705 RFC8705 `json:"rfc8705"`
	RFC7638 struct {
		Section31 JWKThumbprint `json:"section_3.1"` // RSA
	} `json:"rfc7638"`
	RFC8037 struct {
		AppendixA3 JWKThumbprint `json:"appendix_a.3"` // Ed25519
	} `json:"rfc8037"`
	RFC7515 struct {
		AppendixA3 SignedJWS `json:"appendix_a.3"` // ES256
	} `json:"rfc7515"`
}

// JWKThumbprint is a public key and its RFC 7638 thumbprint.
type JWKThumbprint struct {
	JWK        map[string]string `json:"jwk"`
	Thumbprint string            `json:"thumbprint"`
}

// SignedJWS is a compact JWS and the key that verifies it.
type SignedJWS struct {
	JWK map[string]string `json:"jwk"`
	JWS string            `json:"jws"`
}

// RFC9449 holds the values of the DPoP specification. Its proofs are of July
// 2019, so a verifier needs its clock set to their iat.
type RFC9449 struct {
	PublicJWK         map[string]string  `json:"public_jwk"`
	JKT               string             `json:"-"`
	Proofs            []ProofVector      `json:"proofs"`
	OpaqueAccessToken string             `json:"opaque_access_token"`
	ATH               string             `json:"-"` // of OpaqueAccessToken
	JWTAccessToken    TokenVector        `json:"jwt_access_token"`
	Introspection     json.RawMessage    `json:"introspection_response"`
	NonceExamples     []string           `json:"nonce_examples"`
	ChallengeExamples []ChallengeExample `json:"challenge_examples"`
}

// ProofVector is a proof and the request that it was made for.
type ProofVector struct {
	Name   string `json:"name"`
	Proof  string `json:"proof"`
	Claims struct {
		JTI string `json:"jti"`
		HTM string `json:"htm"`
		HTU string `json:"htu"`
		IAT int64  `json:"iat"`
		ATH string `json:"ath"` // empty if the proof has none
	} `json:"claims"`
	Request struct {
		Method string `json:"method"`
		URI    string `json:"uri"`
	} `json:"request"`
}

// TokenVector is a JWT access token. The key that signed it is not published.
type TokenVector struct {
	Value  string         `json:"value"`
	Header map[string]any `json:"header"`
	Claims struct {
		Subject   string `json:"sub"`
		Issuer    string `json:"iss"`
		NotBefore int64  `json:"nbf"`
		Expiry    int64  `json:"exp"`
		CNF       struct {
			JKT string `json:"jkt"`
		} `json:"cnf"`
	} `json:"claims"`
}

// ChallengeExample is a refusal as the RFC shows it.
type ChallengeExample struct {
	Case            string `json:"case"`
	Status          int    `json:"status"`
	WWWAuthenticate string `json:"www_authenticate"`
	DPoPNonce       string `json:"dpop_nonce"` // empty if the answer has none
}

// RFC8705 holds the values of the mutual-TLS specification.
type RFC8705 struct {
	AppendixA struct {
		// CertificatePEM is self-signed and expired in 2022.
		CertificatePEM string         `json:"certificate_pem"`
		DERSHA256Hex   string         `json:"certificate_der_sha256_hex"`
		X5T            string         `json:"x5t#S256"`
		JWK            map[string]any `json:"jwk"`
	} `json:"appendix_a"`
	// Section31 is a token's claims. The last character of its thumbprint
	// has trailing bits that are not zero; Canonical is the same octets
	// encoded properly.
	Section31 struct {
		CNF struct {
			X5T string `json:"x5t#S256"`
		} `json:"cnf"`
		Issuer    string `json:"iss"`
		Subject   string `json:"sub"`
		Expiry    int64  `json:"exp"`
		NotBefore int64  `json:"nbf"`
		Canonical string `json:"canonical_reencoding"`
	} `json:"section_3.1_example"`
}

// Vectors returns a new copy of the RFC values.
func Vectors() RFCVectors {
	var v RFCVectors
	var wrapped struct {
		RFC9449 struct {
			JKT struct{ Value string } `json:"jkt"`
			ATH struct{ Value string } `json:"ath"`
		} `json:"rfc9449"`
	}
	for _, into := range []any{&v, &wrapped} {
		if err := json.Unmarshal(rfcVectors, into); err != nil {
			panic("poptest: " + err.Error())
		}
	}
	v.RFC9449.JKT, v.RFC9449.ATH = wrapped.RFC9449.JKT.Value, wrapped.RFC9449.ATH.Value
	return v
}
