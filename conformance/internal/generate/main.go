// Command generate makes the files of package vectors. Its cases are in the files cases_*.go here: add one there,
// then run "go generate ./conformance/vectors". Keys come from fixed seeds and signatures from fixed randomness, so
// the same source makes the same files.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/senderlock/senderlock/conformance/vectors"
)

func main() {
	folder := flag.String("o", ".", "the folder to write to")
	flag.Parse()
	for name, content := range files() {
		if err := os.WriteFile(filepath.Join(*folder, name), content, 0o644); err != nil { //nolint:gosec // public
			log.Fatal(err)
		}
	}
}

// files are the contents by name.
func files() map[string][]byte {
	keys := makeKeys()
	cases := allCases()
	static := statics(keys, cases)
	for i := range cases {
		if cases[i].Reason == "*" { // several are right
			cases[i].Reason = ""
		}
	}
	return map[string][]byte{"cases.json": encode(cases), "static.json": encode(static), "keys.json": encode(keys)}
}

func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(v); err != nil {
		log.Fatal(err)
	}
	return b.Bytes()
}

// suite collects cases.
type suite struct {
	group string
	cases []vectors.Case
}

// option changes a case.
type option func(*vectors.Case)

func (s *suite) in(group string) { s.group = group }

// add completes a case: what it needs follows from what it sends.
func (s *suite) add(rs, id, level, title string, steps []vectors.Step, options ...option) {
	c := vectors.Case{ID: id, Requirement: rs, Group: s.group, Level: level, Title: title, Steps: steps}
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
		c.Slow = c.Slow || step.Wait > 0
	}
	slices.Sort(c.Needs)
	c.Needs = slices.Compact(c.Needs)
	if slices.ContainsFunc(s.cases, func(other vectors.Case) bool { return other.ID == id }) {
		log.Fatalf("the ID %s is used twice", id)
	}
	s.cases = append(s.cases, c)
}

// The answers of the requirements' table, strict and base.
type answers struct{ strict, base vectors.Answer }

func status(codes ...int) []int { return codes }

var (
	accepted = answers{vectors.Answer{Accept: true}, vectors.Answer{Accept: true}}
	badProof = refusal(status(401), []string{"invalid_dpop_proof"}, status(400, 401), []string{"invalid_dpop_proof",
		"invalid_token"})
	noProof = refusal(status(401), []string{"invalid_dpop_proof"}, status(400, 401), []string{"invalid_dpop_proof",
		"invalid_token", "invalid_request"})
	badToken = refusal(status(401), []string{"invalid_token"}, status(401), []string{"invalid_token"})
	mismatch = refusal(status(401), []string{"invalid_token"}, status(401), []string{"invalid_token",
		"invalid_dpop_proof"})
	badAuth = refusal(status(400), []string{"invalid_request"}, status(400, 401), []string{"invalid_request",
		"invalid_token", "invalid_dpop_proof"})
	asBearer = refusal(status(401), []string{"invalid_token"}, status(400, 401), []string{"invalid_token",
		"invalid_request"})
	badCert = refusal(status(401), []string{"invalid_token"}, status(400, 401), []string{"invalid_token",
		"invalid_request"})
	useNonce = refusal(status(401), []string{"use_dpop_nonce"}, status(401),
		[]string{"use_dpop_nonce"}).with("one-nonce")
	noCreds = refusal(status(401), nil, status(401), nil)
	noScope = refusal(status(403), []string{"insufficient_scope"}, status(403), []string{"insufficient_scope"})
	stepUp  = refusal(status(401), []string{"insufficient_user_authentication"}, status(401),
		[]string{"insufficient_user_authentication"})
	anyClient = refusal(status(400, 401, 403, 404, 405, 413, 414, 421, 431, 501), nil, status(400, 401, 403, 404,
		405, 413, 414, 421, 431, 501), nil)
	down = refusal(status(503), nil, status(401, 503), nil)
)

func refusal(strict []int, strictCodes []string, base []int, baseCodes []string) answers {
	return answers{vectors.Answer{Status: strict, Error: strictCodes}, vectors.Answer{Status: base, Error: baseCodes}}
}

func (a answers) with(checks ...string) answers {
	a.strict.Checks = append(slices.Clone(a.strict.Checks), checks...)
	a.base.Checks = append(slices.Clone(a.base.Checks), checks...)
	return a
}

// or lets both profiles take these as well.
func (a answers) or(codes ...int) answers {
	a.strict.Status = append(slices.Clone(a.strict.Status), codes...)
	a.base.Status = append(slices.Clone(a.base.Status), codes...)
	a.strict.Error, a.base.Error = nil, nil
	return a
}

func (a answers) step(r vectors.Request) vectors.Step {
	return vectors.Step{Send: r, Strict: a.strict, Base: a.base}
}

func once(a answers, r vectors.Request) []vectors.Step { return []vectors.Step{a.step(r)} }

func steps(list ...vectors.Step) []vectors.Step { return list }

// refuse is a proof that must be refused.
func (s *suite) refuse(rs, id, title, reason string, p vectors.Proof, options ...option) {
	s.add(rs, id, vectors.MUST, title, once(badProof, vectors.Request{Proof: &p}), append([]option{because(reason)},
		options...)...)
}

// accept is a proof that must be accepted.
func (s *suite) accept(rs, id, title string, p vectors.Proof, options ...option) {
	s.add(rs, id, vectors.MUST, title, once(accepted, vectors.Request{Proof: &p}), options...)
}

// token is an access token with its answer.
func (s *suite) token(rs, id, title string, a answers, t vectors.Token, options ...option) {
	r := vectors.Request{Token: &t}
	if t.Bind != "" && t.Bind != "-" {
		r.Proof = &vectors.Proof{Key: t.Bind}
	}
	s.add(rs, id, vectors.MUST, title, once(a, r), options...)
}

// send is a request with its answer.
func (s *suite) send(rs, id, title string, a answers, r vectors.Request, options ...option) {
	s.add(rs, id, vectors.MUST, title, once(a, r), options...)
}

func because(reason string) option { return func(c *vectors.Case) { c.Reason = reason } }
func needs(names ...string) option {
	return func(c *vectors.Case) { c.Needs = append(c.Needs, names...) }
}
func level(l string) option           { return func(c *vectors.Case) { c.Level = l } }
func profiles(names ...string) option { return func(c *vectors.Case) { c.Profiles = names } }
func requests(f func(*vectors.Request)) option {
	return func(c *vectors.Case) {
		for i := range c.Steps {
			f(&c.Steps[i].Send)
		}
	}
}

// raw is JSON text as it stands.
type raw string

// members builds JSON members from names and values; nil takes one out.
func members(pairs ...any) vectors.Members {
	m := vectors.Members{}
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
		log.Fatal(err)
	}
	return b.String()
}

func claims(pairs ...any) vectors.Proof  { return vectors.Proof{Claims: members(pairs...)} }
func header(pairs ...any) vectors.Proof  { return vectors.Proof{Header: members(pairs...)} }
func jwk(pairs ...any) vectors.Proof     { return vectors.Proof{JWK: members(pairs...)} }
func edit(edits ...string) vectors.Proof { return vectors.Proof{Edit: edits} }

func tokenClaims(pairs ...any) vectors.Token { return vectors.Token{Claims: members(pairs...)} }
func tokenHeader(pairs ...any) vectors.Token { return vectors.Token{Header: members(pairs...)} }

func at(offset int) raw { return raw(fmt.Sprintf("${now%+d}", offset)) }
