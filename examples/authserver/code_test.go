package authserver_test

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"maps"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/examples/authserver"
	"github.com/senderlock/senderlock/internal/poptest"
)

const verifier = "a-code-verifier-of-at-least-forty-three-characters"

// authorization is a good authorization request of the public client, with changes; an empty value removes one.
func authorization(changes ...string) url.Values {
	sum := sha256.Sum256([]byte(verifier))
	form := values("response_type", "code", "client_id", "app", "redirect_uri", callback, "state", "st&te",
		"code_challenge", base64.RawURLEncoding.EncodeToString(sum[:]), "code_challenge_method", "S256")
	for i := 0; i < len(changes); i += 2 {
		form.Set(changes[i], changes[i+1])
	}
	maps.DeleteFunc(form, func(_ string, v []string) bool { return v[0] == "" })
	return form
}

// authorize returns where the browser is sent, and the parameters there.
func (h *harness) authorize(form url.Values) (to string, answer url.Values) {
	h.Helper()
	w := h.get("/authorize?" + form.Encode())
	u, err := url.Parse(w.Header().Get("Location"))
	if err != nil || w.Code != 303 {
		h.Fatalf("%d to %q: %s", w.Code, w.Header().Get("Location"), w.Body)
	}
	to, _, _ = strings.Cut(u.String(), "?")
	return to, u.Query()
}

func (h *harness) code(changes ...string) string {
	h.Helper()
	_, answer := h.authorize(authorization(changes...))
	if answer.Get("code") == "" {
		h.Fatalf("no code: %v", answer)
	}
	return answer.Get("code")
}

// redemption is a good request for the tokens of a code, with changes.
func redemption(code string, changes ...string) url.Values {
	form := values("grant_type", "authorization_code", "client_id", "app", "code", code,
		"redirect_uri", callback, "code_verifier", verifier)
	for i := 0; i < len(changes); i += 2 {
		form.Set(changes[i], changes[i+1])
	}
	return form
}

func refreshing(token string, changes ...string) url.Values {
	form := values("grant_type", "refresh_token", "client_id", "app", "refresh_token", token)
	for i := 0; i < len(changes); i += 2 {
		form.Set(changes[i], changes[i+1])
	}
	return form
}

func TestCodeBecomesTokens(t *testing.T) {
	for name, test := range map[string]struct {
		uri, acrAsked, acr string
		changes            []string
	}{
		"registered redirect URI": {callback, "", "pwd", nil},
		"another loopback port":   {"http://127.0.0.1:51004/callback", "", "pwd", nil},
		"https":                   {"https://app.example.com/cb", "", "pwd", nil},
		"stronger login":          {callback, "face mfa", "mfa", nil},
		"bound from the start":    {callback, "", "pwd", []string{"dpop_jkt", poptest.ClientKey().Thumbprint()}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, nil)
			to, answer := h.authorize(authorization(append(test.changes, "redirect_uri", test.uri, "acr_values", test.acrAsked, "scope", "read")...))
			if to != test.uri || answer.Get("state") != "st&te" || answer.Get("iss") != issuer {
				t.Fatalf("sent to %s with %v", to, answer)
			}
			login := h.clock.Now()
			h.clock.Advance(30 * time.Second)
			b, w := h.token(ask{form: redemption(answer.Get("code"), "redirect_uri", test.uri)})
			if w.Code != 200 || b.TokenType != "DPoP" || b.RefreshToken == "" || b.Scope != "read" {
				t.Fatalf("%d %+v", w.Code, b)
			}
			got := h.read(b.AccessToken)
			if got.Subject != "alice" || got.ClientID != "app" || got.Session == "" || got.ACR != test.acr ||
				!got.AuthTime.Equal(login) || got.Confirmation.JKT != poptest.ClientKey().Thumbprint() {
				t.Errorf("the token says %+v", got)
			}
		})
	}
}

func TestLoginForm(t *testing.T) {
	h := newHarness(t, func(c *authserver.Config) { c.AutoApprove = "" })
	page := h.get("/authorize?" + authorization().Encode())
	if page.Code != 200 || !strings.Contains(page.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Fatalf("%d %s", page.Code, page.Body)
	}
	form := url.Values{}
	for _, m := range regexp.MustCompile(`type="hidden" name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(page.Body.String(), -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	post := func(name, password string) *httptest.ResponseRecorder {
		form.Set("username", name)
		form.Set("password", password)
		r := httptest.NewRequest("POST", issuer+"/authorize", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return h.serve(r)
	}
	for _, wrong := range [][2]string{{"bob", "wonderland"}, {"carol", ""}, {"bob", ""}} {
		if w := post(wrong[0], wrong[1]); w.Code != 401 || strings.Contains(w.Body.String(), wrong[1]+`"`) && wrong[1] != "" {
			t.Errorf("%v: %d %s", wrong, w.Code, w.Body)
		}
	}
	to, err := url.Parse(post("bob", "builder").Header().Get("Location"))
	if err != nil || to.Query().Get("state") != "st&te" {
		t.Fatalf("%v, %v", to, err)
	}
	b, _ := h.token(ask{form: redemption(to.Query().Get("code"))})
	if got := h.read(b.AccessToken); got.Subject != "bob" || got.ACR != "" {
		t.Errorf("the token says %+v", got)
	}
	if w := h.get("/authorize?" + authorization("username", "bob", "password", "builder").Encode()); w.Code != 200 {
		t.Errorf("a password in the URL was accepted: %d", w.Code)
	}
}

// Nobody is sent to an address that is not the client's.
func TestNoRedirectToOthers(t *testing.T) {
	h := newHarness(t, nil)
	for name, changes := range map[string][]string{
		"unknown client":         {"client_id", "nobody"},
		"no redirect URI":        {"redirect_uri", ""},
		"another host":           {"redirect_uri", "https://evil.example/cb"},
		"loopback, other path":   {"redirect_uri", "http://127.0.0.1:5000/other"},
		"loopback, longer path":  {"redirect_uri", "http://127.0.0.1:5000/callback/x"},
		"loopback, with a query": {"redirect_uri", "http://127.0.0.1:5000/callback?x=1"},
		"loopback as user":       {"redirect_uri", "http://127.0.0.1:5000@evil.example/callback"},
		"loopback as a prefix":   {"redirect_uri", "http://127.0.0.1.evil.example/callback"},
		"other loopback address": {"redirect_uri", "http://127.0.0.2/callback"},
		"localhost":              {"redirect_uri", "http://localhost:5000/callback"},
		"https, other port":      {"redirect_uri", "https://app.example.com:8443/cb"},
		"another client's":       {"redirect_uri", "https://web.example.com/cb"},
	} {
		t.Run(name, func(t *testing.T) {
			if w := h.get("/authorize?" + authorization(changes...).Encode()); w.Code != 400 || w.Header().Get("Location") != "" {
				t.Errorf("%d to %q", w.Code, w.Header().Get("Location"))
			}
		})
	}
	if w := h.get("/authorize?client_id=app&" + authorization().Encode()); w.Code != 400 {
		t.Errorf("a parameter twice: %d", w.Code)
	}
}

func TestAuthorizationIsRefusedByRedirect(t *testing.T) {
	h := newHarness(t, nil)
	for name, test := range map[string]struct {
		changes []string
		code    string
	}{
		"implicit":         {[]string{"response_type", "token"}, "unsupported_response_type"},
		"no PKCE":          {[]string{"code_challenge", "", "code_challenge_method", ""}, "invalid_request"},
		"plain PKCE":       {[]string{"code_challenge_method", "plain"}, "invalid_request"},
		"default PKCE":     {[]string{"code_challenge_method", ""}, "invalid_request"},
		"short challenge":  {[]string{"code_challenge", "short"}, "invalid_request"},
		"foreign scope":    {[]string{"scope", "admin"}, "invalid_scope"},
		"unknown resource": {[]string{"resource", "https://evil.example"}, "invalid_target"},
		"login too weak":   {[]string{"acr_values", "face"}, "unmet_authentication_requirements"},
	} {
		t.Run(name, func(t *testing.T) {
			to, answer := (&harness{t, h.server, h.clock, h.keys}).authorize(authorization(test.changes...))
			if to != callback || answer.Get("error") != test.code || answer.Has("code") || answer.Get("state") != "st&te" {
				t.Errorf("to %s with %v, want %s", to, answer, test.code)
			}
		})
	}
}

func TestCodeIsRefused(t *testing.T) {
	other := otherKey()
	for name, test := range map[string]struct {
		authorize []string
		redeem    []string
		wait      time.Duration
		key       *poptest.Key
	}{
		"wrong verifier":         {redeem: []string{"code_verifier", verifier + "x"}},
		"no verifier":            {redeem: []string{"code_verifier", ""}},
		"another redirect URI":   {redeem: []string{"redirect_uri", "http://127.0.0.1:1/callback"}},
		"another client":         {redeem: []string{"client_id", "other-app"}},
		"unknown code":           {redeem: []string{"code", "guess"}},
		"late":                   {wait: time.Minute + time.Second},
		"another key than asked": {authorize: []string{"dpop_jkt", poptest.ClientKey().Thumbprint()}, key: other},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, nil)
			code := h.code(test.authorize...)
			h.clock.Advance(test.wait)
			b, w := h.token(ask{form: redemption(code, test.redeem...), proof: &poptest.Proof{Key: test.key}})
			if w.Code != 400 || b.Error != "invalid_grant" {
				t.Fatalf("%d %+v", w.Code, b)
			}
			if test.wait > 0 {
				return
			}
			if b, w := h.token(ask{form: redemption(code)}); w.Code != 200 {
				t.Errorf("afterwards the owner is refused: %d %+v", w.Code, b)
			}
		})
	}
}

func TestCodeReplayEndsTheSession(t *testing.T) {
	h := newHarness(t, nil)
	code := h.code()
	first, _ := h.token(ask{form: redemption(code)})
	if b, w := h.token(ask{form: redemption(code)}); w.Code != 400 || b.Error != "invalid_grant" {
		t.Fatalf("the same code again: %d %+v", w.Code, b)
	}
	if b, _ := h.token(ask{form: refreshing(first.RefreshToken)}); b.Error != "invalid_grant" {
		t.Errorf("a refresh token of a replayed code still works: %+v (RFC 6749 §4.1.2)", b)
	}
}

func TestRefresh(t *testing.T) {
	h := newHarness(t, nil)
	first, _ := h.token(ask{form: redemption(h.code())})
	before := h.read(first.AccessToken)
	h.clock.Advance(time.Hour)

	thief := &poptest.Proof{Key: poptest.NewKey("ES256")}
	if b, _ := h.token(ask{form: refreshing(first.RefreshToken), proof: thief}); b.Error != "invalid_grant" {
		t.Fatalf("with another key: %+v", b)
	}
	if b, _ := h.token(ask{form: refreshing(first.RefreshToken, "client_id", "other-app")}); b.Error != "invalid_grant" {
		t.Errorf("by another client: %+v", b)
	}
	if b, _ := h.token(ask{form: refreshing(first.RefreshToken, "scope", "read admin")}); b.Error != "invalid_scope" {
		t.Errorf("for more scopes: %+v", b)
	}
	second, w := h.token(ask{form: refreshing(first.RefreshToken, "scope", "read")})
	if w.Code != 200 || second.Scope != "read" || second.RefreshToken == first.RefreshToken {
		t.Fatalf("by the owner: %d %+v", w.Code, second)
	}
	after := h.read(second.AccessToken)
	if !after.AuthTime.Equal(before.AuthTime) || after.Session != before.Session || after.ACR != before.ACR || after.ID == before.ID {
		t.Errorf("a refresh is no new login: %+v, then %+v", before, after)
	}
	third, _ := h.token(ask{form: refreshing(second.RefreshToken)})
	if third.Scope != "read write" {
		t.Errorf("fewer scopes once are fewer for ever: %+v", third)
	}

	// A thief cannot end the session without the key, even with a token that was used.
	if b, _ := h.token(ask{form: refreshing(first.RefreshToken), proof: thief}); b.Error != "invalid_grant" {
		t.Errorf("with another key: %+v", b)
	}
	fourth, w := h.token(ask{form: refreshing(third.RefreshToken)})
	if w.Code != 200 {
		t.Fatalf("after the thief, the owner: %+v", fourth)
	}
	if b, _ := h.token(ask{form: refreshing(first.RefreshToken)}); b.Error != "invalid_grant" {
		t.Errorf("a used refresh token: %+v", b)
	}
	if b, _ := h.token(ask{form: refreshing(fourth.RefreshToken)}); b.Error != "invalid_grant" {
		t.Errorf("after a used one came back, the newest still works: %+v (RFC 9700 §4.14.2)", b)
	}
}

// The refresh token of a confidential client is bound to its secret instead, so its key may change (RFC 9449 §5).
func TestConfidentialClientMayChangeItsKey(t *testing.T) {
	h := newHarness(t, nil)
	const uri = "https://web.example.com/cb"
	code := h.code("client_id", "web", "redirect_uri", uri)
	first, _ := h.token(ask{form: redemption(code, "client_id", "web", "redirect_uri", uri, "client_secret", "s")})
	other := otherKey()
	second, w := h.token(ask{
		form:  refreshing(first.RefreshToken, "client_id", "web", "client_secret", "s"),
		proof: &poptest.Proof{Key: other},
	})
	if w.Code != 200 || h.read(second.AccessToken).Confirmation.JKT != other.Thumbprint() {
		t.Errorf("%d %+v", w.Code, second)
	}
	if b, _ := h.token(ask{form: refreshing(second.RefreshToken, "client_id", "web")}); b.Error != "invalid_client" {
		t.Errorf("without the secret: %+v", b)
	}
}
