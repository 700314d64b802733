package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/senderlock/senderlock/conformance/internal/recipe"
)

// marker is what cases put where a careless server would repeat it.
const marker = "conformance-marker"

// checks are the properties of answers that cases name.
var checks = map[string]func(*runner, *response, *recipe.Sent) error{
	"challenge": func(_ *runner, p *response, _ *recipe.Sent) error {
		return want(len(p.challenges) > 0 && p.malformed == nil, "there is no well-formed WWW-Authenticate")
	},
	"dpop-challenge": func(_ *runner, p *response, _ *recipe.Sent) error { // which 401 has to have, and others may
		return want(p.challenge("DPoP") != nil || p.status != http.StatusUnauthorized, "there is no DPoP challenge")
	},
	"some-challenge": func(_ *runner, p *response, _ *recipe.Sent) error { // of a scheme that can apply (RFC 9110 §15.5.2)
		return want(p.challenge("DPoP") != nil || p.challenge("Bearer") != nil || p.status != http.StatusUnauthorized,
			"there is no DPoP challenge, nor one of Bearer")
	},
	"not-the-resource": func(r *runner, p *response, _ *recipe.Sent) error {
		return want(p.status/100 != 2 || r.good == "" || p.body != r.good, "the answer is that of a good request")
	},
	"dpop-first": func(_ *runner, p *response, _ *recipe.Sent) error {
		return want(len(p.challenges) > 0 && strings.EqualFold(p.challenges[0].scheme, "DPoP"),
			"the first challenge is not DPoP")
	},
	"well-formed": func(_ *runner, p *response, _ *recipe.Sent) error { return wellFormed(p) },
	"realm-once": func(_ *runner, p *response, _ *recipe.Sent) error {
		for _, c := range p.challenges {
			n := 0
			for _, q := range c.params {
				if strings.EqualFold(q.name, "realm") {
					n++
				}
			}
			if n > 1 {
				return fmt.Errorf("realm stands %d times in one challenge", n)
			}
		}
		return nil
	},
	"algs": func(_ *runner, p *response, _ *recipe.Sent) error {
		c := p.challenge("DPoP")
		return want(c != nil && c.get("algs") != "", "the DPoP challenge has no algs")
	},
	"algs-asymmetric": func(_ *runner, p *response, _ *recipe.Sent) error {
		if c := p.challenge("DPoP"); c != nil {
			for alg := range strings.FieldsSeq(c.get("algs")) {
				if strings.EqualFold(alg, "none") || strings.HasPrefix(alg, "HS") || alg == "dir" {
					return fmt.Errorf("algs offers %s", alg)
				}
			}
		}
		return nil
	},
	"error": func(_ *runner, p *response, _ *recipe.Sent) error {
		return want(len(p.codes()) > 0, "no challenge has an error code")
	},
	"no-error": func(_ *runner, p *response, _ *recipe.Sent) error {
		return want(len(p.codes()) == 0, "a challenge has the error %s", strings.Join(p.codes(), " "))
	},
	"error-on-dpop":   func(_ *runner, p *response, _ *recipe.Sent) error { return errorOn(p, "DPoP") },
	"error-on-bearer": func(_ *runner, p *response, _ *recipe.Sent) error { return errorOn(p, "Bearer") },
	"scope": func(_ *runner, p *response, _ *recipe.Sent) error {
		return want(slices.ContainsFunc(p.challenges,
			func(c challenge) bool { return strings.Contains(c.get("scope"), "conformance:write") }),
			"no challenge names the scope conformance:write")
	},
	"max-age": func(_ *runner, p *response, _ *recipe.Sent) error {
		return want(slices.ContainsFunc(p.challenges, func(c challenge) bool { return digits(c.get("max_age")) }),
			"no challenge has max_age with a number")
	},
	"acr": func(_ *runner, p *response, _ *recipe.Sent) error {
		return want(slices.ContainsFunc(p.challenges, func(c challenge) bool {
			return strings.Contains(c.get("acr_values"), "urn:conformance:strong")
		}), "no challenge has acr_values with urn:conformance:strong")
	},
	"one-nonce": func(_ *runner, p *response, _ *recipe.Sent) error {
		n := len(p.header["Dpop-Nonce"])
		return want(n == 1, "%d DPoP-Nonce fields, want one", n)
	},
	"at-most-one-nonce": func(_ *runner, p *response, _ *recipe.Sent) error {
		n := len(p.header["Dpop-Nonce"])
		return want(n <= 1, "%d DPoP-Nonce fields, want at most one", n)
	},
	"nonce-text": func(_ *runner, p *response, _ *recipe.Sent) error {
		for _, nonce := range p.header["Dpop-Nonce"] {
			for i := range len(nonce) {
				if c := nonce[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
					return fmt.Errorf("the nonce holds the character %q", c)
				}
			}
			if nonce == "" {
				return errors.New("the nonce is empty")
			}
		}
		return nil
	},
	"no-store": func(_ *runner, p *response, _ *recipe.Sent) error {
		control := strings.ToLower(strings.Join(p.header["Cache-Control"], ","))
		return want(p.header.Get("DPoP-Nonce") == "" || strings.Contains(control, "no-store") ||
			strings.Contains(control, "private") || strings.Contains(control, "no-cache"),
			"an answer with a nonce may be stored: Cache-Control is %q", control)
	},
	"expose-challenge": func(_ *runner, p *response, _ *recipe.Sent) error { return exposes(p, "WWW-Authenticate") },
	"expose-nonce":     func(_ *runner, p *response, _ *recipe.Sent) error { return exposes(p, "DPoP-Nonce") },
	"no-proxy-authenticate": func(_ *runner, p *response, _ *recipe.Sent) error {
		return want(len(p.header["Proxy-Authenticate"]) == 0, "the answer has Proxy-Authenticate")
	},
	"not-reflected": func(_ *runner, p *response, s *recipe.Sent) error {
		for name, values := range p.header {
			for _, value := range values {
				if strings.Contains(value, marker) || s.Token != "" && strings.Contains(value, s.Token) {
					return fmt.Errorf("%s repeats what was received", name)
				}
			}
		}
		return nil
	},
	"not-broken-out": func(_ *runner, p *response, _ *recipe.Sent) error {
		for name := range p.header {
			if strings.Contains(strings.ToLower(name), marker) {
				return fmt.Errorf("what was received has become the field %s", name)
			}
		}
		for _, c := range p.challenges {
			for _, q := range c.params {
				if q.name != "error_description" && strings.Contains(q.value, marker) {
					return fmt.Errorf("what was received has become the parameter %s", q.name)
				}
			}
		}
		return nil
	},
	"token-not-reflected": func(_ *runner, p *response, s *recipe.Sent) error {
		return want(!strings.Contains(p.body, s.Token), "the body repeats the access token")
	},
	"fast": func(r *runner, p *response, _ *recipe.Sent) error {
		return want(p.took < r.options.Quick, "the answer took %v", p.took.Round(time.Millisecond))
	},
	"certificate-request": func(_ *runner, p *response, _ *recipe.Sent) error {
		return want(p.asked, "the handshake does not ask for a client certificate")
	},
	"unproven-introspection": func(r *runner, _ *response, _ *recipe.Sent) error {
		asked, proofs := r.options.Issuer.introspections()
		if asked == 0 {
			return errors.New("introspection was not asked")
		}
		return want(proofs == 0, "%d DPoP fields came to the introspection endpoint", proofs)
	},
	"metadata-json": func(_ *runner, p *response, _ *recipe.Sent) error {
		_, err := metadata(p)
		return want(err == nil && strings.HasPrefix(p.header.Get("Content-Type"), "application/json"),
			"no JSON object of type application/json")
	},
	"metadata-resource": func(r *runner, p *response, _ *recipe.Sent) error {
		m, err := metadata(p)
		if err != nil {
			return err
		}
		path := strings.TrimPrefix(r.world.Metadata, wellKnown) // what stands behind it (RFC 9728 §3.1)
		return want(strings.TrimSuffix(m.Resource, "/") == strings.TrimSuffix(r.world.Origin+path, "/"),
			"resource is %q, want %q", m.Resource, r.world.Origin+path)
	},
	"resource-metadata": func(r *runner, p *response, _ *recipe.Sent) error {
		for _, c := range p.challenges {
			if u := c.get("resource_metadata"); u != "" && !strings.HasPrefix(u, r.world.Origin+wellKnown) {
				return fmt.Errorf("resource_metadata is %q, which is not below the well-known path of %s", u,
					r.world.Origin)
			}
		}
		return nil
	},
	"metadata-https": func(r *runner, p *response, _ *recipe.Sent) error {
		m, err := metadata(p)
		if err != nil {
			return err
		}
		u, err := url.Parse(m.Resource)
		return want(err == nil && (u.Scheme == "https" || strings.HasPrefix(r.world.Origin, "http:")) &&
			!strings.Contains(m.Resource, "#"), "resource is %q, want https and no fragment", m.Resource)
	},
	"metadata-algs": func(r *runner, p *response, _ *recipe.Sent) error {
		m, err := metadata(p)
		if err != nil {
			return err
		}
		want, got := slices.Sorted(slices.Values(r.algorithms)), slices.Sorted(slices.Values(m.Algorithms))
		if m.Algorithms != nil && r.algorithms != nil && !slices.Equal(want, got) {
			return fmt.Errorf("dpop_signing_alg_values_supported is %v, the challenge says %v", got, want)
		}
		return nil
	},
	"metadata-asymmetric": func(_ *runner, p *response, _ *recipe.Sent) error {
		m, err := metadata(p)
		if err != nil {
			return err
		}
		for _, alg := range slices.Concat(m.Algorithms, m.Signing) {
			if alg == "none" || strings.HasPrefix(alg, "HS") && slices.Contains(m.Algorithms, alg) {
				return fmt.Errorf("the metadata lists %s", alg)
			}
		}
		return nil
	},
	"metadata-methods": func(_ *runner, p *response, _ *recipe.Sent) error {
		m, err := metadata(p)
		if err != nil {
			return err
		}
		return want(!slices.Contains(m.Methods, "query") && !slices.Contains(m.Methods, "body"),
			"bearer_methods_supported is %v", m.Methods)
	},
	"metadata-bound": func(_ *runner, p *response, _ *recipe.Sent) error {
		m, err := metadata(p)
		if err != nil {
			return err
		}
		return want(m.Bound == nil || *m.Bound,
			"dpop_bound_access_tokens_required is false, and unbound tokens are refused")
	},
	"metadata-full": func(_ *runner, p *response, _ *recipe.Sent) error {
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(p.body), &members); err != nil {
			return err
		}
		for name, value := range members {
			if text := string(value); text == "null" || text == "[]" || text == `""` {
				return fmt.Errorf("%s has no value and must be left out", name)
			}
		}
		return nil
	},
}

// want is nil if ok, and the error otherwise.
func want(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

func (p *response) challenge(scheme string) *challenge {
	for i := range p.challenges {
		if strings.EqualFold(p.challenges[i].scheme, scheme) {
			return &p.challenges[i]
		}
	}
	return nil
}

// errorOn wants the error on the challenge of one scheme alone (RFC 9449 §7.2).
func errorOn(p *response, scheme string) error {
	for _, c := range p.challenges {
		if has := c.get("error") != ""; has != strings.EqualFold(c.scheme, scheme) {
			return fmt.Errorf("challenge %s: error %q; the request used %s", c.scheme, c.get("error"), scheme)
		}
	}
	return want(p.challenge(scheme) != nil, "there is no challenge %s", scheme)
}

// wellFormed checks the syntax of the challenges and the characters of RFC 6750 §3.
func wellFormed(p *response) error {
	if p.malformed != nil {
		return p.malformed
	}
	for _, c := range p.challenges {
		for _, q := range c.params {
			switch q.name {
			case "error", "error_description", "error_uri", "scope":
				for i := range len(q.value) {
					if b := q.value[i]; b < 0x20 || b > 0x7e || b == '"' || b == '\\' {
						return fmt.Errorf("%s holds the character %q", q.name, b)
					}
				}
			}
		}
	}
	return nil
}

func exposes(p *response, name string) error {
	exposed := strings.Join(p.header["Access-Control-Expose-Headers"], ",")
	for field := range strings.SplitSeq(exposed, ",") {
		if field = strings.TrimSpace(field); strings.EqualFold(field, name) || field == "*" {
			return nil
		}
	}
	return fmt.Errorf("Access-Control-Expose-Headers is %q, without %s", exposed, name)
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// protected is the metadata of a protected resource (RFC 9728 §2).
type protected struct {
	Resource   string   `json:"resource"`
	Algorithms []string `json:"dpop_signing_alg_values_supported"`
	Signing    []string `json:"resource_signing_alg_values_supported"`
	Methods    []string `json:"bearer_methods_supported"`
	Bound      *bool    `json:"dpop_bound_access_tokens_required"`
}

func metadata(p *response) (m protected, err error) {
	if err = json.Unmarshal([]byte(p.body), &m); err != nil {
		return m, fmt.Errorf("the metadata is not JSON: %w", err)
	}
	return m, nil
}
