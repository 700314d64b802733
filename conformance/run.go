// Package conformance asks a resource server, in any language, whether it accepts an access token only from the
// sender it was issued to: RFC 9449, RFC 8705 and the documents they lean on. The questions are data, in package
// vectors. [Run] asks a Go handler in process, [RunURL] any server over the network, and the command
// cmd/senderlock-conformance is RunURL for a shell. [TestReplayStore], [TestRevocationStore] and [TestRegister]
// are the contracts of stores.
//
// It shares no code with the packages that verify: of those it imports the interfaces of stores alone.
package conformance

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/conformance/internal/recipe"
	"github.com/senderlock/senderlock/conformance/vectors"
)

// Run asks a handler, each case in a subtest of t, and returns the report. The handler is served on loopback
// addresses; it must know itself as Options.Origin.
func Run(t *testing.T, handler http.Handler, options Options) *Report {
	t.Helper()
	report, err := runHandler(t.Context(), handler, options)
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range report.Results {
		t.Run(result.ID, func(t *testing.T) {
			switch result.Outcome {
			case Skip:
				t.Skip(result.Why)
			case Fail:
				t.Errorf("%s %s: %s\n%s%s", result.Requirement, result.Level, result.Title,
					strings.Join(result.Problems, "\n"), result.exchanges())
			case Warn:
				t.Logf("warning: %s %s: %s", result.Requirement, result.Title, strings.Join(result.Problems, "; "))
			}
		})
	}
	return report
}

func runHandler(ctx context.Context, handler http.Handler, options Options) (*Report, error) {
	if err := options.settle(true); err != nil {
		return nil, err
	}
	plain := httptest.NewServer(handler)
	defer plain.Close()
	options.URL = plain.URL + options.URL
	options.Endpoints = maps.Clone(options.Endpoints)
	if path, ok := options.Endpoints["mtls"]; ok {
		secure := httptest.NewUnstartedServer(handler)
		secure.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
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
	keys, certificates, err := recipe.Load(vectors.FixedKeys())
	if err != nil {
		return nil, err
	}
	r := &runner{options: &options, endpoints: endpoints, world: &recipe.World{
		Keys: keys, Certificates: certificates, Origin: endpoints[""].origin, Audience: options.Audience,
		Claims: options.Claims, Now: options.Now, Random: rand.Text,
	}}
	if options.Issuer != nil {
		r.world.Issuers, r.world.Opaque = options.Issuer.issuers(), options.Issuer.register
	} else {
		r.world.Issuers = map[string]recipe.Issuer{}
		r.world.Obtain = r.obtain(ctx)
	}
	report := &Report{Subject: options.URL, Profile: options.Profile, Started: time.Now()}
	if err := r.preflight(ctx); err != nil {
		return nil, err
	}
	report.Algorithms, report.NonceInForce = r.algorithms, r.force
	cases := r.chosen()
	if len(cases) == 0 {
		return nil, errors.New("conformance.Options: Groups and Only leave no case: none of Only is in Groups")
	}
	for n, c := range cases {
		if ctx.Err() != nil {
			return report, ctx.Err()
		}
		result := r.ask(ctx, &c)
		report.add(result)
		if options.Progress != nil {
			progress(options.Progress, n+1, len(cases), &result)
		}
	}
	report.Duration = time.Since(report.Started)
	return report, nil
}

// runner asks one server.
type runner struct {
	options    *Options
	endpoints  map[string]endpoint
	world      *recipe.World
	algorithms []string
	force      bool   // the server wants a nonce everywhere
	nonce      string // the last one it gave
}

// preflight sends one good request, and learns what the server says of itself.
func (r *runner) preflight(ctx context.Context) error {
	r.algorithms = r.options.Algorithms
	until := time.Now().Add(r.options.WarmUp)
	for {
		state := &recipe.State{JTI: rand.Text()}
		sent, err := r.world.Build(state, &vectors.Request{}, r.endpoints[""].EscapedPath(), false)
		if err != nil {
			return err
		}
		answer := r.exchange(ctx, r.endpoints[""].URL, sent, 1)[0]
		switch {
		case answer.err != nil:
			return fmt.Errorf("conformance: %s does not answer: %w", r.options.URL, answer.err)
		case answer.status/100 == 2:
			if err := r.settled(ctx); err != nil {
				return err
			}
			return r.learnAlgorithms(ctx)
		case !answer.asksForNonce():
			return fmt.Errorf("conformance: %s refuses a good request, so nothing can be learnt from its refusals; "+
				"it must trust the issuer %s for the audience %s and know itself as %s\n\n%s\n%s",
				r.options.URL, r.world.Issuers[""].URL, r.options.Audience, r.world.Origin,
				cut(bytesOf(sent), sent.Token), answer.show(sent.Token))
		case time.Now().After(until):
			r.force, r.nonce = true, answer.header.Get("DPoP-Nonce")
			return r.learnAlgorithms(ctx)
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

// settled waits until a server that has just started also takes proofs that are a little older than its start.
func (r *runner) settled(ctx context.Context) error {
	old := vectors.Request{Proof: &vectors.Proof{Claims: vectors.Members{"iat": json.RawMessage(`{"$raw":"${now-35}"}`)}}}
	for until := time.Now().Add(time.Minute); r.options.WarmUp > 0 && time.Now().Before(until); {
		sent, err := r.world.Build(&recipe.State{}, &old, r.endpoints[""].EscapedPath(), false)
		if err != nil {
			return err
		}
		if !r.exchange(ctx, r.endpoints[""].URL, sent, 1)[0].asksForNonce() {
			return nil
		}
		if err := r.pass(ctx, time.Second); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) learnAlgorithms(ctx context.Context) error {
	if r.algorithms != nil {
		return nil
	}
	sent, err := r.world.Build(&recipe.State{}, &vectors.Request{Without: []string{"authorization", "proof"}},
		r.endpoints[""].EscapedPath(), false)
	if err != nil {
		return err
	}
	r.algorithms = []string{"ES256"}
	for _, c := range r.exchange(ctx, r.endpoints[""].URL, sent, 1)[0].challenges {
		if algs := c.get("algs"); strings.EqualFold(c.scheme, "DPoP") && algs != "" {
			r.algorithms = strings.Fields(algs)
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
func (r *runner) chosen() []vectors.Case {
	return slices.DeleteFunc(vectors.Cases(), func(c vectors.Case) bool {
		return len(r.options.Groups) > 0 && !slices.Contains(r.options.Groups, c.Group) ||
			len(r.options.Only) > 0 && !slices.Contains(r.options.Only, c.ID)
	})
}

// missing says why a case cannot be asked, or nothing.
func (r *runner) missing(c *vectors.Case) string {
	if len(c.Profiles) > 0 && !slices.Contains(c.Profiles, string(r.options.Profile)) {
		return "not in the profile " + string(r.options.Profile)
	}
	if c.Slow && !r.options.Slow && r.options.Advance == nil {
		return "waits for the clock: run it with --slow"
	}
	for _, need := range c.Needs {
		alg, isAlg := strings.CutPrefix(need, "alg:")
		other, isOther := strings.CutPrefix(need, "not-alg:")
		switch {
		case slices.Contains(r.options.Lacks, need):
			return "the server lacks " + need
		case isAlg && !slices.Contains(r.algorithms, alg):
			return "the server does not offer " + alg
		case isOther && slices.Contains(r.algorithms, other):
			return "the server offers " + other
		case slices.Contains(endpointNames, need) && r.endpoints[need].URL == nil:
			return "there is no endpoint " + need
		case need == "issuer" && r.options.Issuer == nil:
			return "needs tokens of the suite's own issuer"
		case need == "iat" && r.force:
			return "the server goes by nonces and not by iat"
		}
	}
	return ""
}

// ask runs one case.
func (r *runner) ask(ctx context.Context, c *vectors.Case) Result {
	result := Result{
		ID: c.ID, Requirement: c.Requirement, Group: c.Group, Level: c.Level, Title: c.Title, Reason: c.Reason,
		Outcome: Pass,
	}
	if result.Why = r.missing(c); result.Why != "" {
		result.Outcome = Skip
		return result
	}
	begin := time.Now()
	state := &recipe.State{JTI: rand.Text(), Nonce: r.nonce, Force: r.force}
	var shown []func() Exchange
	for n := range c.Steps {
		sent, answer, problems, err := r.step(ctx, state, &c.Steps[n])
		if err != nil {
			problems = append(problems, err.Error())
		}
		if answer != nil {
			shown = append(shown, func() Exchange { return show(sent, answer) })
		}
		if len(problems) > 0 {
			if len(c.Steps) > 1 {
				problems[0] = fmt.Sprintf("step %d: %s", n+1, problems[0])
			}
			result.Problems = problems
			break
		}
	}
	result.Duration = time.Since(begin)
	if len(result.Problems) == 0 && c.Level != vectors.INFO {
		return result
	}
	for _, exchange := range shown {
		result.Exchanges = append(result.Exchanges, exchange())
	}
	switch {
	case len(result.Problems) == 0:
	case c.Level == vectors.INFO:
		result.Outcome = Note
	case c.Level == vectors.SHOULD && r.options.Profile != Strict:
		result.Outcome = Warn
	default:
		result.Outcome = Fail
	}
	return result
}

// step sends one request and judges the answers.
func (r *runner) step(
	ctx context.Context, state *recipe.State, s *vectors.Step,
) (*recipe.Sent, *response, []string, error) {
	if err := r.pass(ctx, time.Duration(s.Wait)*time.Second); err != nil {
		return nil, nil, nil, err
	}
	target := r.endpoints[s.Send.Endpoint]
	path := target.EscapedPath()
	world := *r.world
	world.Origin = target.origin
	sent, err := world.Build(state, &s.Send, path, s.Again)
	if err != nil {
		return nil, nil, nil, err
	}
	var before int64
	if r.options.Effects != nil {
		before = r.options.Effects()
	}
	if s.Outage != "" {
		r.options.Issuer.fail(s.Outage)
		defer r.options.Issuer.fail("")
	}
	answers := r.exchange(ctx, target.URL, sent, max(1, s.Copies))
	first := answers[0]
	for _, answer := range answers {
		if nonce := answer.header.Get("DPoP-Nonce"); nonce != "" {
			state.Nonce = nonce
			if r.force {
				r.nonce = nonce
			}
		}
	}
	want := &s.Base
	if r.options.Profile == Strict {
		want = &s.Strict
	}
	if want.Exact > 0 {
		accepted := 0
		for _, answer := range answers {
			if answer.err == nil && answer.status/100 == 2 {
				accepted++
			}
		}
		if accepted != want.Exact {
			return sent, first, []string{fmt.Sprintf("%d of %d were accepted, want %d", accepted, len(answers),
				want.Exact)}, nil
		}
		return sent, first, nil, nil
	}
	var problems []string
	for _, answer := range answers {
		problems = append(problems, r.judge(want, answer, sent)...)
	}
	if !want.Accept && r.options.Effects != nil && r.options.Effects() != before {
		problems = append(problems, "the handler ran although the request was refused")
	}
	return sent, first, slices.Compact(problems), nil
}

// show writes a request and its answer as they are shown.
func show(sent *recipe.Sent, answer *response) Exchange {
	text := strings.TrimRight(strings.ReplaceAll(bytesOf(sent), "\r", ""), "\n")
	return Exchange{Request: cut(text, sent.Token), Response: answer.show(sent.Token)}
}

// pass lets time pass.
func (r *runner) pass(ctx context.Context, d time.Duration) error {
	switch {
	case d == 0:
		return nil
	case r.options.Advance != nil:
		r.options.Advance(d)
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// judge compares an answer with what is wanted.
func (r *runner) judge(want *vectors.Answer, got *response, sent *recipe.Sent) []string {
	if want.Closed {
		if got.err == nil {
			return []string{fmt.Sprintf("answered with %d, although the connection must not come about", got.status)}
		}
		return nil
	}
	if got.err != nil {
		return []string{got.err.Error()}
	}
	var problems []string
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	codes := got.codes()
	switch {
	case want.Accept:
		if got.status/100 != 2 {
			say("status %d %s, want 2xx", got.status, strings.Join(codes, " "))
		}
	case got.status/100 == 2:
		say("status %d: accepted, although it must be refused", got.status)
	case len(want.Status) == 0 && got.status >= 500, len(want.Status) > 0 && !slices.Contains(want.Status,
		got.status):
		say("status %d, want %s", got.status, cmp.Or(strings.Trim(fmt.Sprint(want.Status), "[]"), "below 500"))
	case len(want.Error) > 0 && len(codes) == 0 && (r.options.Profile == Strict || slices.Contains(want.Error,
		"use_dpop_nonce")) &&
		got.status == http.StatusUnauthorized && sent.Method != http.MethodHead:
		say("no error code in WWW-Authenticate, want %s", strings.Join(want.Error, " or "))
	case len(want.Error) > 0 && len(codes) > 0 && !slices.ContainsFunc(codes,
		func(c string) bool { return slices.Contains(want.Error, c) }):
		say("error %s, want %s", strings.Join(codes, " "), strings.Join(want.Error, " or "))
	}
	for _, name := range want.Checks {
		check, ok := checks[name]
		if !ok {
			say("the suite has no check %q", name)
		} else if err := check(r, got, sent); err != nil {
			say("%v", err)
		}
	}
	return problems
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
			return "", err
		}
		tokens[name] = held{token, time.Now().Add(lifetime / 2)}
		return token, nil
	}
}
