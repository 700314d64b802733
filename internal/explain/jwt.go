package explain

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// JWT is a JWT as a reader sees it: without its signature, which alone makes it worth anything.
type JWT struct {
	Octets int             `json:"octets"`
	Header json.RawMessage `json:"header,omitempty"` // absent: it is none
	Claims json.RawMessage `json:"claims,omitempty"`
}

// Show decodes a JWT for a reader. Nothing is decided by it.
func Show(text string) *JWT {
	if text == "" {
		return nil
	}
	j := &JWT{Octets: len(text)}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return j
	}
	for i, to := range []*json.RawMessage{&j.Header, &j.Claims} {
		decoded, err := base64.RawURLEncoding.DecodeString(parts[i])
		var compact bytes.Buffer
		if err != nil || json.Compact(&compact, decoded) != nil || !bytes.HasPrefix(compact.Bytes(), []byte("{")) {
			j.Header, j.Claims = nil, nil
			return j
		}
		*to = compact.Bytes()
	}
	j.Header = withoutPrivate(j.Header)
	return j
}

// withoutPrivate hides the private members of a key (RFC 7518 §6) that should not have been sent. What is left is written
// anew in any case, since a member may be there twice.
func withoutPrivate(header json.RawMessage) json.RawMessage {
	var members map[string]json.RawMessage
	var key map[string]json.RawMessage
	if json.Unmarshal(header, &members) != nil || json.Unmarshal(members["jwk"], &key) != nil {
		return header
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		if _, ok := key[name]; ok {
			key[name] = json.RawMessage(`"…"`)
		}
	}
	members["jwk"], _ = json.Marshal(key) // of what was JSON before
	header, _ = json.Marshal(members)
	return header
}

// IssuedAt is the time at which a proof says that it was made.
func (j *JWT) IssuedAt() (at time.Time, ok bool) {
	var claims struct {
		IssuedAt *float64 `json:"iat"`
	}
	if j == nil || json.Unmarshal(j.Claims, &claims) != nil || claims.IssuedAt == nil {
		return time.Time{}, false
	}
	return time.Unix(int64(*claims.IssuedAt), 0), true
}

// Text is a string claim.
func (j *JWT) Text(claim string) string {
	var claims map[string]json.RawMessage
	var value string
	if j == nil || json.Unmarshal(j.Claims, &claims) != nil || json.Unmarshal(claims[claim], &value) != nil {
		return ""
	}
	return value
}

// Audience is the first value of aud.
func (j *JWT) Audience() string {
	if one := j.Text("aud"); one != "" {
		return one
	}
	var claims struct {
		Audience []string `json:"aud"`
	}
	if j == nil || json.Unmarshal(j.Claims, &claims) != nil || len(claims.Audience) == 0 {
		return ""
	}
	return claims.Audience[0]
}
