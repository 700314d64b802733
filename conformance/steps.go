package conformance

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/senderlock/senderlock/conformance/internal/cases"
	"github.com/senderlock/senderlock/conformance/internal/recipe"
)

// warmSuffix is behind the ID of a case that is asked after its token, key and fields were accepted.
const warmSuffix = "@warm"

// question is a case as it is asked.
type question struct {
	cases.Case
	warm bool
}

// questions are the cases in their order, each with its warm form behind it. Nobody changes them.
var questions = sync.OnceValue(func() (list []question) {
	for _, c := range cases.All() {
		list = append(list, question{Case: c})
		if c.Warm {
			c.ID += warmSuffix
			list = append(list, question{c, true})
		}
	}
	return list
})

// skipped is the reason why a case could not be asked: something went wrong before what it is about.
type skipped struct{ why string }

func (s *skipped) Error() string { return s.why }

// run sends the requests of one case.
func (r *runner) run(ctx context.Context, q *question) Result {
	result := Result{
		ID: q.ID, Requirement: q.Requirement, RFC: q.RFC, Group: q.Group, Level: q.Level, Title: q.Title, Reason: q.Reason,
		Wanted: wanted(&q.Case), Outcome: Pass,
	}
	if q.warm {
		result.Title += ", after the same was accepted in order"
	}
	if result.Why = r.missing(&q.Case); result.Why != "" {
		result.Outcome = Skip
		return result
	}
	begin := time.Now()
	exchanges, problems, err := r.steps(ctx, q)
	result.Duration = time.Since(begin)
	if skip, ok := errors.AsType[*skipped](err); ok {
		result.Outcome, result.Why = Skip, skip.why
		return result
	}
	if err != nil {
		problems = append(problems, visible(err.Error()))
	}
	result.Problems = problems
	if len(problems) == 0 && q.Level != cases.INFO {
		return result
	}
	for _, show := range exchanges {
		result.Exchanges = append(result.Exchanges, show())
	}
	switch {
	case len(problems) == 0:
	case q.Level == cases.INFO:
		result.Outcome = Note
	case q.Level == cases.SHOULD && r.options.Profile != Strict:
		result.Outcome = Warn
	default:
		result.Outcome = Fail
	}
	if result.Outcome != Note {
		result.Look = whereToLook(&q.Case, q.warm)
	}
	return result
}

// wanted says in a word what the last step wants.
func wanted(c *cases.Case) string {
	switch last := &c.Steps[len(c.Steps)-1].Strict; {
	case last.Exact > 0:
		return fmt.Sprintf("%d accepted", last.Exact)
	case last.Accept:
		return "accepted"
	case last.Any:
		return "not the resource"
	}
	return "refused"
}

// steps sends the requests of a case one after the other, until one is not answered as it should be.
func (r *runner) steps(ctx context.Context, q *question) (shown []func() Exchange, problems []string, err error) {
	state := &recipe.State{JTI: rand.Text(), Nonce: r.nonce, Force: r.force}
	list := q.Steps
	if q.warm {
		state.TokenID, state.Issued = rand.Text(), r.options.Now()
		last, err := r.warm(ctx, state, &q.Steps[0])
		if err != nil {
			return nil, nil, err
		}
		list = []cases.Step{*last}
	}
	for n := range list {
		sent, answer, problems, err := r.step(ctx, state, &list[n])
		if err != nil {
			return shown, nil, err
		}
		fork := state.Fork()
		shown = append(shown, func() Exchange { return show(&list[n], sent, r.goodOf(fork, &list[n], sent.Time), answer) })
		if len(problems) > 0 {
			if len(list) > 1 {
				problems[0] = fmt.Sprintf("step %d: %s", n+1, problems[0])
			}
			return shown, problems, nil
		}
	}
	return shown, nil, nil
}

// warm sends the request in order that the step then breaks, and returns the step as it follows: with the same token, or
// one that differs in nothing but what the step breaks.
func (r *runner) warm(ctx context.Context, state *recipe.State, s *cases.Step) (*cases.Step, error) {
	good, same := warmUp(s)
	answer, err := r.goodStep(ctx, state, good)
	if err == nil && answer.status/100 != 2 { // a key that no server takes, for instance
		good = &cases.Step{Send: cases.Request{Endpoint: mainIfRoute(s.Send.Endpoint)}}
		same = false
		answer, err = r.goodStep(ctx, state, good)
	}
	switch {
	case err != nil:
		return nil, err
	case answer.err != nil || answer.status/100 != 2:
		return nil, &skipped{"the request in order that goes before it is not accepted: " + answer.brief()}
	}
	last := *s
	last.Same = same
	return &last, nil
}

// goodStep sends a request that is to be accepted, once more if the server wants a nonce.
func (r *runner) goodStep(ctx context.Context, state *recipe.State, s *cases.Step) (*response, error) {
	force := state.Force
	defer func() { state.Force = force }()
	for {
		_, answer, _, err := r.step(ctx, state, s)
		if err != nil || !answer.asksForNonce() || state.Force {
			return answer, err
		}
		state.Force = true
	}
}

func (p *response) brief() string {
	if p.err != nil {
		return p.err.Error()
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", p.status, strings.Join(p.codes(), " ")))
}

// mainIfRoute is the endpoint where a token counts that has neither scope nor login for the route.
func mainIfRoute(endpoint string) string {
	if slices.Contains([]string{"scope", "fresh", "strong"}, endpoint) {
		return ""
	}
	return endpoint
}

// warmUp is the request of a step with everything in order, and whether its token is that of the step.
func warmUp(s *cases.Step) (good *cases.Step, same bool) {
	r := &s.Send
	t, proof := cmp.Or(r.Token, &cases.Token{}), cmp.Or(r.Proof, &cases.Proof{})
	token := cases.Token{Bind: t.Bind, Certificate: t.Certificate, Opaque: t.Opaque}
	w := cases.Request{Endpoint: r.Endpoint, Method: r.Method, Path: r.Path, Certificate: cmp.Or(t.Certificate, r.Certificate)}
	if token.Bind == "=" {
		token.Bind = cmp.Or(proof.Key, "client")
	}
	if byCertificate := r.Endpoint == "mtls" || r.Endpoint == "certproxy"; token.Bind == "-" && token.Certificate == "" {
		switch {
		case byCertificate:
			token.Certificate, w.Certificate = "client", "client"
		case r.Endpoint != "bearer":
			token.Bind = ""
		}
	}
	if token.Bind == "-" {
		w.Authorization, w.Without = []string{"Bearer ${token}"}, []string{"proof"}
	} else {
		w.Proof = &cases.Proof{Key: token.Bind}
	}
	switch r.Endpoint {
	case "certproxy":
		w.Headers = []cases.Header{{Name: "Client-Cert", Value: ":${certificate:" + cmp.Or(token.Certificate, "client") + "}:"}}
		w.Certificate = ""
	case "proxied":
		w.Host = r.Host
		w.Headers = []cases.Header{{Name: "X-Forwarded-Host", Value: "${host}"}, {Name: "X-Forwarded-Proto", Value: "${scheme}"}}
	case "scope", "fresh", "strong": // the token is good, and the route is what it is not good for
		w.Endpoint, token = "", *t
	}
	w.Token = &token
	return &cases.Step{Send: w}, reflect.DeepEqual(token, *t)
}

// step sends one request and compares the answers.
func (r *runner) step(
	ctx context.Context, state *recipe.State, s *cases.Step,
) (*recipe.Sent, *response, []string, error) {
	if err := r.pass(ctx, time.Duration(s.Wait)*time.Second); err != nil {
		return nil, nil, nil, err
	}
	if s.Rotate {
		r.options.Issuer.rotate()
		r.world.Issuers = r.options.Issuer.issuers()
	}
	target := r.endpoints[s.Send.Endpoint]
	if s.Flood > 0 {
		if err := r.flood(ctx, state, s, target); err != nil {
			return nil, nil, nil, err
		}
	}
	sent, err := r.build(state, s, target)
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
	answers, err := r.exchange(ctx, target.URL, sent, max(1, s.Copies))
	if err != nil {
		return nil, nil, nil, err
	}
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
	if a := answers[0]; want.Accept && slices.Contains(want.Status, a.status) && len(a.codes()) == 0 {
		return nil, nil, nil, &skipped{"the server has no such resource: it answers " + a.brief()}
	}
	ran := r.options.Effects != nil && r.options.Effects() != before
	first, problems := r.compareAll(want, answers, sent, ran)
	return sent, first, problems, nil
}

// build makes the request of a step.
func (r *runner) build(state *recipe.State, s *cases.Step, target endpoint) (*recipe.Sent, error) {
	return r.buildAt(state, s, target, r.world.Now)
}

func (r *runner) buildAt(
	state *recipe.State, s *cases.Step, target endpoint, now func() time.Time,
) (*recipe.Sent, error) {
	world := *r.world
	world.Origin, world.Now = target.origin, now
	sent, err := world.Build(state, s, target.EscapedPath())
	if errors.Is(err, errNoTokens) {
		return nil, &skipped{"the authorization server gives no token for it: " + visible(err.Error())}
	}
	if errors.Is(err, recipe.ErrVoid) {
		return nil, &skipped{"it changes nothing of the URL " + target.String() + ": one with a path of letters asks it"}
	}
	return sent, err
}

// compareAll says it of every answer, and returns one to show: the first that is not as wanted.
func (r *runner) compareAll(want *cases.Answer, answers []*response, sent *recipe.Sent, ran bool) (*response, []string) {
	var problems []string
	shown, accepted := answers[0], 0
	for _, answer := range answers {
		if want.Exact > 0 && answer.err == nil && answer.status/100 == 2 {
			accepted++
			continue
		}
		if found := r.compare(want, answer, sent); len(found) > 0 {
			if len(problems) == 0 {
				shown = answer
			}
			problems = append(problems, found...)
		}
	}
	if accepted != want.Exact {
		problems = append(problems, fmt.Sprintf("%d of %d were accepted, want %d", accepted, len(answers), want.Exact))
	}
	if !want.Accept && want.Exact == 0 && ran {
		problems = append(problems, "the handler ran although the request was refused")
	}
	slices.Sort(problems)
	return shown, slices.Compact(problems)
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

// compare says what in an answer is not as wanted.
func (r *runner) compare(want *cases.Answer, got *response, sent *recipe.Sent) []string {
	if want.Closed {
		if got.err == nil {
			return []string{fmt.Sprintf("answered with %d, although the connection must not come about", got.status)}
		}
		return nil
	}
	if got.err != nil {
		return []string{visible(got.err.Error())}
	}
	var problems []string
	say := func(format string, args ...any) { problems = append(problems, visible(fmt.Sprintf(format, args...))) }
	codes := got.codes()
	noCode := len(want.Error) > 0 && len(codes) == 0
	switch {
	case want.Accept:
		if got.status/100 != 2 {
			say("status %s, want 2xx", strings.Join(append([]string{strconv.Itoa(got.status)}, codes...), " "))
		}
	case want.Any:
		if got.status >= 500 {
			say("status %d, want one below 500", got.status)
		}
	case got.status/100 == 2:
		say("status %d: accepted, want a refusal", got.status)
	case len(want.Status) == 0 && got.status >= 500, len(want.Status) > 0 && !slices.Contains(want.Status, got.status):
		say("status %d, want %s", got.status, cmp.Or(strings.Trim(fmt.Sprint(want.Status), "[]"), "below 500"))
	case noCode && (r.options.Profile == Strict || slices.Contains(want.Error, "use_dpop_nonce")) &&
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
