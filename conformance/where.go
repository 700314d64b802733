package conformance

import (
	"strings"

	"github.com/senderlock/senderlock/conformance/internal/cases"
)

// places say where a server decides what the cases of a group are about.
var places = map[string]string{
	"field":         "where the DPoP field is read and taken apart: one field, three parts, base64url, strict JSON",
	"header":        "where the header of the proof is read: typ, alg, jwk, crit",
	"key":           "where the jwk becomes a key: its type, curve, lengths and purpose, before anything is computed with it",
	"signature":     "where the signature is verified under the jwk, with the octets as they came",
	"claims":        "where the claims of the proof are read: there, of the right type, by their exact names",
	"method":        "where htm is compared with the method of the request line",
	"uri":           "where htu is compared with the origin and path of this request; the origin comes from configuration",
	"paths":         "where htu is compared with the path as it came over the wire, not as a router or proxy rewrote it",
	"time":          "where iat, exp and nbf of the proof are compared with the clock",
	"ath":           "where ath is compared with the hash of the token as it came, whole",
	"binding":       "where the thumbprint of the proof's key is compared with cnf.jkt of the token, whole",
	"credentials":   "where the Authorization field is read, and where tokens are taken from elsewhere",
	"challenge":     "where refusals are written: status, WWW-Authenticate, DPoP-Nonce",
	"replay":        "where the jti of a proof is remembered: until when, by which key, in one step, for every kind of request",
	"nonce":         "where nonces are made, verified and demanded",
	"token":         "where the access token is verified: signature, typ, iss, aud, exp",
	"dependency":    "what happens when keys or introspection do not answer; a server that does not trust the issuer of the case lacks down",
	"scope":         "where scopes are compared: each whole, with the case of its letters",
	"stepup":        "where acr and auth_time are compared",
	"bearer":        "where an unbound token is let in: a token with cnf is never one",
	"mtls":          "where the certificate of the connection is compared with cnf.x5t#S256",
	"certproxy":     "where the proxy's field with the certificate is read: from whom, how often, in which form",
	"introspection": "where the answer of introspection is read: active, iss, aud, cnf, token_type",
	"metadata":      "the metadata document of the resource",
	"known":         "what is kept of a token that was accepted: it must be compared with this request's key, text and route again",
	"proxy":         "which fields may move the origin, and from whom they are believed",
	"robustness":    "what an absurd input costs",
	"fapi2":         "the settings of the FAPI 2.0 profile",
}

// whereToLook says where to look when a case fails.
func whereToLook(c *cases.Case, warm bool) string {
	text := places[c.Group]
	if warm {
		text += "; the same was accepted in order just before: what is kept of that (a token, a key, a header) may answer here"
	}
	if text == "" {
		return ""
	}
	return "Look at " + strings.TrimSuffix(text, ".") + "."
}
