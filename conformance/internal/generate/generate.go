// Package generate makes the files of package cases. Its cases are in the files cases_*.go here: add one there,
// then run "go generate ./conformance/vectors", whose command is in write. Keys come from fixed seeds and signatures from
// fixed randomness, so the same source makes the same files. What is wrong in the cases is a panic that names it.
package generate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"log"
	"slices"
	"strings"

	"github.com/senderlock/senderlock/conformance/internal/cases"
)

// Files are the contents by name; table is the file with the requirements.
func Files(table string) map[string][]byte {
	rows := requirements(table)
	keys := makeKeys()
	list := allCases()
	grade(list)
	for i := range list {
		c := &list[i]
		row, ok := rows[c.Requirement]
		if !ok {
			log.Panicf("%s: %s is no row of the requirements", c.ID, c.Requirement)
		}
		c.RFC, c.Rule = cmp.Or(c.RFC, row.source), row.rule
	}
	static := cases.File{Schema: "static.schema.json", Version: cases.Version, Vectors: statics(keys, list)}
	for i := range list {
		if list[i].Reason == "*" { // several are right
			list[i].Reason = ""
		}
	}
	return map[string][]byte{"cases.json": encode(list), "static.json": encode(static), "keys.json": encode(keys)}
}

func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(v); err != nil {
		log.Panic(err)
	}
	return b.Bytes()
}

// suite collects cases.
type suite struct {
	group string
	cases []cases.Case
}

// option changes a case.
type option func(*cases.Case)

func (s *suite) in(group string) { s.group = group }

// add completes a case: what it needs follows from what it sends.
func (s *suite) add(rs, id, level, title string, steps []cases.Step, options ...option) {
	c := cases.Case{ID: id, Requirement: rs, Group: s.group, Level: level, Title: title, Steps: steps}
	for _, o := range options {
		o(&c)
	}
	for _, step := range c.Steps {
		r := &step.Send
		if r.Path != "" {
			c.Needs = append(c.Needs, "paths")
		}
		if r.Endpoint != "" {
			c.Needs = append(c.Needs, r.Endpoint)
		}
		if t := r.Token; t != nil {
			bind := *t
			bind.Bind = ""
			if encoded, _ := json.Marshal(bind); string(encoded) != "{}" || t.Bind == "-" {
				c.Needs = append(c.Needs, "issuer")
			}
			if t.Opaque {
				c.Needs = append(c.Needs, "introspection")
			}
		}
		if step.Flood > 0 {
			c.Needs = append(c.Needs, "flood")
		}
		if step.Rotate {
			c.Needs = append(c.Needs, "rotation")
		}
		c.Slow = c.Slow || step.Wait > 0
	}
	c.Warm = c.Warm || warms(&c)
	slices.Sort(c.Needs)
	c.Needs = slices.Compact(c.Needs)
	if slices.ContainsFunc(s.cases, func(other cases.Case) bool { return other.ID == id }) {
		log.Panicf("the ID %s is used twice", id)
	}
	s.cases = append(s.cases, c)
}

// warms reports whether the case is also asked after its token, key and fields were accepted: it is a refusal of one
// request that has something to be remembered by.
func warms(c *cases.Case) bool {
	if len(c.Steps) != 1 || c.Level == cases.INFO ||
		slices.Contains([]string{"challenge", "dependency", "metadata", "robustness"}, c.Group) {
		return false
	}
	step := &c.Steps[0]
	t := step.Send.Token
	revoked := t != nil && t.Opaque && t.Claims != nil // an answer of introspection may be kept for a while
	bare := slices.Contains(step.Send.Without, "authorization") && slices.Contains(step.Send.Without, "proof")
	return !step.Strict.Accept && !step.Strict.Closed && !step.Strict.Any && step.Copies == 0 && !revoked &&
		(!bare || step.Send.Query != "" || step.Send.Body != "" || step.Send.Headers != nil)
}

// The answers of the requirements' table, strict and base.
type answers struct{ strict, base cases.Answer }

func status(codes ...int) []int { return codes }

var (
	accepted = answers{cases.Answer{Accept: true}, cases.Answer{Accept: true}}
	badProof = refusal(status(401), []string{"invalid_dpop_proof"}, status(400, 401), []string{"invalid_dpop_proof",
		"invalid_token"})
	noProof = refusal(status(401), []string{"invalid_dpop_proof"}, status(400, 401), []string{"invalid_dpop_proof",
		"invalid_token", "invalid_request"})
	badToken = refusal(status(401), []string{"invalid_token"}, status(400, 401), []string{"invalid_token",
		"invalid_request"})
	mismatch = refusal(status(401), []string{"invalid_token"}, status(400, 401), []string{"invalid_token",
		"invalid_dpop_proof"})
	badAuth = refusal(status(400), []string{"invalid_request"}, status(400, 401), []string{"invalid_request",
		"invalid_token", "invalid_dpop_proof"})
	// asBearer is a token that misses the proof of its sender, which no RFC has a code for.
	asBearer = refusal(status(401), []string{"invalid_token"}, status(400, 401), []string{"invalid_token",
		"invalid_request", "invalid_dpop_proof"})
	badCert = refusal(status(401), []string{"invalid_token"}, status(400, 401), []string{"invalid_token",
		"invalid_request"})
	useNonce = refusal(status(401), []string{"use_dpop_nonce"}, status(401),
		[]string{"use_dpop_nonce"}).with("one-nonce")
	noCreds = refusal(status(401), nil, status(401), nil)
	noScope = refusal(status(403), []string{"insufficient_scope"}, status(401, 403), []string{"insufficient_scope"})
	stepUp  = refusal(status(401), []string{"insufficient_user_authentication"}, status(401),
		[]string{"insufficient_user_authentication"})
	anyClient = refusal(status(400, 401, 403, 404, 405, 413, 414, 421, 431, 501), nil, status(400, 401, 403, 404,
		405, 413, 414, 421, 431, 501), nil)
	down = refusal(status(503), nil, status(401, 500, 502, 503, 504), nil)
	// ours is for what a server need not answer as the resource would.
	ours = answers{cases.Answer{Any: true, Checks: []string{"not-the-resource"}}, cases.Answer{Any: true,
		Checks: []string{"not-the-resource"}}}
)

func refusal(strict []int, strictCodes []string, base []int, baseCodes []string) answers {
	return answers{cases.Answer{Status: strict, Error: strictCodes}, cases.Answer{Status: base, Error: baseCodes}}
}

func (a answers) with(checks ...string) answers {
	a.strict.Checks = append(slices.Clone(a.strict.Checks), checks...)
	a.base.Checks = append(slices.Clone(a.base.Checks), checks...)
	return a
}

// challenged wants a DPoP challenge on a 401: a server that takes unbound tokens too may offer Bearer alone (RFC 9449 §7.1:
// it "can respond with a challenge"), but has to offer one that applies (RFC 9110 §15.5.2).
func (a answers) challenged() answers {
	a.strict.Checks = append(slices.Clone(a.strict.Checks), "dpop-challenge")
	a.base.Checks = append(slices.Clone(a.base.Checks), "some-challenge")
	return a
}

// or lets both profiles take these as well.
func (a answers) or(codes ...int) answers {
	a.strict.Status = append(slices.Clone(a.strict.Status), codes...)
	a.base.Status = append(slices.Clone(a.base.Status), codes...)
	a.strict.Error, a.base.Error = nil, nil
	return a
}

func (a answers) step(r cases.Request) cases.Step {
	return cases.Step{Send: r, Strict: a.strict, Base: a.base}
}

func once(a answers, r cases.Request) []cases.Step { return []cases.Step{a.step(r)} }

func steps(list ...cases.Step) []cases.Step { return list }

// refuse is a proof that must be refused.
func (s *suite) refuse(rs, id, title, reason string, p cases.Proof, options ...option) {
	s.add(rs, id, cases.MUST, title, once(badProof, cases.Request{Proof: &p}), append([]option{because(reason)},
		options...)...)
}

// accept is a proof that must be accepted.
func (s *suite) accept(rs, id, title string, p cases.Proof, options ...option) {
	s.add(rs, id, cases.MUST, title, once(accepted, cases.Request{Proof: &p}), options...)
}

// token is an access token with its answer.
func (s *suite) token(rs, id, title string, a answers, t cases.Token, options ...option) {
	r := cases.Request{Token: &t}
	if t.Bind != "" && t.Bind != "-" {
		r.Proof = &cases.Proof{Key: t.Bind}
	}
	s.add(rs, id, cases.MUST, title, once(a, r), options...)
}

// send is a request with its answer.
func (s *suite) send(rs, id, title string, a answers, r cases.Request, options ...option) {
	s.add(rs, id, cases.MUST, title, once(a, r), options...)
}

// baseOr lets the base profile take these as well.
func (a answers) baseOr(codes ...int) answers {
	a.base.Status = append(slices.Clone(a.base.Status), codes...)
	a.base.Error = nil
	return a
}

func because(reason string) option { return func(c *cases.Case) { c.Reason = reason } }
func needs(names ...string) option {
	return func(c *cases.Case) { c.Needs = append(c.Needs, names...) }
}
func level(l string) option           { return func(c *cases.Case) { c.Level = l } }
func rfc(source string) option        { return func(c *cases.Case) { c.RFC = source } }
func profiles(names ...string) option { return func(c *cases.Case) { c.Profiles = names } }
func requests(f func(*cases.Request)) option {
	return func(c *cases.Case) {
		for i := range c.Steps {
			f(&c.Steps[i].Send)
		}
	}
}

// raw is JSON text as it stands.
type raw string

// members builds JSON members from names and values; nil takes one out.
func members(pairs ...any) cases.Members {
	m := cases.Members{}
	for i := 0; i < len(pairs); i += 2 {
		value := pairs[i+1]
		if text, ok := value.(raw); ok {
			value = map[string]string{"$raw": string(text)}
		}
		m[pairs[i].(string)] = json.RawMessage(strings.TrimSpace(compactJSON(value)))
	}
	return m
}

func compactJSON(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		log.Panic(err)
	}
	return b.String()
}

func claims(pairs ...any) cases.Proof  { return cases.Proof{Claims: members(pairs...)} }
func header(pairs ...any) cases.Proof  { return cases.Proof{Header: members(pairs...)} }
func jwk(pairs ...any) cases.Proof     { return cases.Proof{JWK: members(pairs...)} }
func edit(edits ...string) cases.Proof { return cases.Proof{Edit: edits} }

func tokenClaims(pairs ...any) cases.Token { return cases.Token{Claims: members(pairs...)} }
func tokenHeader(pairs ...any) cases.Token { return cases.Token{Header: members(pairs...)} }

func at(offset int) raw { return raw(fmt.Sprintf("${now%+d}", offset)) }
