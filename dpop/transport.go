package dpop

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/senderlock/senderlock/internal/challenge"
	"github.com/senderlock/senderlock/internal/setting"
)

// The defaults of a [TransportConfig], and its bounds.
const (
	// DefaultMaxKept is the default of [TransportConfig.MaxKept], in octets.
	DefaultMaxKept = 64 << 10
	// maxClockDifference is the largest difference that a [Transport] learns from a server. It covers every mistake
	// about time zones; beyond it a server's Date is not believed, so that it cannot have proofs made for years ahead.
	maxClockDifference = 24 * time.Hour

	// Date counts whole seconds and travels a while, so what is below cannot be told from agreement.
	clockResolution = 2 * time.Second

	maxNonceLength = 2 << 10 // octets; more would not pass as part of a field everywhere
	maxPriming     = 30 * time.Second
)

// The error codes that a client can do something about (RFC 9449 §5, §7.1, §8 and §9).
const (
	codeUseNonce     = "use_dpop_nonce"
	codeInvalidProof = "invalid_dpop_proof"
)

// TransportConfig are the settings of a [Transport].
type TransportConfig struct {
	// Signer makes the proofs. Required.
	Signer *Signer
	// Origins are the origins that receive the token and proofs, such as "https://api.example.com". Required. A
	// request to another origin, by redirect too, is sent as it is. A request whose Host differs from the host of
	// its URL needs both on the list.
	Origins []string
	// Token returns the access token for a request; its error fails the request. Where tokens are for one audience,
	// all Origins must be of that audience. Nil leaves Authorization alone: a token that stands there already, as DPoP
	// or Bearer, is one that the proof is made for, and otherwise the proof goes without a token.
	Token func(context.Context) (string, error)

	// Base sends the requests. Nil means [http.DefaultTransport].
	Base http.RoundTripper
	// MaxKept is the largest body, in octets, that is read into memory before it is sent, so that it can be sent
	// again, if the request has no GetBody. Zero means 64 KiB, less than zero keeps none.
	MaxKept int64
	// InsecureAllowHTTP permits origins of scheme http beyond this host: whoever listens there learns the token and
	// can alter requests, though not use the token without a proof.
	InsecureAllowHTTP bool
	// Now is the clock. Nil means [time.Now].
	Now func() time.Time
}

// Transport is an [http.RoundTripper] that sends an access token with a fresh DPoP proof in each request to the
// listed origins (RFC 9449 §7.1 and §9), or without a token source the proof alone, as authorization servers want
// it at the token endpoint (§5 and §8). Make one with [NewTransport]; it is safe for concurrent use.
//
// It remembers the newest nonce of each origin, from any response. When a server asks for a nonce the request is
// sent once more with it, and likewise when a server refuses a proof and its Date shows that our clock is wrong by
// up to a day; never twice, and only if its body can be sent again: there is none, the request has
// GetBody, or its ContentLength is known and at most MaxKept. Any other body is never kept; the response then says
// what the server wants, and [Transport.Prime] beforehand avoids it. The clock is only corrected by a server that
// refused, for that server alone: as long as proofs are accepted, our own clock is good enough.
//
// When a connection dies, net/http may send a GET request, or one with an Idempotency-Key, again by itself, with the
// proof that the server may have seen. If that is refused for its proof, the request is sent once more with a new one.
//
// How long an answer may take is for the caller to say, by the request's context or [http.Client.Timeout]. What a
// Transport itself reads, the beginning of the body of an error, is bounded in octets and time.
//
// Nonces belong to one server and one purpose, so use one Transport for the authorization server and another for
// the resource server, with the same Signer.
type Transport struct {
	config TransportConfig  // complete
	peers  map[string]*peer // by origin; not written any more
}

// peer is what is known of one origin.
type peer struct {
	nonce atomic.Pointer[string]
	ahead atomic.Int64 // nanoseconds by which its clock is ahead of ours
}

// NewTransport checks the settings and makes a Transport. Its error names the field and what to put there.
func NewTransport(config TransportConfig) (*Transport, error) {
	t := &Transport{config: config, peers: map[string]*peer{}}
	if err := t.settle(); err != nil {
		return nil, fmt.Errorf("dpop.TransportConfig: %w", err)
	}
	return t, nil
}

func (t *Transport) settle() error {
	if t.config.Signer == nil || t.config.Signer.key == nil {
		return errors.New("Signer is nil or its zero value: make one with dpop.NewSigner")
	}
	if len(t.config.Origins) == 0 {
		return errors.New("Origins is empty: list the servers that the token is for, such as https://api.example.com")
	}
	for _, s := range t.config.Origins {
		u, err := parseURI(s)
		if err != nil || u.path != "/" || strings.ContainsAny(s, "?#") {
			return fmt.Errorf("Origins has %s: give scheme and host alone, such as https://api.example.com", setting.Address(s))
		}
		if !t.config.InsecureAllowHTTP && !confidential(u.origin) {
			return fmt.Errorf("Origins has %s: use https, or set InsecureAllowHTTP to send tokens in the clear", setting.Address(s))
		}
		t.peers[u.origin] = &peer{}
	}
	if t.config.Base == nil {
		t.config.Base = http.DefaultTransport
	}
	t.config.MaxKept = cmp.Or(t.config.MaxKept, DefaultMaxKept)
	if t.config.Now == nil {
		t.config.Now = time.Now
	}
	return nil
}

// confidential reports whether nobody on the network can read what is sent to an origin.
func confidential(origin string) bool {
	scheme, authority, _ := strings.Cut(origin, "://")
	host, _, _ := splitHostPort(authority)
	return scheme == "https" || setting.Loopback(strings.Trim(host, "[]"))
}

// RoundTrip sends a request as described at [Transport]. Apart from the errors of Token, Signer and the request's
// body, which are wrapped, errors are those of Base.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	e, err := t.begin(req)
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	if e == nil {
		return t.config.Base.RoundTrip(req)
	}
	resp, curable, err := e.send(e.req.Body)
	if !curable {
		return resp, err
	}
	body, again := e.bodyAgain()
	if !again {
		return resp, nil
	}
	discard(resp.Body)
	resp, _, err = e.send(body)
	return resp, err
}

// Prime sends a GET request for a URL of a listed origin to learn a nonce there, for instance before an upload
// whose body can be sent only once. The answer may have any status, and a server that asks for no nonces leaves
// none; neither is an error. A server that does not answer within 30 s is one.
func (t *Transport) Prime(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, maxPriming)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("dpop.Transport.Prime: %w", err)
	}
	e, err := t.begin(req)
	if err != nil {
		return err
	}
	if e == nil {
		return errors.New("dpop.Transport.Prime: the URL is not of one of the Origins")
	}
	resp, _, err := e.send(nil)
	if err != nil {
		return err
	}
	discard(resp.Body)
	return nil
}

// exchange is one request to a listed origin, sent once or twice.
type exchange struct {
	*Transport
	peer   *peer
	req    *http.Request
	method string
	target string
	token  string
}

// begin prepares a request, without changing it. It returns nil for one to an origin that is not listed.
func (t *Transport) begin(req *http.Request) (*exchange, error) {
	p, target := t.locate(req)
	if p == nil {
		return nil, nil
	}
	e := &exchange{Transport: t, peer: p, req: req, method: req.Method, target: target}
	if e.method == "" {
		e.method = http.MethodGet
	}
	if err := e.fetchToken(); err != nil {
		return nil, fmt.Errorf("dpop.Transport: access token: %w", err)
	}
	if err := e.keepBody(); err != nil {
		return nil, fmt.Errorf("dpop.Transport: request body: %w", err)
	}
	return e, nil
}

// locate returns the peer that the connection of a request leads to, and the URI that its server will see. The
// peer is nil if either is not on the list.
func (t *Transport) locate(req *http.Request) (*peer, string) {
	if req.URL == nil {
		return nil, ""
	}
	to := originOf(req.URL.Scheme, req.URL.Host)
	named := to
	if req.Host != "" {
		named = originOf(req.URL.Scheme, req.Host)
	}
	if t.peers[named] == nil {
		return nil, ""
	}
	return t.peers[to], named + req.URL.EscapedPath()
}

// originOf encodes an international host name as net/http does when it sends it. What has no origin gets one that is on no
// list.
func originOf(scheme, host string) string {
	ascii, _ := httpguts.PunycodeHostPort(host) // empty for what is no name
	name, port, _ := splitHostPort(ascii)       // and so is the name of what is none
	return joinOrigin(strings.ToLower(scheme), name, port)
}

func (e *exchange) fetchToken() (err error) {
	if e.config.Token == nil {
		return e.presentedToken()
	}
	if e.token, err = e.config.Token(e.req.Context()); err != nil {
		return err
	}
	switch {
	case e.token == "":
		return errors.New("Token returned an empty one, and no error")
	case !challenge.IsToken68(e.token):
		return errors.New("what Token returned has characters that none has, such as the line break at the end of a file")
	}
	return nil
}

// presentedToken finds the token that somebody else has put into the request, such as golang.org/x/oauth2: whatever
// the scheme, a proof beside an access token is made for it (RFC 9449 §4.2).
func (e *exchange) presentedToken() error {
	for _, field := range e.req.Header.Values("Authorization") {
		scheme, token, _ := strings.Cut(field, " ")
		if !strings.EqualFold(scheme, "DPoP") && !strings.EqualFold(scheme, "Bearer") {
			continue
		}
		if e.token = strings.TrimLeft(token, " "); !challenge.IsToken68(e.token) {
			return errors.New("the request's Authorization has no access token: set Token, or leave the field away")
		}
	}
	return nil
}

// keepBody gives a request with a small body of known length the means to send it again. Bodies of unknown length
// may depend on the response, so waiting for their end could wait for ever.
func (e *exchange) keepBody() error {
	r := e.req
	if r.Body == nil || r.GetBody != nil || r.ContentLength <= 0 || r.ContentLength > e.config.MaxKept {
		return nil
	}
	// One octet more shows net/http a body that is longer than it says, which it refuses.
	kept, err := io.ReadAll(io.LimitReader(r.Body, r.ContentLength+1))
	if err != nil {
		return err
	}
	r.Body.Close()
	e.req = r.WithContext(r.Context())
	e.req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(kept)), nil }
	e.req.Body, _ = e.req.GetBody() // ours, which never fails
	return nil
}

// bodyAgain returns the body for sending the request a second time, if there is a way to have it.
func (e *exchange) bodyAgain() (io.ReadCloser, bool) {
	if e.req.Body == nil || e.req.Body == http.NoBody {
		return e.req.Body, true
	}
	if e.req.GetBody == nil {
		return nil, false
	}
	body, err := e.req.GetBody()
	return body, err == nil
}

// send makes a proof and sends the request with it. It learns from the response, and reports whether a second
// proof would say something that could make the difference.
func (e *exchange) send(body io.ReadCloser) (resp *http.Response, curable bool, err error) {
	nonce, ahead := "", time.Duration(e.peer.ahead.Load())
	if n := e.peer.nonce.Load(); n != nil {
		nonce = *n
	}
	proof, err := e.config.Signer.Sign(ProofOptions{
		Method: e.method, URL: e.target, AccessToken: e.token, Nonce: nonce, IssuedAt: e.config.Now().Add(ahead),
	})
	if err != nil {
		if body != nil {
			body.Close()
		}
		return nil, false, err
	}
	var tries atomic.Int32
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { tries.Add(1) }}
	// Not Clone, which would cut the tie to trailers that are filled in while the body is read.
	signed := e.req.WithContext(httptrace.WithClientTrace(e.req.Context(), trace))
	signed.Body = body
	if signed.Header = e.req.Header.Clone(); signed.Header == nil {
		signed.Header = http.Header{}
	}
	signed.Header.Set("DPoP", proof)
	if e.config.Token != nil {
		signed.Header.Set("Authorization", "DPoP "+e.token)
	}
	if resp, err = e.config.Base.RoundTrip(signed); err != nil {
		return resp, false, err
	}
	supplied := e.peer.learnNonce(resp.Header)
	if resp.StatusCode != http.StatusUnauthorized && resp.StatusCode != http.StatusBadRequest {
		return resp, false, nil
	}
	switch ErrorCode(resp) {
	case codeUseNonce:
		// A server may judge iat as well, and there is no third try.
		e.peer.learnClock(resp.Header, e.config.Now(), ahead)
		curable = supplied != "" && supplied != nonce
	case codeInvalidProof:
		// What net/http has sent again on another connection, it may repeat.
		curable = e.peer.learnClock(resp.Header, e.config.Now(), ahead) || tries.Load() > 1
	}
	return resp, curable, nil
}

// learnNonce remembers the nonce that a response supplies, if there is exactly one, and returns it.
func (p *peer) learnNonce(h http.Header) string {
	fields := h.Values("DPoP-Nonce")
	if len(fields) != 1 || len(fields[0]) > maxNonceLength || !validNonce(fields[0]) {
		return ""
	}
	nonce := strings.Clone(fields[0])
	p.nonce.Store(&nonce)
	return nonce
}

// learnClock compares the server's clock with ours and reports whether proofs will now bear another time than the
// one that was just refused.
func (p *peer) learnClock(h http.Header, now time.Time, used time.Duration) bool {
	date, _ := http.ParseTime(h.Get("Date")) // the year 1 for what is none
	ahead := date.Sub(now)
	switch {
	case ahead.Abs() > maxClockDifference:
		return false
	case ahead.Abs() < clockResolution:
		ahead = 0
	}
	p.ahead.Store(int64(ahead))
	return (ahead - used).Abs() >= clockResolution
}
