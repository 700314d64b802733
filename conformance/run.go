// Package conformance asks a resource server, in any language, whether it accepts an access token only from the
// sender it was issued to: RFC 9449, RFC 8705 and the documents they lean on. The questions are data; what a library
// can be asked without a server is in vectors. [Run] asks a Go handler in process, [RunURL] any server over the network,
// and the command cmd/senderlock-conformance, as "senderlock conformance", is RunURL for a shell. The contracts of stores
// are in package storetest.
//
// It shares no code with the packages that verify.
package conformance

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/senderlock/senderlock/conformance/internal/cases"
	"github.com/senderlock/senderlock/conformance/internal/recipe"
	"github.com/senderlock/senderlock/internal/mint"
)

// Run asks a handler and returns what it answered. The handler is served on loopback addresses; it must know itself as
// Options.Origin. In a test, each of [Report.Failures] is an error:
//
//	report, err := conformance.Run(t.Context(), handler, options)
//	if err != nil {
//		t.Fatal(err)
//	}
//	for _, failure := range report.Failures() {
//		t.Error(failure)
//	}
func Run(ctx context.Context, handler http.Handler, options Options) (*Report, error) {
	if err := options.settle(true); err != nil {
		return nil, err
	}
	plain := httptest.NewUnstartedServer(handler)
	plain.Config.Protocols = new(http.Protocols)
	plain.Config.Protocols.SetHTTP1(true)
	plain.Config.Protocols.SetUnencryptedHTTP2(true)
	plain.Start()
	defer plain.Close()
	options.URL = plain.URL + options.URL
	options.Endpoints = maps.Clone(options.Endpoints)
	if path, ok := options.Endpoints["mtls"]; ok {
		certificate, _, err := NewCertificate("127.0.0.1") // httptest's own is RSA, and slow
		if err != nil {
			return nil, err
		}
		secure := httptest.NewUnstartedServer(handler)
		secure.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, Certificates: []tls.Certificate{*certificate}}
		secure.EnableHTTP2 = true
		secure.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that must fail
		secure.StartTLS()
		defer secure.Close()
		options.Endpoints["mtls"], options.InsecureTLS = secure.URL+path, true
	}
	return RunURL(ctx, options)
}

// RunURL asks a server over the network. The error says why it could not be asked at all; what it answered is in
// the report.
func RunURL(ctx context.Context, options Options) (*Report, error) {
	if err := options.settle(false); err != nil {
		return nil, err
	}
	endpoints, err := options.resolve()
	if err != nil {
		return nil, err
	}
	keys := fixed()
	if keys.err != nil {
		return nil, keys.err
	}
	r := &runner{options: &options, endpoints: endpoints, world: &recipe.World{
		Keys: keys.keys, Certificates: keys.certificates, Origin: endpoints[""].origin, Audience: options.Audience,
		Claims: options.Claims, Now: options.Now, Random: rand.Text, Metadata: wellKnown,
	}}
	if options.Issuer != nil {
		r.world.Issuers, r.world.Opaque = options.Issuer.issuers(), options.Issuer.register
	} else {
		r.world.Issuers = map[string]recipe.Issuer{}
		r.world.Obtain = r.obtain(ctx)
	}
	report := &Report{Subject: options.URL, Profile: options.Profile, HTTP2: options.HTTP2, Shuffle: options.Shuffle,
		Started: time.Now()}
	if err := r.preflight(ctx); err != nil {
		return nil, err
	}
	report.Algorithms, report.NonceInForce = r.algorithms, r.force
	chosen := r.chosen()
	if len(chosen) == 0 {
		return nil, errors.New("conformance.Options: Groups and Only leave no case: none of Only is in Groups")
	}
	results := make([]Result, len(chosen))
	for n, i := range r.order(len(chosen)) {
		if ctx.Err() != nil {
			return report, ctx.Err()
		}
		results[i] = r.run(ctx, chosen[i])
		if options.Progress != nil {
			progress(options.Progress, n+1, len(chosen), &results[i])
		}
	}
	for i := range results {
		report.add(results[i])
	}
	report.Duration = time.Since(report.Started)
	return report, nil
}

// fixed are the keys of the vectors, which nobody changes.
var fixed = sync.OnceValue(func() (f struct {
	keys         map[string]*mint.Key
	certificates map[string]tls.Certificate
	err          error
}) {
	f.keys, f.certificates, f.err = recipe.Load(cases.Fixed())
	return f
})

// order is the order in which n cases are asked.
func (r *runner) order(n int) []int {
	if r.options.Shuffle != 0 {
		return mathrand.New(mathrand.NewPCG(r.options.Shuffle, 0)).Perm(n) // to be repeated
	}
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// runner asks one server.
type runner struct {
	options    *Options
	endpoints  map[string]endpoint
	world      *recipe.World
	algorithms []string // nil: the server does not say
	force      bool     // the server wants a nonce everywhere
	nonce      string   // the last one it gave
	good       string   // the body of a good answer
}

// preflight sends one good request, and learns what the server says of itself.
func (r *runner) preflight(ctx context.Context) error {
	r.algorithms = r.options.Algorithms
	until := time.Now().Add(r.options.WarmUp)
	for {
		state := &recipe.State{JTI: rand.Text()}
		sent, answer, err := r.send(ctx, state, cases.Request{})
		if err != nil {
			return err
		}
		switch {
		case answer.err != nil:
			return fmt.Errorf("conformance: %s does not answer: %w", r.options.URL, answer.err)
		case answer.status/100 == 2:
			r.good = answer.body
			if err := r.warmUp(ctx); err != nil {
				return err
			}
			return r.learn(ctx)
		case !answer.asksForNonce():
			return fmt.Errorf("conformance: %s refuses a good request, so nothing can be learnt from its refusals; "+
				"it must trust the issuer %s for the audience %s and know itself as %s "+
				"(--audience and --origin name others, as do Options.Audience and Origin)%s\n\n%s\n\n%s",
				r.options.URL, r.world.Issuers[""].URL, r.options.Audience, r.world.Origin, advice(answer),
				cut(bytesOf(sent), sent.Secrets), answer.show(sent.Secrets))
		case time.Now().After(until):
			r.force, r.nonce = true, answer.header.Get("DPoP-Nonce")
			return r.learn(ctx)
		}
		if r.options.Advance != nil {
			r.options.Advance(15 * time.Second)
			until = time.Time{}
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// advice is what may help a server that refuses the first request.
func advice(p *response) string {
	if !slices.Contains(p.codes(), "insufficient_scope") {
		return ""
	}
	scope := "…"
	for _, c := range p.challenges {
		if text := c.get("scope"); text != "" {
			scope = text
		}
	}
	return visible(fmt.Sprintf("; it wants a scope: give --claims '{\"scope\":%q}' and --lacks scopeless (Options.Claims and "+
		"Options.Lacks)", scope))
}

// send sends one request to the main resource.
func (r *runner) send(ctx context.Context, state *recipe.State, q cases.Request) (*recipe.Sent, *response, error) {
	sent, err := r.build(state, &cases.Step{Send: q}, r.endpoints[""])
	if err != nil {
		return nil, nil, err
	}
	answers, err := r.exchange(ctx, r.endpoints[""].URL, sent, 1)
	if err != nil {
		return nil, nil, err
	}
	return sent, answers[0], nil
}

// warmUp waits until a server that has just started also takes proofs that are a little older than its start.
func (r *runner) warmUp(ctx context.Context) error {
	old := cases.Request{Proof: &cases.Proof{Claims: cases.Members{"iat": json.RawMessage(`{"$raw":"${now-35}"}`)}}}
	for until := time.Now().Add(time.Minute); r.options.WarmUp > 0 && time.Now().Before(until); {
		_, answer, err := r.send(ctx, &recipe.State{}, old)
		if err != nil || !answer.asksForNonce() {
			return err
		}
		if err := r.pass(ctx, time.Second); err != nil {
			return err
		}
	}
	return nil
}

// wellKnown is where the metadata of an origin is (RFC 9728 §3).
const wellKnown = "/.well-known/oauth-protected-resource"

// learn reads what the challenge says of the server: its algorithms, and where its metadata is.
func (r *runner) learn(ctx context.Context) error {
	_, answer, err := r.send(ctx, &recipe.State{}, cases.Request{Without: []string{"authorization", "proof"}})
	if err != nil {
		return err
	}
	for _, c := range answer.challenges {
		if algs := c.get("algs"); r.options.Algorithms == nil && strings.EqualFold(c.scheme, "DPoP") && algs != "" {
			r.algorithms = strings.Fields(algs)
		}
		u, err := url.Parse(c.get("resource_metadata"))
		if err == nil && strings.HasPrefix(u.String(), r.world.Origin+wellKnown) {
			r.world.Metadata = u.EscapedPath()
		}
	}
	return nil
}

func (p *response) asksForNonce() bool {
	return p.status == http.StatusUnauthorized && slices.Contains(p.codes(), "use_dpop_nonce")
}

// codes are the errors of all challenges.
func (p *response) codes() []string {
	var codes []string
	for _, c := range p.challenges {
		if code := c.get("error"); code != "" {
			codes = append(codes, code)
		}
	}
	return codes
}

// chosen are the cases that the options name.
func (r *runner) chosen() (list []*question) {
	for i := range questions() {
		q := &questions()[i]
		if (len(r.options.Groups) == 0 || slices.Contains(r.options.Groups, q.Group)) &&
			(len(r.options.Only) == 0 || slices.Contains(r.options.Only, q.ID)) {
			list = append(list, q)
		}
	}
	return list
}

// missing says why a case cannot be asked, or nothing.
func (r *runner) missing(c *cases.Case) string {
	if len(c.Profiles) > 0 && !slices.Contains(c.Profiles, string(r.options.Profile)) {
		return "not in the profile " + string(r.options.Profile) + ": --profile " + c.Profiles[0] + " asks it"
	}
	if c.Slow && !r.options.Slow && r.options.Advance == nil {
		return "it waits for the clock: --slow asks it"
	}
	for _, need := range c.Needs {
		if need == "flood" && r.options.Flood < 0 {
			return "no flood is wanted: --flood asks it"
		}
		alg, isAlg := strings.CutPrefix(need, "alg:")
		other, isOther := strings.CutPrefix(need, "not-alg:")
		switch {
		case slices.Contains(r.options.Lacks, need):
			return "the server lacks " + need + ": without it in --lacks it is asked"
		case (isAlg || isOther) && r.algorithms == nil && need != "alg:ES256":
			return "the server's challenge has no algs: --algs asks it"
		case isAlg && r.algorithms != nil && !slices.Contains(r.algorithms, alg):
			return "the server does not offer " + alg
		case isOther && slices.Contains(r.algorithms, other):
			return "the server offers " + other
		case slices.Contains(endpointNames, need) && r.endpoints[need].URL == nil:
			return "there is no endpoint " + need + ": --" + need + "-url asks it"
		case need == "issuer" && r.options.Issuer == nil:
			return "needs tokens of the suite's own issuer: without --token-endpoint it is asked"
		case need == "iat" && r.force:
			return "the server goes by nonces and not by iat"
		}
	}
	return ""
}

var errNoTokens = errors.New("conformance: no tokens")

// obtain gets one token for each key and keeps it until shortly before it expires.
func (r *runner) obtain(ctx context.Context) func(string) (string, error) {
	type held struct {
		token string
		until time.Time
	}
	tokens := map[string]held{}
	return func(name string) (string, error) {
		if h, ok := tokens[name]; ok && time.Now().Before(h.until) {
			return h.token, nil
		}
		key := r.world.Keys[name]
		if key == nil {
			return "", fmt.Errorf("%w: bound to no key", errNoTokens)
		}
		token, lifetime, err := r.options.Tokens(ctx, ProofKey{key})
		if err != nil {
			return "", fmt.Errorf("%w: %w", errNoTokens, err)
		}
		tokens[name] = held{token, time.Now().Add(lifetime / 2)}
		return token, nil
	}
}
