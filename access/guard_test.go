package access_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/reason"
)

func TestOwnerIsAccepted(t *testing.T) {
	token := bound(claim("sid", "s-1"), claim("acr", "gold"), claim("auth_time", poptest.Now.Unix()-60), claim("plan", "pro"))
	grant, err := newGuard(t).Check(owner(token))
	if err != nil {
		t.Fatal(err)
	}
	var own struct {
		Plan string `json:"plan"`
	}
	if err := grant.Claims(&own); err != nil {
		t.Fatal(err)
	}
	got := []any{
		grant.Subject, grant.ClientID, grant.Issuer, grant.Session, grant.ACR, own.Plan, strings.Join(grant.Scopes, " "),
		grant.Expiry.Equal(poptest.Now.Add(5 * time.Minute)), grant.AuthTime.Equal(poptest.Now.Add(-time.Minute)),
		grant.Binding.String(), grant.Thumbprint, grant.HasScopes("accounts:read"), grant.HasScopes("accounts:read", "other"), grant.ID != "",
	}
	want := []any{
		"user-1", "client-1", poptest.Issuer, "s-1", "gold", "pro", "accounts:read",
		true, true, "DPoP", poptest.ClientKey().Thumbprint(), true, false, true,
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%d: got %v, want %v", i, got[i], want[i])
		}
	}
}

// The ways of presenting a good token and proof that a strict server could wrongly refuse.
func TestAcceptedForms(t *testing.T) {
	token := bound()
	proof := func() string { return poptest.Proof{Token: token}.String() }
	for name, r := range map[string]*http.Request{
		"RS-040 RS-174 lower-case scheme": get("dpop "+token, proof()),
		"RS-040 RS-172 upper-case scheme": get("DPOP "+token, proof()),
		"RS-040 two spaces":               get("DPoP  "+token, proof()),
		"RS-016 query on the request":     withURL(get("DPoP "+token, proof()), poptest.URL+"?page=2&access_tokens=1"),
		"RS-036 cnf with an unknown member": owner(bound(claim("cnf", map[string]any{
			"jkt": poptest.ClientKey().Thumbprint(), "foo": map[string]any{"bar": 1},
		}))),
		"RS-116 audience as an array":         owner(bound(claim("aud", []string{"other", poptest.Audience}))),
		"RS-113 application/at+jwt":           owner(bound(member("typ", "application/at+jwt"))),
		"RS-113 typ in upper case":            owner(bound(member("typ", "AT+JWT"))),
		"RS-025 unknown claims":               owner(bound(claim("roles", []int{1}))),
		"RS-119 expired within the leeway":    owner(bound(claim("exp", poptest.Now.Unix()-9))),
		"RS-170 iat and nbf 8 s ahead":        owner(bound(claim("iat", poptest.Now.Unix()+8), claim("nbf", poptest.Now.Unix()+8))),
		"exp with a fraction":                 owner(bound(claim("exp", float64(poptest.Now.Unix())+60.5))),
		"exactly the longest lifetime":        owner(bound(func(t *poptest.Token) { t.Lifetime = 15 * time.Minute })),
		"no iat but nbf":                      owner(bound(claim("iat", nil), claim("nbf", poptest.Now.Unix()))),
		"scope as an array":                   owner(bound(claim("scope", []string{"a", "b"}))),
		"RS-049 Proxy-Authorization beside":   withHeader(owner(token), "Proxy-Authorization", "DPoP "+token),
		"RS-103 a query that only looks like": withURL(owner(token), poptest.URL+"?xaccess_token=1&access_token2=x"),
	} {
		t.Run(name, func(t *testing.T) {
			if grant, err := newGuard(t).Check(r); err != nil || grant.Subject != "user-1" {
				t.Errorf("refused: %v", err)
			}
		})
	}
}

func withURL(r *http.Request, url string) *http.Request {
	u, err := r.URL.Parse(url)
	if err != nil {
		panic(err)
	}
	r.URL, r.RequestURI = u, u.RequestURI()
	return r
}

func formBody(body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, poptest.URL, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func withHeader(r *http.Request, name string, values ...string) *http.Request {
	for _, value := range values {
		r.Header.Add(name, value)
	}
	return r
}

// Each refusal with its status, code and reason (RS-044).
func TestRefusals(t *testing.T) {
	token := bound()
	other := poptest.Keyed("ES256", "thief")
	proof := poptest.Proof{Token: token}.String()
	noCredentials := refusal{401, "", "credentials_missing"}
	malformed := refusal{400, "invalid_request", "authorization_malformed"}
	twice := refusal{400, "invalid_request", "token_sent_twice"}
	token401 := func(reason string) refusal { return refusal{401, "invalid_token", reason} }
	proof401 := func(reason string) refusal { return refusal{401, "invalid_dpop_proof", reason} }

	for name, test := range map[string]struct {
		r    *http.Request
		want refusal
	}{
		"RS-051 RS-111 no credentials":         {get("", ""), noCredentials},
		"RS-039 a proof without a token":       {get("", proof), noCredentials},
		"RS-103 RS-163 token in the query":     {withURL(get("", proof), poptest.URL+"?access_token="+token), noCredentials},
		"RS-102 token in the body":             {formBody("access_token=" + token), noCredentials},
		"RS-049 token in Proxy-Authorization":  {withHeader(get("", proof), "Proxy-Authorization", "DPoP "+token), noCredentials},
		"RS-111 another scheme":                {get("Basic dTpw", proof), refusal{401, "", "scheme_unknown"}},
		"RS-053 RS-175 two Authorizations":     {withHeader(owner(token), "Authorization", "DPoP "+token), twice},
		"RS-053 Bearer beside DPoP":            {withHeader(owner(token), "Authorization", "Bearer "+token), twice},
		"RS-101 token in the query as well":    {withURL(owner(token), poptest.URL+"?access_token="+token), twice},
		"RS-101 and spelled otherwise":         {withURL(owner(token), poptest.URL+"?a=1&acc%65ss_token=x"), twice},
		"RS-040 RS-108 a tab after the scheme": {get("DPoP\t"+token, proof), malformed},
		"RS-040 no space":                      {get("DPoP", proof), malformed},
		"RS-040 no token":                      {get("DPoP ", proof), malformed},
		"RS-040 a word after the token":        {get("DPoP "+token+" x", proof), malformed},
		"RS-040 a list of tokens":              {get("DPoP "+token+",DPoP "+token, proof), malformed},
		"RS-040 parameters instead":            {get(`DPoP token="x"`, proof), malformed},
		"RS-108 an empty field":                {withHeader(get("", proof), "Authorization", ""), malformed},

		"RS-039 RS-177 DPoP without a proof": {get("DPoP "+token, ""), proof401("proof_missing")},
		"RS-003 two proofs":                  {withHeader(owner(token), "DPoP", proof), proof401("proof_multiple")},
		"RS-022 ath of another token":        {get("DPoP "+token, poptest.Proof{Token: bound()}.String()), proof401("ath_mismatch")},
		"RS-022 no ath":                      {get("DPoP "+token, poptest.Proof{}.String()), proof401("ath_missing")},
		"RS-014 htm of another method":       {get("DPoP "+token, poptest.Proof{Token: token, Method: "POST"}.String()), proof401("htm_mismatch")},
		"RS-015 htu of another resource":     {get("DPoP "+token, poptest.Proof{Token: token, URL: poptest.Audience + "/x"}.String()), proof401("htu_mismatch")},
		"RS-012 tampered signature":          {get("DPoP "+token, poptest.Tampered(proof)), proof401("signature_invalid")},
		"RS-012 signed with another key":     {get("DPoP "+token, poptest.Proof{Token: token, Signer: other}.String()), proof401("signature_invalid")},
		"RS-070 a proof of an hour ago":      {get("DPoP "+token, poptest.Proof{Token: token, IssuedAt: poptest.Now.Add(-time.Hour)}.String()), proof401("iat_too_old")},
		"RS-079 RS-135 the token as proof":   {get("DPoP "+token, token), proof401("typ_wrong")},
		"RS-057 a nonce that is not ours":    {get("DPoP "+token, poptest.Proof{Token: token, Nonce: "x", IssuedAt: poptest.Now.Add(-time.Hour)}.String()), refusal{401, "use_dpop_nonce", "nonce_foreign"}},

		"RS-023 RS-045 proof by another key":    {get("DPoP "+token, poptest.Proof{Token: token, Key: other}.String()), token401("key_mismatch")},
		"RS-050 bound token as Bearer":          {get("Bearer "+token, ""), token401("bound_token_as_bearer")},
		"RS-050 as Bearer with its proof":       {get("Bearer "+token, proof), token401("bound_token_as_bearer")},
		"RS-029 RS-166 an unbound token":        {get("Bearer "+poptest.Token{}.String(), ""), token401("token_unbound")},
		"RS-055 an unbound token as DPoP":       {owner(poptest.Token{}.String()), token401("token_unbound")},
		"RS-037 cnf with a certificate as well": {owner(bound(func(t *poptest.Token) { t.X5T = "x" })), token401("certificate_not_accepted")},
		"RS-096 certificate-bound as Bearer":    {get("Bearer "+poptest.Token{X5T: "x"}.String(), ""), token401("certificate_not_accepted")},
		"RS-038 cnf with a kid only":            {owner(bound(claim("cnf", map[string]any{"kid": "1"}))), token401("token_cnf_not_understood")},
		"RS-038 the same as Bearer":             {get("Bearer "+bound(claim("cnf", map[string]any{"kid": "1"})), ""), token401("token_cnf_not_understood")},
		"cnf that is empty":                     {owner(bound(claim("cnf", map[string]any{}))), token401("token_cnf_not_understood")},
		"cnf that is an array":                  {owner(bound(claim("cnf", []string{"jkt"}))), token401("token_cnf_not_understood")},
		"cnf that is null":                      {owner(bound(claim("cnf", json.RawMessage("null")))), token401("token_cnf_not_understood")},
		"jkt that is a number":                  {owner(bound(claim("cnf", map[string]any{"jkt": 1}))), token401("token_cnf_not_understood")},
		"jkt that is empty":                     {owner(bound(claim("cnf", map[string]any{"jkt": ""}))), token401("token_cnf_not_understood")},
		"jkt that is null beside x5t#S256":      {owner(bound(claim("cnf", json.RawMessage(`{"jkt":null,"x5t#S256":"x"}`)))), token401("token_cnf_not_understood")},
		"RS-030 jkt with padding":               {owner(bound(func(t *poptest.Token) { t.JKT += "=" })), token401("key_mismatch")},
		"RS-030 jkt in upper case":              {owner(bound(func(t *poptest.Token) { t.JKT = strings.ToUpper(t.JKT) })), token401("key_mismatch")},
		"RS-137 cnf with jkt twice":             {owner(bound(claim("cnf", json.RawMessage(`{"jkt":"a","jkt":"`+poptest.ClientKey().Thumbprint()+`"}`)))), token401("token_json_invalid")},

		"RS-119 expired":                       {owner(bound(claim("exp", poptest.Now.Unix()-10))), token401("token_expired")},
		"RS-170 iat 61 s ahead":                {owner(bound(claim("iat", poptest.Now.Unix()+61))), token401("token_not_yet_valid")},
		"RS-170 nbf 61 s ahead":                {owner(bound(claim("nbf", poptest.Now.Unix()+61))), token401("token_not_yet_valid")},
		"a token for a day":                    {owner(bound(func(t *poptest.Token) { t.Lifetime = 24 * time.Hour })), token401("token_lifetime_too_long")},
		"a second more than the longest":       {owner(bound(func(t *poptest.Token) { t.Lifetime = 15*time.Minute + time.Second })), token401("token_lifetime_too_long")},
		"an old token for a day near its end":  {owner(bound(func(t *poptest.Token) { t.IssuedAt, t.Lifetime = poptest.Now.Add(-86300*time.Second), 24*time.Hour })), token401("token_lifetime_too_long")},
		"exp at the end of time":               {owner(bound(claim("exp", json.RawMessage("1e308")))), token401("token_lifetime_too_long")},
		"neither iat nor nbf":                  {owner(bound(claim("iat", nil))), token401("token_claim_missing")},
		"RS-149 expired, and the wrong method": {get("DPoP "+bound(claim("exp", 1)), ""), proof401("proof_missing")},
	} {
		t.Run(name, func(t *testing.T) {
			grant, err := newGuard(t).Check(test.r)
			expect(t, err, test.want)
			if grant != nil {
				t.Error("refused, and a grant came all the same")
			}
		})
	}
}

// No single signal may be dropped to get in: of everything that a good request carries, each part is taken away
// or exchanged, and no such request may pass.
func TestNoDowngrade(t *testing.T) {
	for _, bearer := range []bool{false, true} {
		s := newGuard(t, func(s *setup) { s.InsecureAllowBearer = bearer })
		token := bound()
		for _, scheme := range []string{"DPoP", "Bearer", "dpop", "bearer", "Basic", ""} {
			for name, proof := range map[string]string{
				"none": "", "good": poptest.Proof{Token: token}.String(), "of another key": poptest.Proof{Token: token, Key: poptest.Keyed("ES256", "x")}.String(),
				"garbage": "x.y.z", "without ath": poptest.Proof{}.String(), "empty": " ",
			} {
				legitimate := strings.EqualFold(scheme, "DPoP") && name == "good"
				_, err := s.Check(get(scheme+" "+token, proof))
				if reused := errors.Is(err, dpop.ErrReplayed); (err == nil || reused) != legitimate {
					t.Errorf("bearer allowed: %t, scheme %q, proof %s: %v", bearer, scheme, name, err)
				}
			}
		}
	}
}

func TestBearerOnlyByChoice(t *testing.T) {
	s := newGuard(t, func(s *setup) { s.InsecureAllowBearer = true })
	unbound := poptest.Token{}.String()
	grant, err := s.Check(get("Bearer "+unbound, "")) // RS-029 RS-100
	if err != nil || grant.Binding != 0 || grant.Binding.String() != "none" {
		t.Fatalf("got %v, %v", grant, err)
	}
	if grant, err = s.Check(get("Bearer "+unbound, poptest.Proof{Token: unbound}.String())); err != nil || grant.Binding != 0 {
		t.Errorf("with a good proof beside it: %v", err)
	}
	_, err = s.Check(get("Bearer "+unbound, poptest.Proof{}.String()))
	expect(t, err, refusal{401, "invalid_dpop_proof", "ath_missing"})
	_, err = s.Check(get("Bearer "+bound(), ""))
	expect(t, err, refusal{401, "invalid_token", "bound_token_as_bearer"})
	_, err = s.Check(owner(unbound))
	expect(t, err, refusal{401, "invalid_token", "token_unbound"})
}

func TestWithoutDPoP(t *testing.T) {
	s := newGuard(t, func(s *setup) { s.WithoutDPoP, s.InsecureAllowBearer = true, true })
	_, err := s.Check(owner(bound()))
	e := expect(t, err, refusal{401, "invalid_token", "dpop_not_accepted"})
	if got := challenges(e); len(got) != 1 || !strings.HasPrefix(got[0], `Bearer error="invalid_token"`) {
		t.Errorf("challenges %q", got)
	}
	_, err = s.Check(get("Bearer "+bound(), ""))
	expect(t, err, refusal{401, "invalid_token", "dpop_not_accepted"})
	if _, err = s.Check(get("Bearer "+poptest.Token{}.String(), "not for this server")); err != nil {
		t.Errorf("a DPoP field at a server that knows no DPoP: %v", err)
	}
}

// Only a request that passes everything else may use its proof up (RS-076), whatever it is refused for.
func TestRefusedProofIsNotUsedUp(t *testing.T) {
	refusing := true
	s := newGuard(t, func(s *setup) {
		s.Policies = []access.Policy{func(*http.Request, *access.Grant) error {
			if refusing {
				return access.ErrTokenInactive
			}
			return nil
		}}
	})
	token := bound()
	proof := poptest.Proof{Token: token, JTI: "one"}.String()
	_, err := s.Check(get("DPoP "+token, proof))
	expect(t, err, refusal{401, "invalid_token", "token_inactive"})
	_, err = s.Check(get("DPoP "+token, poptest.Tampered(proof)))
	expect(t, err, refusal{401, "invalid_dpop_proof", "signature_invalid"})
	refusing = false
	if _, err := s.Check(get("DPoP "+token, proof)); err != nil {
		t.Fatalf("the proof was used up by a refused request: %v", err)
	}
	_, err = s.Check(get("DPoP "+token, proof)) // RS-054 RS-073
	expect(t, err, refusal{401, "invalid_dpop_proof", "proof_replayed"})
}

type failingStore struct{}

func (failingStore) Claim(context.Context, dpop.ReplayKey, time.Time) (bool, error) {
	return true, errors.New("connection refused")
}

func (failingStore) Since() time.Time { return time.Time{} }

func (failingStore) Window() time.Duration { return time.Hour }

// RS-180: what fails on our side is never an accept and never a 401.
func TestOwnTroubleIs503(t *testing.T) {
	for name, test := range map[string]struct {
		part, reason string
		change       func(*setup)
	}{
		"replay store down": {"replay_store", "replay_store_unreachable", func(s *setup) { s.Replay = failingStore{} }},
		"validator down": {"validator", "validator_failed", func(s *setup) {
			s.Issuers, s.Tokens = nil, access.ValidatorFunc(func(context.Context, string) (*access.Token, error) { return nil, errors.New("no database") })
		}},
		"validator without an answer": {"validator", "validator_failed", func(s *setup) {
			s.Issuers, s.Tokens = nil, access.ValidatorFunc(func(context.Context, string) (*access.Token, error) { return nil, nil })
		}},
		"validator that says which part of it": {"replay_store", "replay_store_unreachable", func(s *setup) {
			s.Issuers, s.Tokens = nil, access.ValidatorFunc(func(context.Context, string) (*access.Token, error) { return nil, dpop.ErrStore })
		}},
		"policy down": {"policy", "policy_failed", func(s *setup) {
			s.Policies = []access.Policy{func(*http.Request, *access.Grant) error { return errors.New("no database") }}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			grant, err := newGuard(t, test.change).Check(owner(bound()))
			e := expect(t, err, refusal{503, "", test.reason})
			if part := reason.Part(e); part != test.part {
				t.Errorf("the part is %q, want %q", part, test.part)
			}
			h := http.Header{}
			e.SetHeaders(h)
			if grant != nil || h.Get("Retry-After") != "1" || h.Get("WWW-Authenticate") != "" {
				t.Errorf("grant %v, header %v", grant, h)
			}
			if strings.Contains(e.Description, "database") || strings.Contains(e.Description, "connection") {
				t.Errorf("the client is told %q", e.Description)
			}
		})
	}
}

// An application's own tokens go the same way as JWTs: the Guard judges their times and their confirmation.
func TestOwnValidator(t *testing.T) {
	good := access.Token{
		Subject: "user-9", IssuedAt: poptest.Now, Expiry: poptest.Now.Add(time.Minute),
		Confirmation: access.Confirmation{JKT: poptest.ClientKey().Thumbprint()},
	}
	for name, test := range map[string]struct {
		change func(*access.Token)
		err    error
		want   refusal
	}{
		"good":          {change: func(*access.Token) {}},
		"inactive":      {err: access.ErrTokenInactive, want: refusal{401, "invalid_token", "token_inactive"}},
		"wrapped":       {err: errors.Join(errors.New("row 7"), access.ErrTokenInactive), want: refusal{401, "invalid_token", "token_inactive"}},
		"expired":       {change: func(t *access.Token) { t.Expiry = poptest.Now.Add(-time.Minute) }, want: refusal{401, "invalid_token", "token_expired"}},
		"without exp":   {change: func(t *access.Token) { t.Expiry = time.Time{} }, want: refusal{401, "invalid_token", "token_claim_missing"}},
		"too long":      {change: func(t *access.Token) { t.Expiry = poptest.Now.Add(time.Hour) }, want: refusal{401, "invalid_token", "token_lifetime_too_long"}},
		"unbound":       {change: func(t *access.Token) { t.Confirmation = access.Confirmation{} }, want: refusal{401, "invalid_token", "token_unbound"}},
		"another's key": {change: func(t *access.Token) { t.Confirmation.JKT = "x" }, want: refusal{401, "invalid_token", "key_mismatch"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newGuard(t, func(s *setup) {
				s.Issuers, s.Tokens = nil, access.ValidatorFunc(func(_ context.Context, token string) (*access.Token, error) {
					if token != "opaque-1" {
						t.Errorf("asked for %q", token)
					}
					own := good
					if test.change != nil {
						test.change(&own)
					}
					return &own, test.err
				})
			})
			grant, err := s.Check(owner("opaque-1"))
			if test.want == (refusal{}) {
				if err != nil || grant.Subject != "user-9" {
					t.Errorf("refused: %v", err)
				}
				var none struct{ A string }
				if err := grant.Claims(&none); err != nil || none.A != "" {
					t.Errorf("claims of an opaque token: %v", err)
				}
				return
			}
			expect(t, err, test.want)
		})
	}
}

// What an application's policy answers reaches the client in the right form, and nothing else of it does.
func TestPolicyAnswers(t *testing.T) {
	own := &access.Error{Status: 403, Code: "insufficient_scope", Description: "line\r\nfeed \"and\" quotes é", Err: errors.New("inside")}
	s := newGuard(t, func(s *setup) {
		s.Policies = []access.Policy{func(*http.Request, *access.Grant) error { return own }}
	})
	r := owner(bound())
	_, err := s.Check(r)
	e := expect(t, err, refusal{403, "insufficient_scope", ""})
	want := `DPoP error="insufficient_scope", error_description="line??feed ?and? quotes ?", ` + algs
	if got := challenges(e); len(got) != 1 || got[0] != want {
		t.Errorf("challenges %q, want %q", got, want)
	}
	if len(challenges(own)) != 0 {
		t.Error("the policy's own value was changed")
	}
	w := httptest.NewRecorder()
	s.WriteError(w, r, err)
	var body struct{ Message string }
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Message != own.Description || w.Code != 403 {
		t.Errorf("%d %s: %v", w.Code, w.Body, err)
	}
}

// A policy's refusal with a status that is none is our own trouble, not a crash and not a success.
func TestPolicyStatus(t *testing.T) {
	for status, want := range map[int]refusal{
		0: {503, "", "unavailable"}, 200: {503, "", "unavailable"}, 302: {503, "", "unavailable"}, 600: {503, "", "unavailable"},
		400: {400, "", ""}, 429: {429, "", ""}, 599: {599, "", ""},
	} {
		s := newGuard(t, func(s *setup) {
			s.Policies = []access.Policy{func(*http.Request, *access.Grant) error {
				return &access.Error{Status: status, Err: errors.New("inside")}
			}}
		})
		_, err := s.Check(owner(bound()))
		expect(t, err, want)
	}
}

// A token that was found good is judged again on every request.
func TestKnownTokenIsJudgedAgain(t *testing.T) {
	asked := 0
	revoked := false
	s := newGuard(t, func(s *setup) {
		s.Policies = []access.Policy{func(*http.Request, *access.Grant) error {
			asked++
			if revoked {
				return access.ErrTokenInactive
			}
			return nil
		}}
	})
	token := bound()
	call := func() error {
		_, err := s.Check(get("DPoP "+token, poptest.Proof{Token: token, IssuedAt: s.clock.Now()}.String()))
		return err
	}
	for range 3 {
		if err := call(); err != nil {
			t.Fatal(err)
		}
		s.WaitForCache()
	}
	if asked != 3 {
		t.Errorf("policy was asked %d times, want 3", asked)
	}
	revoked = true
	expect(t, call(), refusal{401, "invalid_token", "token_inactive"})
	revoked = false
	s.clock.Advance(5*time.Minute + 10*time.Second)
	expect(t, call(), refusal{401, "invalid_token", "token_expired"})
}

// A Guard that was closed lets nothing through.
func TestClosed(t *testing.T) {
	s := newGuard(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := s.Check(owner(bound()))
	expect(t, err, refusal{503, "", "guard_closed"})
}

// Closing beside requests neither panics nor lets anything through.
func TestCloseBesideRequests(t *testing.T) {
	s := newGuard(t)
	done := make(chan struct{})
	for range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			for range 50 {
				_, _ = s.Check(owner(bound()))
			}
		}()
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	for range 4 {
		<-done
	}
}

// RS-167, RS-168: the algorithms of FAPI 2.0 and no others, for proofs and tokens.
func TestFAPI2Algorithms(t *testing.T) {
	s := newGuard(t, func(s *setup) {
		s.Algorithms, s.Issuers[0].Algorithms = dpop.FAPI2Algorithms, dpop.FAPI2Algorithms
	})
	for _, alg := range dpop.Algorithms() {
		key := poptest.Keyed(alg, "fapi client")
		token := poptest.Token{JKT: key.Thumbprint()}.String()
		_, err := s.Check(get("DPoP "+token, poptest.Proof{Token: token, Key: key}.String()))
		if slices.Contains(dpop.FAPI2Algorithms, alg) {
			if err != nil {
				t.Errorf("%s: %v", alg, err)
			}
			continue
		}
		e := expect(t, err, refusal{401, "invalid_dpop_proof", "alg_not_allowed"})
		if got := challenges(e); !strings.HasSuffix(got[0], `algs="PS256 ES256 EdDSA Ed25519"`) { // RS-046
			t.Errorf("challenges %q", got)
		}
	}
	small := poptest.RSA("PS256", 1024)
	token := poptest.Token{JKT: small.Thumbprint()}.String()
	_, err := s.Check(get("DPoP "+token, poptest.Proof{Token: token, Key: small}.String()))
	expect(t, err, refusal{401, "invalid_dpop_proof", "key_unacceptable"})
}
