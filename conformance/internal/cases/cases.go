// Package cases gives the files of package vectors their types: the questions to a resource server, the proofs for a
// library without a server, and the keys of both. The files are made by "go generate ./conformance/vectors".
package cases

import (
	"encoding/json"
	"sync"

	"github.com/senderlock/senderlock/conformance/vectors"
)

// Levels of cases.
const (
	MUST   = "MUST"   // a server that fails is wrong
	SHOULD = "SHOULD" // a failure is a warning, in the strict profile a failure
	INFO   = "INFO"   // what the server does is told and never fails
)

// Case is one question to a resource server. It tests one thing: everything that is not mentioned is in order.
type Case struct {
	ID          string   `json:"id"`
	Requirement string   `json:"requirement"`     // RS-001 to RS-182, a row of requirements.md
	RFC         string   `json:"rfc"`             // with the section
	Rule        string   `json:"rule"`            // what it says, in a line of ours
	Leave       string   `json:"leave,omitempty"` // why a server may do otherwise and still be right
	Group       string   `json:"group"`
	Level       string   `json:"level"`
	Title       string   `json:"title"`
	Reason      string   `json:"reason,omitempty"`   // a name for what is wrong, for a library's own tests
	Needs       []string `json:"needs,omitempty"`    // what the server must claim; otherwise the case is skipped
	Profiles    []string `json:"profiles,omitempty"` // only in these; empty means in all
	Slow        bool     `json:"slow,omitempty"`     // waits for the clock
	// Warm says that the case is also asked of a server that has accepted the token, the key and the fields before.
	Warm  bool   `json:"warm,omitempty"`
	Steps []Step `json:"steps"`
}

// Step is one request, or several equal ones at once, and the answer wanted.
type Step struct {
	Wait   int     `json:"wait,omitempty"`   // seconds that pass before the step
	Copies int     `json:"copies,omitempty"` // that many connections send the request at the same instant
	Flood  int     `json:"flood,omitempty"`  // that many good requests come before the step, each with its own proof
	Outage string  `json:"outage,omitempty"` // of the suite's issuer: "introspection" answers 503, "introspection-garbage" no JSON
	Rotate bool    `json:"rotate,omitempty"` // the issuer "rotating" takes a new key in place of the old one
	Again  bool    `json:"again,omitempty"`  // token and proof of the step before, octet for octet
	Same   bool    `json:"same,omitempty"`   // the token of the step before, octet for octet
	Send   Request `json:"send"`
	Strict Answer  `json:"strict"`
	Base   Answer  `json:"base"`
}

// Request is a recipe. Its zero value is a good request: GET, the main resource, a new token that is bound to the
// key "client", a new proof by that key.
//
// Texts may hold ${name}, which the sender replaces: now (seconds since 1970), now+N, now-N, url (the target
// without its query), origin, host, path, base (the path of the resource), method, token, proof, ath, jti (one for each case), random (new at each
// place), nonce (the last that the server gave in this case), issuer, audience, jkt:KEY, x5t:CERTIFICATE,
// certificate:NAME (base64 of the DER), ath:before (the hash of the token before), metadata (the path of the metadata).
// After a bar changes may follow: of letters (upper, lower, title, invert, wide), of length (short, first, tail), of
// characters (altered, altered-first, altered-middle, first-half, last-half, digits), of spelling (hex, pad, encode,
// encode-twice, slashes) and of origins (other-scheme, other-scheme-name, other-on, with-port, port-8443, empty-port).
type Request struct {
	Endpoint      string   `json:"endpoint,omitempty"` // which resource; empty: the main one
	Method        string   `json:"method,omitempty"`
	Path          string   `json:"path,omitempty"` // behind the resource's own path, as it stands
	Query         string   `json:"query,omitempty"`
	Target        string   `json:"target,omitempty"`        // in place of path and query
	Host          string   `json:"host,omitempty"`          // the Host field; empty: that of the origin
	Authorization []string `json:"authorization,omitempty"` // one field each; empty: DPoP ${token}
	Proofs        []string `json:"proofs,omitempty"`        // one DPoP field each; empty: ${proof}
	ProofField    string   `json:"proof_field,omitempty"`   // the spelling of the field's name; empty: DPoP
	Without       []string `json:"without,omitempty"`       // "authorization", "proof": no such field
	Headers       []Header `json:"headers,omitempty"`       // further fields, in this order
	Body          string   `json:"body,omitempty"`
	Certificate   string   `json:"certificate,omitempty"` // the client certificate of the connection
	TLS           string   `json:"tls,omitempty"`         // the newest version that the client offers: "1.0" to "1.3"
	Token         *Token   `json:"token,omitempty"`
	Proof         *Proof   `json:"proof,omitempty"`
}

// Header is one field of a request, sent as it stands.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Members are JSON members by name. They replace those of a good token or proof; null takes a member out, and
// {"$raw": "…"} stands for the JSON text in it.
type Members map[string]json.RawMessage

// Token is the recipe of an access token.
type Token struct {
	Opaque bool   `json:"opaque,omitempty"` // a random text; its claims are what introspection says
	Issuer string `json:"issuer,omitempty"` // "down": keys cannot be had; "rogue": not trusted; "rotating"; "rotated": the key before
	Key    string `json:"key,omitempty"`    // signs in place of the issuer's key
	Alg    string `json:"alg,omitempty"`    // in place of the key's algorithm
	// Bind is the key in cnf.jkt; empty: "client"; "-": none; "=": the jwk of the proof as it is sent.
	Bind        string   `json:"bind,omitempty"`
	Certificate string   `json:"certificate,omitempty"` // the certificate in cnf.x5t#S256
	Header      Members  `json:"header,omitempty"`
	Claims      Members  `json:"claims,omitempty"`
	RawHeader   string   `json:"raw_header,omitempty"`
	RawPayload  string   `json:"raw_payload,omitempty"`
	Edit        []string `json:"edit,omitempty"` // see Proof
	Raw         string   `json:"raw,omitempty"`  // the whole token
}

// Proof is the recipe of a DPoP proof.
type Proof struct {
	Key        string  `json:"key,omitempty"`    // of keys.json; empty: "client"
	Signer     string  `json:"signer,omitempty"` // signs in its place
	Alg        string  `json:"alg,omitempty"`    // in place of the key's algorithm
	JWK        Members `json:"jwk,omitempty"`
	RawJWK     string  `json:"raw_jwk,omitempty"`
	Header     Members `json:"header,omitempty"`
	Claims     Members `json:"claims,omitempty"`
	RawHeader  string  `json:"raw_header,omitempty"`
	RawPayload string  `json:"raw_payload,omitempty"`
	// Edit changes the finished text, in this order. The edits are described in the README of package conformance.
	Edit []string `json:"edit,omitempty"`
	Raw  string   `json:"raw,omitempty"` // the whole field
}

// Answer is what a server may answer.
type Answer struct {
	Accept bool `json:"accept,omitempty"` // a status from 200 to 299
	Exact  int  `json:"exact,omitempty"`  // with copies: how many of them are accepted, no more and no fewer
	Closed bool `json:"closed,omitempty"` // no connection comes about
	Any    bool `json:"any,omitempty"`    // any status below 500: what counts are the checks, and that no handler runs
	// Status is any of these; empty and no Accept: anything below 500. With Accept these, without an error code, say that the
	// server has no such resource.
	Status []int    `json:"status,omitempty"`
	Error  []string `json:"error,omitempty"`  // any of these codes; empty: not looked at
	Checks []string `json:"checks,omitempty"` // further properties, by name
}

// Refuses reports whether nothing but a refusal is wanted.
func (a *Answer) Refuses() bool { return !a.Accept && !a.Any && !a.Closed && a.Exact == 0 }

// File is static.json.
type File struct {
	Schema  string   `json:"$schema"`
	Version string   `json:"version"`
	Vectors []Static `json:"vectors"`
}

// Version is that of static.json: the first number changes with the meaning of a member, the second with each member
// that is new.
const Version = "1.0"

// Static is one proof with its request, complete, for a library that verifies proofs without a server.
type Static struct {
	ID          string   `json:"id"`
	Requirement string   `json:"requirement"`
	RFC         string   `json:"rfc"`
	Level       string   `json:"level"`
	Title       string   `json:"title"`
	Clock       int64    `json:"clock"` // seconds since 1970, when the request arrives
	Method      string   `json:"method"`
	URL         string   `json:"url"`    // as the client sent it, with its query
	Token       string   `json:"token"`  // the access token
	Proofs      []string `json:"proofs"` // the DPoP fields
	Thumbprint  string   `json:"jkt"`    // the key to which the token is bound
	Accept      bool     `json:"accept"`
	Reason      string   `json:"reason,omitempty"` // for refusals, what is wrong
	Error       string   `json:"error,omitempty"`  // for refusals, the code for the client
}

// Keys are the fixed keys and certificates.
type Keys struct {
	Keys         []json.RawMessage `json:"keys"`         // private JWKs; kid is the name
	Certificates []Certificate     `json:"certificates"` // for clients
}

// Certificate is a client certificate with its key, PKCS #8; both are DER in base64.
type Certificate struct {
	Name        string `json:"name"`
	Certificate []byte `json:"certificate"`
	Key         []byte `json:"key"`
}

// All returns the cases in their order. The slice is the caller's; what it points to is shared.
func All() []Case { return append([]Case(nil), load().cases...) }

// Statics returns the proofs for libraries. The slice is the caller's.
func Statics() []Static { return append([]Static(nil), load().statics...) }

// Fixed returns the keys and certificates.
func Fixed() Keys { return load().keys }

type content struct {
	cases   []Case
	statics []Static
	keys    Keys
}

var load = sync.OnceValue(func() (c content) {
	var statics File
	for name, into := range map[string]any{"cases.json": &c.cases, "static.json": &statics, "keys.json": &c.keys} {
		text, err := vectors.Files().ReadFile(name)
		if err == nil && len(text) > 0 {
			err = json.Unmarshal(text, into)
		}
		if err != nil {
			panic("cases: " + name + ": " + err.Error()) // embedded, and tested
		}
	}
	c.statics = statics.Vectors
	return c
})
