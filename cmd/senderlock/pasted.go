package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// maxPasted bounds a request that is explained, in octets.
const maxPasted = 1 << 20

// httpVersion is what tools show of versions beyond the first; to http.ReadRequest they are all the same.
var httpVersion = regexp.MustCompile(`(?m)\A(\S+ \S+)(?: HTTP/[0-9.]+)?[ \t\r]*$`)

// readRequest reads a request as it goes over the wire, as curl -v shows it, or as browsers copy it.
func readRequest(in io.Reader) (*http.Request, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxPasted+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxPasted {
		return nil, fmt.Errorf("the request is larger than %d octets", maxPasted)
	}
	if text = bytes.TrimLeft(text, " \t\r\n"); len(text) == 0 {
		return nil, errors.New("there is nothing on the standard input: paste a request, or give the URL and --proof-file")
	}
	text = unquoted(text)
	text = httpVersion.ReplaceAll(text, []byte("$1 HTTP/1.1"))
	r, err := http.ReadRequest(bufio.NewReader(io.MultiReader(bytes.NewReader(text), strings.NewReader("\r\n\r\n"))))
	if err != nil {
		// The error quotes what it did not understand, which may be a secret.
		return nil, errors.New("the standard input is not a request: it begins with a line such as " +
			"\"GET /accounts HTTP/1.1\", and fields such as \"Host: api.example.com\" follow, each in one line")
	}
	if r.Host == "" {
		return nil, errors.New("the request has no Host")
	}
	return r, nil
}

// unquoted takes away what curl -v puts in front of the lines that it sends, and all other lines.
func unquoted(text []byte) []byte {
	if !bytes.HasPrefix(text, []byte("> ")) && !bytes.Contains(text, []byte("\n> ")) {
		return text
	}
	var sent bytes.Buffer
	for line := range bytes.Lines(text) {
		if line, ok := bytes.CutPrefix(line, []byte(">")); ok {
			sent.Write(bytes.TrimPrefix(line, []byte(" ")))
		}
	}
	return sent.Bytes()
}

// madeUp is the request that flags describe.
func madeUp(method, address, token, proof string) (*http.Request, error) {
	u, err := addressOf(address)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequest(method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	r.RequestURI = u.RequestURI()
	if token != "" && proof == "" {
		r.Header.Set("Authorization", "Bearer "+token)
	} else if token != "" {
		r.Header.Set("Authorization", "DPoP "+token)
	}
	if proof != "" {
		r.Header.Set("DPoP", proof)
	}
	return r, nil
}

// shownJWT is a JWT as a reader sees it: without its signature, which alone makes it worth anything.
type shownJWT struct {
	Octets int             `json:"octets"`
	Header json.RawMessage `json:"header,omitempty"` // absent: it is none
	Claims json.RawMessage `json:"claims,omitempty"`
}

// show decodes a JWT for a reader. Nothing is decided by it.
func show(text string) *shownJWT {
	if text == "" {
		return nil
	}
	j := &shownJWT{Octets: len(text)}
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

// issuedAt is the time at which a proof says that it was made.
func (j *shownJWT) issuedAt() (at time.Time, ok bool) {
	var claims struct {
		IssuedAt *float64 `json:"iat"`
	}
	if j == nil || json.Unmarshal(j.Claims, &claims) != nil || claims.IssuedAt == nil {
		return time.Time{}, false
	}
	return time.Unix(int64(*claims.IssuedAt), 0), true
}

// text is a string claim.
func (j *shownJWT) text(claim string) string {
	var claims map[string]json.RawMessage
	var value string
	if j == nil || json.Unmarshal(j.Claims, &claims) != nil || json.Unmarshal(claims[claim], &value) != nil {
		return ""
	}
	return value
}

// audience is the first value of aud.
func (j *shownJWT) audience() string {
	if one := j.text("aud"); one != "" {
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

// presented is the access token of a request, for a reader.
func presented(r *http.Request) (scheme, token string) {
	scheme, token, _ = strings.Cut(r.Header.Get("Authorization"), " ")
	return scheme, strings.TrimLeft(token, " ")
}

// targetOf is the address of a request without its query, which may hold secrets.
func targetOf(r *http.Request) string {
	path, _, queried := strings.Cut(r.RequestURI, "?")
	if u, err := url.Parse(r.RequestURI); err == nil && u.Host != "" {
		path = u.EscapedPath()
	}
	if queried {
		path += "?…"
	}
	return r.Host + path
}
