package echotest

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
)

// RS-151, RS-154: a client that knows nothing is led to the metadata, which lists what the routes require.
func (f suite) TestMetadataIsPublished(t *testing.T) {
	for name, test := range map[string]struct{ given, want []string }{
		"scopes of the routes": {nil, []string{"accounts:read", "payments:write"}},
		"scopes of the config": {[]string{"accounts:read"}, []string{"accounts:read"}},
		"no scopes":            {[]string{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			auth := f.newAuth(t, func(c *access.Config) {
				c.Resources = []access.Resource{{URL: poptest.Audience + "/v1", Scopes: test.given}, {URL: poptest.Audience + "/v2"}}
			})
			a := f.newAPI(auth, auth.RequireScope("payments:write"))
			auth.PublishMetadata(a.Server)
			a.Handle("GET", "/later", a.handler, auth.Require(access.Requirement{Scopes: []string{"accounts:read", "payments:write"}}))

			challenge := a.serve(get(poptest.URL)).Header().Get("WWW-Authenticate")
			_, link, _ := strings.Cut(challenge, `resource_metadata="`)
			w := a.serve(get(strings.TrimSuffix(link, `"`)))
			var got struct {
				Resource             string
				AuthorizationServers []string `json:"authorization_servers"`
				Scopes               []string `json:"scopes_supported"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
				t.Fatalf("%s: %d %s", challenge, w.Code, w.Body)
			}
			if got.Resource != poptest.Audience+"/v1" || !slices.Equal(got.Scopes, test.want) || !slices.Equal(got.AuthorizationServers, []string{poptest.Issuer}) {
				t.Errorf("got %+v", got)
			}
			if w := a.serve(get(strings.Replace(strings.TrimSuffix(link, `"`), "/v1", "/v2", 1))); !strings.Contains(w.Body.String(), poptest.Audience+"/v2") {
				t.Errorf("of the second: %d %s", w.Code, w.Body)
			}
			if a.ran() != 0 {
				t.Error("a protected handler ran")
			}
			if w := a.serve(httptest.NewRequest("POST", strings.TrimSuffix(link, `"`), nil)); w.Code != 405 {
				t.Errorf("POST: %d", w.Code)
			}
		})
	}
}
