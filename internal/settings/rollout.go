package settings

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/senderlock/senderlock/access"
)

const maxBearerLifetime = 366 * 24 * time.Hour

const (
	bearerMeaning = "set entries, one a line or with | between them, such as clients=old-app; until=2027-06-30"
	reportMeaning = "set demands with ; between them, such as bound; nonce; max-token-lifetime=5m"
)

// readRollout reads what is on the way from bearer tokens to bound ones.
func (s *Settings) readRollout(r *Reader) {
	for _, line := range r.Lines("BEARER") {
		b, err := parseBearer(line)
		if err != nil {
			r.Wrong("BEARER", fmt.Sprintf("%s: %v", bearerMeaning, err))
			return
		}
		s.Bearer = append(s.Bearer, b)
	}
	if text := r.Text("REPORT_ONLY", ""); text != "" {
		report, err := parseReport(text)
		if err != nil {
			r.Wrong("REPORT_ONLY", fmt.Sprintf("%s: %v", reportMeaning, err))
			return
		}
		s.ReportOnly = report
	}
}

// longestLifetime is that of the tokens that live the longest of all that are accepted.
func (s *Settings) longestLifetime() time.Duration {
	longest := s.MaxLifetime
	for _, b := range s.Bearer {
		longest = max(longest, b.MaxTokenLifetime)
	}
	return longest
}

func parseBearer(line string) (b access.Bearer, err error) {
	err = eachWord(line, func(name, value string, _ bool) (err error) {
		list := items(value)
		switch name {
		case "issuers":
			b.Issuers = list
		case "clients":
			b.Clients = list
		case "routes":
			b.Routes = list
		case "scopes":
			b.Scopes = list
		case "until":
			if b.Until, err = time.Parse(time.DateOnly, value); err != nil {
				b.Until, err = time.Parse(time.RFC3339, value)
			}
			if err != nil {
				return fmt.Errorf("until is %q: a date, such as 2027-06-30, at whose beginning it ends", value)
			}
			return nil
		case "max-token-lifetime":
			b.MaxTokenLifetime, err = lifetime(value)
			return err
		default:
			return fmt.Errorf("%s is not understood: the words are issuers=, clients=, routes=, scopes=, until= and max-token-lifetime=", name)
		}
		if list == nil {
			return fmt.Errorf("%s is empty", name)
		}
		return nil
	})
	switch {
	case err != nil:
		return b, err
	case len(b.Issuers)+len(b.Clients)+len(b.Routes)+len(b.Scopes) == 0:
		return b, errors.New("an entry needs issuers=, clients=, routes= or scopes=")
	case b.Until.IsZero():
		return b, errors.New("an entry needs until=")
	}
	return b, nil
}

func parseReport(text string) (*access.ReportOnly, error) {
	o := &access.ReportOnly{}
	err := eachWord(text, func(name, value string, valued bool) (err error) {
		switch name {
		case "bound":
			if o.Bound = !valued; valued {
				return errors.New("bound has no value")
			}
		case "max-token-lifetime":
			o.MaxTokenLifetime, err = lifetime(value)
		default:
			known := false
			if known, err = Demand(&o.Requirement, name, value, valued); !known {
				return fmt.Errorf("%s is not understood: the words are bound, max-token-lifetime=, %s", name, Demands)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return o, o.Validate()
}

func lifetime(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d < time.Second || d > maxBearerLifetime {
		return 0, fmt.Errorf("max-token-lifetime is %q: a time with its unit, such as 1h, up to a year", value)
	}
	return d, nil
}

// eachWord calls do for each word between semicolons: a name, and behind = a value.
func eachWord(text string, do func(name, value string, valued bool) error) error {
	seen := map[string]bool{}
	for word := range strings.SplitSeq(text, ";") {
		name, value, valued := strings.Cut(strings.TrimSpace(word), "=")
		if seen[name] {
			return fmt.Errorf("%s is there twice: leave one of them", name)
		}
		seen[name] = true
		if err := do(name, value, valued); err != nil {
			return err
		}
	}
	return nil
}

// Demands are the words of [Demand].
const Demands = "scopes=, max-auth-age=, acr=, binding= and nonce"

// Demand sets what a word demands of a request, and reports whether there is such a word.
func Demand(q *access.Requirement, name, value string, valued bool) (known bool, err error) {
	list := items(value)
	switch name {
	case "nonce":
		q.Nonce, known = true, !valued
	case "scopes":
		q.Scopes, known = list, list != nil
	case "acr":
		q.ACRValues, known = list, list != nil
	case "max-auth-age":
		if q.MaxAuthAge, err = time.ParseDuration(value); err != nil {
			return true, fmt.Errorf("max-auth-age is %q: set a time with its unit, such as 5m", value)
		}
		return true, nil
	case "binding":
		for _, way := range list {
			switch way {
			case "dpop":
				q.Binding |= access.BindingDPoP
			case "certificate":
				q.Binding |= access.BindingCertificate
			default:
				return true, fmt.Errorf("binding is %q: set dpop, certificate, or both", value)
			}
		}
		known = list != nil
	}
	return known, nil
}
