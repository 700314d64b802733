package conformance

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/senderlock/senderlock/conformance/internal/cases"
	"github.com/senderlock/senderlock/conformance/internal/recipe"
	"github.com/senderlock/senderlock/internal/mint"
)

// Row is one line of a request that is read beside the good one.
type Row struct {
	Part    string `json:"part"` // "request", "field", "token header", "token claims", "proof header", "proof claims"
	Name    string `json:"name"`
	Good    string `json:"good,omitempty"`
	Sent    string `json:"sent,omitempty"`
	Changed bool   `json:"changed,omitempty"`
}

// goodOf builds the good request that a step is shown beside: the same resource at the same time, everything in order. Nil
// if there is none.
func (r *runner) goodOf(state *recipe.State, s *cases.Step, at time.Time) *recipe.Sent {
	good, same := warmUp(s)
	good.Send.Endpoint, good.Same = s.Send.Endpoint, s.Again || s.Same || same
	if slices.Contains([]string{"scope", "fresh", "strong"}, s.Send.Endpoint) {
		good.Send.Token = &cases.Token{}
		good.Same = s.Again || s.Same || s.Send.Token == nil
	}
	if s.Send.Token != nil && s.Send.Token.Opaque {
		good.Same = true // its claims are not in it
	}
	sent, err := r.buildAt(state.Fork(), good, r.endpoints[s.Send.Endpoint], func() time.Time { return at })
	if err != nil {
		return nil
	}
	return sent
}

// show writes a request and its answer as they are shown: the text, and what is in it beside the good request.
func show(s *cases.Step, sent, good *recipe.Sent, answer *response) Exchange {
	e := Exchange{Response: answer.show(sent.Secrets)}
	if answer.proto == "HTTP/2" {
		e.Request = cut(strings.Replace(head(sent), " HTTP/1.1", " HTTP/2", 1)+"\n"+sent.Body, sent.Secrets)
	} else {
		e.Request = cut(strings.TrimRight(bytesOf(sent), "\r\n"), sent.Secrets)
	}
	secrets := sent.Secrets
	var beside []Row
	if good != nil {
		secrets, beside = append(slices.Clone(secrets), good.Secrets...), decoded(good)
	}
	e.Rows = compare(decoded(sent), beside)
	if good != nil {
		mark(e.Rows, s, sent, good)
	}
	for i := range e.Rows {
		row := &e.Rows[i]
		row.Name, row.Good, row.Sent = cut(row.Name, secrets), cut(row.Good, secrets), cut(row.Sent, secrets)
	}
	return e
}

// compare puts the rows of a request beside those of the good one.
func compare(sent, good []Row) []Row {
	find := func(in []Row, like Row) *Row {
		for i := range in {
			if in[i].Part == like.Part && in[i].Name == like.Name {
				return &in[i]
			}
		}
		return nil
	}
	rows := slices.Clone(sent)
	for _, g := range good {
		if row := find(rows, g); row != nil {
			row.Good = g.Sent
			continue
		}
		// What is missing stands behind the last row of its part.
		at := len(rows)
		for i := range rows {
			if rows[i].Part == g.Part {
				at = i + 1
			}
		}
		rows = slices.Insert(rows, at, Row{Part: g.Part, Name: g.Name, Good: g.Sent})
	}
	return rows
}

// mark marks the rows in which a request differs from the good one, and not only as any two good requests differ.
func mark(rows []Row, s *cases.Step, sent, good *recipe.Sent) {
	p := cmp.Or(s.Send.Proof, &cases.Proof{})
	signed := func(edits []string) bool {
		return slices.ContainsFunc(edits, func(e string) bool { return strings.HasPrefix(e, "signature:") })
	}
	changed := map[string]bool{"proof form": p.Signer != "" || signed(p.Edit)}
	if t := s.Send.Token; t != nil {
		changed["token form"] = t.Key != "" || signed(t.Edit)
	}
	random := func(text string) bool {
		return len(text) == 28 && strings.Trim(text, `"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567`) == ""
	}
	for i := range rows {
		row := &rows[i]
		usual := false
		switch row.Name {
		case "jti":
			usual = random(row.Good) && random(row.Sent) && !s.Again
		case "ath":
			usual = row.Sent == `"`+mint.ATH(sent.Token)+`"` && row.Good == `"`+mint.ATH(good.Token)+`"`
		case "signature":
			usual = !changed[row.Part] && row.Sent != "(empty)"
		}
		row.Changed = row.Good != row.Sent && !usual
	}
}

// decoded are the rows of a request.
func decoded(s *recipe.Sent) []Row {
	rows := []Row{
		{Part: "request", Name: "method", Sent: s.Method}, {Part: "request", Name: "target", Sent: s.Target},
		{Part: "request", Name: "Host", Sent: s.Host},
	}
	if s.Certificate != "" {
		rows = append(rows, Row{Part: "request", Name: "client certificate", Sent: s.Certificate})
	}
	if s.Body != "" {
		rows = append(rows, Row{Part: "request", Name: "body", Sent: s.Body})
	}
	var jwts []Row
	for _, h := range s.Headers {
		value := h.Value
		switch strings.ToLower(h.Name) {
		case "authorization":
			scheme, token, _ := strings.Cut(strings.TrimSpace(value), " ")
			if token != "" && len(jwts) == 0 {
				jwts = append(jwts, jwtRows("token", strings.TrimSpace(token))...)
			}
			if token == s.Token {
				value = scheme + " (the token below)"
			} else {
				value = scheme + " " + abridged(token)
			}
		case "dpop":
			jwts = append(jwts, jwtRows("proof", strings.TrimSpace(value))...)
			if value = abridged(value); slices.Contains(s.Proofs, h.Value) && strings.Count(h.Value, ".") == 2 {
				value = "(the proof below)"
			}
		}
		rows = append(rows, Row{Part: "field", Name: h.Name, Sent: value})
	}
	return append(rows, jwts...)
}

// abridged is a text by its beginning and its length.
func abridged(s string) string {
	if len(s) <= 24 {
		return s
	}
	return fmt.Sprintf("%s… (%d octets)", s[:16], len(s))
}

// jwtRows are the members of header and claims of a JWT, or what it is otherwise.
func jwtRows(what, text string) (rows []Row) {
	parts := strings.Split(text, ".")
	for i, part := range parts[:min(2, len(parts))] {
		name := what + []string{" header", " claims"}[i]
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(part, "="))
		var members map[string]json.RawMessage
		if err != nil || json.Unmarshal(raw, &members) != nil {
			shown := abridged(part)
			if err == nil && len(raw) > 0 {
				shown = string(raw[:min(len(raw), 200)])
			}
			rows = append(rows, Row{Part: name, Name: "(no JSON object)", Sent: shown})
			continue
		}
		if jwk := members["jwk"]; jwk != nil {
			var key map[string]json.RawMessage
			if json.Unmarshal(jwk, &key) == nil && key != nil {
				delete(members, "jwk")
				for member, value := range key {
					members["jwk."+member] = value
				}
			}
		}
		for _, member := range slices.Sorted(maps.Keys(members)) {
			rows = append(rows, Row{Part: name, Name: member, Sent: string(members[member])})
		}
		if canonical := string(raw); strings.Count(canonical, `":`) > len(members)+20 {
			rows = append(rows, Row{Part: name, Name: "(text)", Sent: canonical[:min(len(canonical), 200)]})
		}
	}
	if len(parts) != 3 {
		rows = append(rows, Row{Part: what + " form", Name: "parts", Sent: fmt.Sprint(len(parts))})
	} else {
		rows = append(rows, Row{Part: what + " form", Name: "signature", Sent: cmp.Or(parts[2], "(empty)")})
	}
	return rows
}

var signed = regexp.MustCompile(`(eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.)([A-Za-z0-9_-]{6})[A-Za-z0-9_-]+`)

// maxLine is how much of a line is shown, in octets.
const maxLine = 1500

// cut makes a text fit to be shown: without the secrets in it (signatures, without which a token or proof is worth
// nothing, and tokens that are not signed), without overlong lines, and without characters that a terminal obeys.
func cut(text string, secrets []string) string {
	for _, secret := range secrets {
		if len(secret) > 10 {
			text = strings.ReplaceAll(text, secret, secret[:6]+"…")
		}
	}
	text = signed.ReplaceAllString(text, "$1$2…")
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i, line := range lines {
		if len(line) > maxLine {
			line = fmt.Sprintf("%s… (%d octets)", line[:maxLine/4], len(line))
		}
		lines[i] = visible(line)
	}
	return strings.Join(lines, "\n")
}

// visible writes what moves a cursor, changes a colour or turns the direction of letters as an escape.
func visible(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case !hidden(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u{%x}`, r)
		}
	}
	return b.String()
}

func hidden(r rune) bool {
	if r < unicode.MaxASCII { // of which most texts are
		return r < ' '
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// show writes an answer as it is shown.
func (p *response) show(secrets []string) string {
	if p.err != nil {
		return visible(p.err.Error())
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d %s\n", p.proto, p.status, http.StatusText(p.status))
	for _, name := range slices.Sorted(maps.Keys(p.header)) {
		for _, value := range p.header[name] {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	return cut(b.String()+"\n"+p.body[:min(len(p.body), 1000)], secrets)
}
