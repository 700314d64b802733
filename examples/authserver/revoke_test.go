package authserver_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func (h *harness) revoke(form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", issuer+"/revoke", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return h.serve(r)
}

func TestRevocation(t *testing.T) {
	for name, test := range map[string]struct {
		change []string
		status int
		code   string
		ended  bool
	}{
		"by the client":     {nil, 200, "", true},
		"an old token":      {[]string{"token", "old"}, 200, "", true},
		"by another client": {[]string{"client_id", "other-app"}, 200, "", false},
		"an unknown token":  {[]string{"token", "guess"}, 200, "", false},
		"an unknown client": {[]string{"client_id", "nobody"}, 401, "invalid_client", false},
		"no token":          {[]string{"token", ""}, 400, "invalid_request", false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, nil)
			old, _ := h.token(ask{form: redemption(h.code())})
			newest, _ := h.token(ask{form: refreshing(old.RefreshToken)})
			form := values("client_id", "app", "token", newest.RefreshToken)
			for i := 0; i < len(test.change); i += 2 {
				form.Set(test.change[i], strings.Replace(test.change[i+1], "old", old.RefreshToken, 1))
			}
			if w := h.revoke(form); w.Code != test.status || !strings.Contains(w.Body.String(), test.code) {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, test.status, test.code)
			}
			if b, w := h.token(ask{form: refreshing(newest.RefreshToken)}); (b.Error == "invalid_grant") != test.ended {
				t.Errorf("afterwards: %d %+v", w.Code, b)
			}
		})
	}
}
