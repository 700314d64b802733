package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/anynonce"
	"github.com/senderlock/senderlock/internal/explain"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/revocation"
)

// inputs are what the page's reader edits: a request, and the server that gets it.
type inputs struct {
	Method      string `json:"method"`
	URL         string `json:"url"`
	Scheme      string `json:"scheme"` // empty: no Authorization
	Token       string `json:"token"`
	Proof       string `json:"proof"`       // empty: no DPoP
	Fields      string `json:"fields"`      // further ones, each in a line
	Certificate string `json:"certificate"` // in PEM; empty: none

	Now       time.Time `json:"now"`
	Scope     string    `json:"scope"`     // that the route demands
	Nonce     bool      `json:"nonce"`     // one is demanded
	Again     bool      `json:"again"`     // the same request came a moment ago
	TakenBack bool      `json:"takenBack"` // the token was
	Named     bool      `json:"named"`     // the server is the one that the request names, and its issuer's keys are unknown
}

// judge shows a request to a Guard that knows nothing of those before it, and returns its steps in its own order.
func (d *demo) judge(ctx context.Context, in inputs) (*explain.Report, error) {
	r, err := in.request()
	if err != nil {
		return nil, err
	}
	server := explain.Server{
		Config: access.Config{
			Origins: []string{origin}, Issuers: []access.Issuer{{URL: issuer, Audience: origin, JWKS: d.keySet()}},
			Certificates: mtls.FromTLS, RequireNonce: in.Nonce, Nonces: d.nonces(), KnownKeys: leastKnown, KnownTokens: leastKnown,
			Now: func() time.Time { return in.Now },
		},
		Need: access.Requirement{Scopes: strings.Fields(in.Scope)}, Remembers: true, Again: in.Again,
	}
	if in.Named {
		token := explain.Show(in.Token)
		server.Keyless, server.Config.Origins = true, []string{explain.OriginOf(r)}
		server.Config.Issuers = []access.Issuer{{URL: token.Text("iss"), Audience: token.Audience()}}
		server.Config.Nonces = dpop.Nonces{Secrets: [][]byte{anynonce.Secret}}
	}
	replay, err := dpop.NewMemory(dpop.MemoryConfig{MaxEntries: 2, Now: server.Config.Now})
	if err != nil {
		return nil, err
	}
	defer replay.Close()
	server.Config.Replay = replay
	if server.Config.Revocation, err = in.takenBack(ctx); err != nil {
		return nil, err
	}
	report, err := server.Judge(ctx, r)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(report.Steps, func(a, b explain.Outcome) int { return a.At - b.At })
	return report, nil
}

// leastKnown is how many keys and tokens a Guard remembers at least.
const leastKnown = 1000

// takenBack is the server's memory of tokens that were taken back, with the one of the request in it or not.
func (in inputs) takenBack(ctx context.Context) (revocation.Store, error) {
	store, err := revocation.NewMemory(revocation.Options{Capacity: 2, UseCapacity: 2, Now: func() time.Time { return in.Now }})
	if err != nil || !in.TakenBack {
		return store, err
	}
	token := explain.Show(in.Token)
	if token.Text("iss") == "" || token.Text("jti") == "" {
		return nil, errors.New("the token has no iss or no jti by which it could have been taken back")
	}
	return store, store.Revoke(ctx, revocation.Entry{Issuer: token.Text("iss"), By: revocation.ByToken, Value: token.Text("jti")})
}

// request is the request as a server reads it from the wire.
func (in inputs) request() (*http.Request, error) {
	u, err := url.Parse(in.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the URL is not an address such as https://api.example.com/accounts")
	}
	var wire strings.Builder
	fmt.Fprintf(&wire, "%s %s HTTP/1.1\r\nHost: %s\r\n", in.Method, u.RequestURI(), u.Host)
	if in.Scheme != "" {
		fmt.Fprintf(&wire, "Authorization: %s %s\r\n", in.Scheme, in.Token)
	}
	if in.Proof != "" {
		fmt.Fprintf(&wire, "DPoP: %s\r\n", in.Proof)
	}
	for _, part := range []struct{ name, text string }{
		{"method", in.Method}, {"scheme", in.Scheme}, {"token", in.Token}, {"proof", in.Proof},
	} {
		if strings.ContainsFunc(part.text, unicode.IsControl) {
			return nil, fmt.Errorf("the %s has a line break or another control character, which no field can carry", part.name)
		}
	}
	wire.WriteString(strings.TrimSpace(in.Fields))
	r, err := explain.ReadRequest(strings.NewReader(wire.String()))
	if err != nil {
		return nil, err
	}
	if in.Certificate != "" {
		if err := explain.WithCertificate(r, []byte(in.Certificate)); err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
	}
	return r, nil
}

// read takes a pasted request apart.
func read(text string) (inputs, error) {
	r, err := explain.ReadRequest(strings.NewReader(text))
	if err != nil {
		return inputs{}, err
	}
	in := inputs{Method: r.Method, Now: time.Now().UTC().Truncate(time.Second), Named: true, Proof: r.Header.Get("DPoP")}
	in.Scheme, in.Token = explain.Presented(r)
	in.URL = explain.OriginOf(r) + r.URL.RequestURI()
	if at, ok := explain.Show(in.Proof).IssuedAt(); ok {
		in.Now = at.UTC()
	}
	var more []string
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		values := r.Header[name]
		if name == "Authorization" || name == "Dpop" {
			values = values[1:]
		}
		for _, value := range values {
			more = append(more, name+": "+value)
		}
	}
	in.Fields = strings.Join(more, "\n")
	return in, nil
}
