package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/senderlock/senderlock/conformance/internal/cases"
)

// Claims are the names that Options.Lacks may hold. README.md says what each means.
func Claims() []string {
	needs := map[string]bool{}
	for _, c := range cases.All() {
		for _, need := range c.Needs {
			if !strings.Contains(need, "alg:") && need != "issuer" && need != "iat" {
				needs[need] = true
			}
		}
	}
	return strings.Split(sorted(needs), ", ")
}

// List writes the cases by group, each with its section.
func List(w io.Writer) {
	group := ""
	for _, c := range cases.All() {
		if c.Group != group {
			group = c.Group
			_, _ = fmt.Fprintf(w, "\n%s\n", group)
		}
		warm := ""
		if c.Warm {
			warm = " (+" + warmSuffix + ")"
		}
		_, _ = fmt.Fprintf(w, "  %-6s  %-38s  %s: %s%s\n", c.Level, c.RFC, c.ID, c.Title, warm)
	}
}

// Explain tells what a case asks: the sentence it comes from, what is sent, and which answers each profile takes.
func Explain(w io.Writer, id string) error {
	list := questions()
	i := slices.IndexFunc(list, func(q question) bool { return q.ID == id })
	if i < 0 {
		return fmt.Errorf("conformance: there is no case %q: --list lists them", id)
	}
	q := &list[i]
	_, _ = fmt.Fprintf(w, "%s: %s\n\n  %s %s, %s\n  %s.\n", q.ID, q.Title, q.Level, q.Requirement, q.RFC,
		strings.TrimSuffix(q.Rule, "."))
	if q.Leave != "" {
		_, _ = fmt.Fprintf(w, "  A server may do otherwise and be right: %s.\n", q.Leave)
	}
	_, _ = fmt.Fprintf(w, "  %s\n", whereToLook(&q.Case, q.warm))
	if len(q.Needs) > 0 {
		_, _ = fmt.Fprintf(w, "  It is asked of a server that claims: %s.\n", strings.Join(q.Needs, ", "))
	}
	if q.warm {
		_, _ = fmt.Fprint(w, "\n  First a request in order, with the same token and key, which must be accepted.\n")
	}
	for n, s := range q.Steps {
		_, _ = fmt.Fprintf(w, "\n  Step %d", n+1)
		if s.Wait > 0 {
			_, _ = fmt.Fprintf(w, ", %d seconds later", s.Wait)
		}
		send, err := json.MarshalIndent(s.Send, "  ", "  ")
		if err != nil {
			return err
		}
		text := string(send)
		switch {
		case s.Again:
			text = "the same request, octet for octet"
		case text == "{}":
			text = "a good request"
		default:
			text = "a good request, but for\n  " + text
		}
		if s.Same {
			text += "\n  with the token of the step before"
		}
		if s.Copies > 1 {
			text += fmt.Sprintf("\n  %d times at the same instant", s.Copies)
		}
		if s.Flood > 0 {
			text += "\n  behind many good requests"
		}
		_, _ = fmt.Fprintf(w, ": %s\n    strict  %s\n    base    %s\n", text, expected(&s.Strict), expected(&s.Base))
	}
	return nil
}

// expected is an answer in words.
func expected(a *cases.Answer) string {
	var text string
	switch {
	case a.Closed:
		return "no connection"
	case a.Accept && len(a.Status) > 0:
		text = "2xx; " + anyOf(a.Status) + " without an error code says that there is no such resource"
	case a.Accept:
		text = "2xx"
	case a.Any:
		text = "any status below 500, and not the resource"
	default:
		text = anyOf(a.Status)
		if len(a.Error) > 0 {
			text += " with " + strings.Join(a.Error, " or ")
		}
	}
	if a.Exact > 0 {
		text = fmt.Sprintf("%d accepted, each other one refused: %s", a.Exact, text)
	}
	if len(a.Checks) > 0 {
		text += "; " + strings.Join(a.Checks, ", ")
	}
	return text
}

func anyOf(codes []int) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(codes), "[]"), " ", " or ")
}
