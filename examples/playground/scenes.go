package main

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"strings"
	"time"

	"github.com/senderlock/senderlock/internal/mint"
)

// scene is what a button fills the page with: a good request with one thing changed.
type scene struct {
	Name, Title string
	Story       string // who does what
	Part        string // of the page, where the change is: token, proof, request or server
	change      func(*draft)
}

// group are scenes that belong together.
type group struct {
	Title  string
	Scenes []scene
}

var groups = []group{
	{"In order", []scene{
		{"good", "A good request", "The owner of the token sends it with a proof by the key that it was issued to.", "", func(*draft) {}},
		{"nonce", "With a nonce", "The server demands a nonce of its own in each proof, and this one has the newest.", "proof", (*draft).withNonce},
		{"certificate", "With a certificate", "The token is bound to the client's certificate, which the TLS connection has shown. No proof is needed.", "request",
			func(d *draft) { d.boundToCertificate(d.ownersCertificate) }},
	}},
	{"A stolen token", []scene{
		{"thief", "Another key", "A thief has a copy of the token, and signs a perfect proof with a key of his own.", "proof", func(d *draft) { d.proofBy(d.thief, d.thief) }},
		{"bearer", "As a bearer token", "A thief sends the token as if having it were enough.", "request",
			func(d *draft) { d.after = func(in *inputs) { in.Scheme, in.Proof = "Bearer", "" } }},
		{"noProof", "Without a proof", "A thief keeps the scheme and leaves the proof out.", "proof", func(d *draft) { d.after = func(in *inputs) { in.Proof = "" } }},
		{"forged", "The owner's key, named", "A thief puts the owner's public key into the proof, but can only sign with his own.", "proof",
			func(d *draft) { d.proofBy(d.owner, d.thief) }},
		{"otherCertificate", "Another certificate", "The token is bound to the owner's certificate. The thief's connection shows another.", "request",
			func(d *draft) { d.boundToCertificate(d.thiefsCertificate) }},
	}},
	{"A stolen proof", []scene{
		{"replay", "Sent again", "A thief has recorded a whole request, and sends it once more, octet for octet.", "server", func(d *draft) { d.in.Again = true }},
		{"url", "At another address", "A proof that was made for /accounts is used for /transfer.", "request",
			func(d *draft) { d.after = func(in *inputs) { in.URL = origin + "/transfer" } }},
		{"method", "With another method", "A proof that was made for GET is used for DELETE.", "request", func(d *draft) { d.after = func(in *inputs) { in.Method = "DELETE" } }},
		{"otherToken", "With another token", "A proof that was made for one token comes with another of the same client.", "token",
			func(d *draft) { d.proofClaims["ath"] = mint.ATH("the other token") }},
		{"old", "Too late", "A proof is kept back for a minute and a half.", "server", func(d *draft) { d.after = func(in *inputs) { in.Now = in.Now.Add(90 * time.Second) } }},
		{"early", "Made in advance", "Whoever once had the key for a moment has made proofs for later.", "proof",
			func(d *draft) { d.proofClaims["iat"] = d.in.Now.Add(time.Minute).Unix() }},
		{"noNonce", "Without the nonce", "The server demands a nonce, so that nothing can be made in advance. The client is told to send it again with the one that comes with the refusal.", "proof",
			func(d *draft) { d.in.Nonce = true }},
	}},
	{"Forgeries", []scene{
		{"altered", "Altered signature", "One bit of the proof's signature is another.", "proof", func(d *draft) { d.after = func(in *inputs) { in.Proof = altered(in.Proof) } }},
		{"proofNone", "Proof: alg none", "The header says that there is nothing to verify, and what stands for a signature is anything.", "proof",
			func(d *draft) {
				d.proofHeader["alg"] = "none"
				d.after = func(in *inputs) { in.Proof += mint.Base64([]byte("anything")) }
			}},
		{"private", "Private key inside", "A client with a fault sends its private key along.", "proof",
			func(d *draft) { d.proofHeader["jwk"].(map[string]any)["d"] = mint.Base64(make([]byte, sha256.Size)) }},
		{"twoProofs", "Two proofs", "Another DPoP field is slipped in, for servers that read the first or the last.", "request",
			func(d *draft) { d.after = func(in *inputs) { in.Fields = "DPoP: " + in.Proof } }},
		{"tokenNone", "Token: alg none", "A forger writes a token, says that it needs no signature, and leaves it off.", "token",
			func(d *draft) { d.tokenHeader["alg"], d.tokenClaims["sub"] = "none", "admin" }},
		{"tokenHMAC", "Token: HS256", "A forger signs a token by HMAC, with the issuer's public key as the secret.", "token",
			func(d *draft) { d.tokenHeader["alg"], d.tokenClaims["sub"] = "HS256", "admin" }},
		{"promoted", "Altered claims", "The owner would like to be somebody else. The signature is still that of the token as it was.", "token",
			func(d *draft) {
				d.token = func(token string) string { return promoted(token, d.tokenHeader, d.tokenClaims) }
			}},
		{"strangers", "Another signer", "Somebody signs a token in the name of the issuer.", "token", func(d *draft) { d.tokenKey = d.stranger }},
	}},
	{"Tokens that do not do", []scene{
		{"expired", "Expired", "The token ended a minute ago. The proof is new.", "token", func(d *draft) { d.issued(-6*time.Minute, 5*time.Minute) }},
		{"long", "Good for a day", "The issuer gave a token for a whole day, time enough to steal it.", "token", func(d *draft) { d.issued(0, 24*time.Hour) }},
		{"unbound", "Bound to nobody", "The issuer left out whose token it is.", "token", func(d *draft) { delete(d.tokenClaims, "cnf") }},
		{"audience", "For another API", "The token is for another API of the same issuer.", "token", func(d *draft) { d.tokenClaims["aud"] = "https://other.example.com" }},
		{"takenBack", "Taken back", "The owner has logged out everywhere, and the token would be good for minutes.", "server", func(d *draft) { d.in.TakenBack = true }},
		{"scope", "Missing scope", "The route wants more than the token may.", "server", func(d *draft) { d.in.Scope = "payments:write" }},
	}},
}

// draft is a request before it is signed.
type draft struct {
	*demo
	in                       inputs
	tokenHeader, tokenClaims map[string]any
	proofHeader, proofClaims map[string]any
	tokenKey, proofKey       *mint.Key
	token                    func(string) string // what becomes of the token before a proof is made for it; nil: nothing
	after                    func(*inputs)       // nil: nothing
	trouble                  error
}

// play makes the request of a scene, at a time.
func (d *demo) play(s scene, now time.Time) (inputs, error) {
	now = now.UTC().Truncate(time.Second)
	draft := &draft{
		demo: d, tokenKey: d.issuer,
		in:          inputs{Method: "GET", URL: origin + "/accounts", Scheme: "DPoP", Now: now, Scope: "accounts:read"},
		tokenHeader: map[string]any{"typ": "at+jwt", "alg": "ES256", "kid": keyName},
		tokenClaims: map[string]any{
			"iss": issuer, "aud": origin, "sub": "alice", "client_id": "app", "scope": "accounts:read", "jti": rand.Text(),
			"cnf": map[string]string{"jkt": d.owner.Thumbprint()},
		},
		proofClaims: map[string]any{"jti": rand.Text(), "htm": "GET", "htu": origin + "/accounts", "iat": now.Unix()},
	}
	draft.issued(0, 5*time.Minute)
	draft.proofBy(d.owner, d.owner)
	s.change(draft)
	return draft.signed(), draft.trouble
}

// signed signs token and proof as they are now.
func (d *draft) signed() inputs {
	d.in.Token = mint.Compact(mint.Marshal(d.tokenHeader), mint.Marshal(d.tokenClaims), forging(d.tokenKey, mint.Marshal(d.tokenHeader)))
	if d.token != nil {
		d.in.Token = d.token(d.in.Token)
	}
	if d.in.Scheme == "DPoP" {
		if d.proofClaims["ath"] == nil {
			d.proofClaims["ath"] = mint.ATH(d.in.Token)
		}
		d.in.Proof = mint.Compact(mint.Marshal(d.proofHeader), mint.Marshal(d.proofClaims), forging(d.proofKey, mint.Marshal(d.proofHeader)))
	}
	if d.after != nil {
		d.after(&d.in)
	}
	return d.in
}

// issued sets the times of the token, from now.
func (d *draft) issued(ago, lifetime time.Duration) {
	at := d.in.Now.Add(ago)
	d.tokenClaims["iat"], d.tokenClaims["exp"] = at.Unix(), at.Add(lifetime).Unix()
}

// proofBy names one key in the proof, and signs with another, or the same.
func (d *draft) proofBy(named, signs *mint.Key) {
	d.proofHeader = map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": named.JWK()}
	d.proofKey = signs
}

func (d *draft) withNonce() {
	d.in.Nonce = true
	d.proofClaims["nonce"], d.trouble = d.nonce(d.in.Now)
}

// boundToCertificate binds the token to the owner's certificate; the connection shows one.
func (d *draft) boundToCertificate(shown *x509.Certificate) {
	sum := sha256.Sum256(d.ownersCertificate.Raw)
	d.tokenClaims["cnf"] = map[string]string{"x5t#S256": mint.Base64(sum[:])}
	d.in.Scheme, d.in.Certificate = "Bearer", inPEM(shown)
}

// altered is a JWT with another signature of the same form.
func altered(jwt string) string {
	octets := []byte(jwt)
	at := len(octets) - 20
	if octets[at] == 'A' {
		octets[at] = 'B'
	} else {
		octets[at] = 'A'
	}
	return string(octets)
}

// promoted is a token that says something else than what was signed.
func promoted(token string, header, claims map[string]any) string {
	claims["sub"] = "admin"
	signature := token[strings.LastIndex(token, ".")+1:]
	return mint.Base64([]byte(mint.Marshal(header))) + "." + mint.Base64([]byte(mint.Marshal(claims))) + "." + signature
}

// sceneOf finds a scene by its name.
func sceneOf(name string) (scene, bool) {
	for _, g := range groups {
		for _, s := range g.Scenes {
			if s.Name == name {
				return s, true
			}
		}
	}
	return scene{}, false
}
