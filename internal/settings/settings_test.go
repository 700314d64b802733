package settings_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/settings"
)

type values map[string]string

func read(v values) (*settings.Settings, *settings.Reader) {
	r := settings.NewReader(func(name string) string { return v[name] })
	return settings.Read(r), r
}

var enough = values{"ISSUER": "https://login.example.com", "AUDIENCE": "https://api.example.com"}

func (v values) with(change values) values {
	all := values{}
	for _, m := range []values{v, change} {
		for name, value := range m {
			all[name] = value
		}
	}
	return all
}

// Each wrong value is refused with the name of its setting and what to put there.
func TestWrongValues(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	introspecting := values{"INTROSPECTION_ENDPOINT": "https://login.example.com/i", "INTROSPECTION_CLIENT_ID": "api", "INTROSPECTION_CLIENT_SECRET": "s"}
	proxied := values{"TRUSTED_PROXIES": "10.0.0.1", "PUBLIC_ORIGINS": "https://api.example.com"}
	wrong := map[string][]struct {
		beside values
		value  string
		want   string
	}{
		"HOST":                        {{nil, "no host", "set the address to listen on"}, {nil, "example.com", "set the address to listen on"}},
		"PORT":                        {{nil, "http", "set a port number"}, {nil, "65536", "set a port number"}, {nil, "-1", "set a port number"}, {nil, " 80", "set a port number"}},
		"TLS_PORT":                    {{nil, "8443", "without TLS_CERT_FILE: set both"}, {nil, "x", "set a port number"}, {nil, "8080", "set a port that PORT has not"}},
		"TLS_CERT_FILE":               {{nil, "/nowhere", "set the path of a PEM file"}, {nil, empty, "without TLS_PORT: set both"}},
		"TLS_KEY_FILE":                {{nil, "/nowhere", "set the path of a PEM file"}, {nil, empty, "without TLS_PORT: set both"}},
		"CLIENT_CA_FILE":              {{nil, "/nowhere", "set the path of a PEM file"}, {nil, empty, "there is none in it"}},
		"ISSUER":                      {{nil, "", "set the issuer identifier"}, {nil, "login", "set an https URL"}, {nil, "http://login.example.com", "set an https URL"}, {nil, "https://login.example.com?a", "has no query"}},
		"AUDIENCE":                    {{nil, "", "set the identifier of this API"}},
		"JWKS_URI":                    {{nil, "/jwks", "set an https URL"}, {nil, "https://a:b@login.example.com", "set an https URL"}},
		"CA_FILE":                     {{nil, "/nowhere", "set the path of a PEM file"}, {nil, empty, "there is none in it"}},
		"ACCEPT_TYPE_JWT":             {{nil, "1", "set one of off, on"}, {nil, "true", "set one of off, on"}, {nil, "ON", "set one of off, on"}},
		"KEY_REFRESH":                 {{nil, "10", "from 60 to 86400"}, {nil, "1e3", "from 60 to 86400"}, {nil, "5 m", "from 60 to 86400"}},
		"MAX_TOKEN_LIFETIME":          {{nil, "for ever", "from 1 to 86400"}, {nil, "8760h", "from 1 to 86400"}, {nil, "-5m", "from 1 to 86400"}, {nil, "0", "from 1 to 86400"}},
		"INTROSPECTION_ENDPOINT":      {{introspecting, "introspect", "set an https URL"}, {nil, "https://login.example.com/i", "without INTROSPECTION_CLIENT_ID"}},
		"INTROSPECTION_CLIENT_ID":     {{nil, "api", "without INTROSPECTION_ENDPOINT"}},
		"INTROSPECTION_CLIENT_SECRET": {{nil, "s", "without INTROSPECTION_ENDPOINT"}},
		"INTROSPECTION_TOKEN_LIFETIME": {
			{nil, "300", "without INTROSPECTION_ENDPOINT"}, {introspecting, "0", "from 1 to 86400"}, {introspecting, "25h", "from 1 to 86400"},
		},
		"LOGOUT_CLIENT_ID":   {{nil, ",", "set the clients"}},
		"PUBLIC_ORIGINS":     {{nil, "api.example.com", "set the origins"}, {nil, ",", "set the origins"}, {values{"HOST": "0.0.0.0"}, "", "set the origins"}},
		"TRUSTED_PROXIES":    {{proxied, "proxy", "set the address ranges"}, {proxied, "0.0.0.0/0", "set the address ranges"}, {proxied, ",", "set the address ranges"}},
		"CLIENT_CERT_HEADER": {{proxied, "X-Cert", "set X-SSL-Client-Cert"}, {nil, "Client-Cert", "without TRUSTED_PROXIES"}},
		"DPOP_NONCE":         {{nil, "yes", "set one of off, required"}, {nil, "on", "set one of off, required"}},
		"DPOP_NONCE_TTL":     {{nil, "soon", "from 1 to 1800"}, {nil, "0", "from 1 to 1800"}, {nil, "31m", "from 1 to 1800"}, {nil, "NaN", "from 1 to 1800"}},
		"DPOP_NONCE_SECRETS": {{nil, base64.StdEncoding.EncodeToString(make([]byte, 31)), "at least 32"}, {nil, "$", "at least 32"}, {nil, ",", "at least 32"}},
		"CORS_ORIGIN":        {{nil, "*", "set the one origin"}, {nil, "https://app.example.com/", "set the one origin"}, {nil, "null", "set the one origin"}},
		"REVOCATION_FILE":    {{values{"REPLAY_REDIS_URL": "redis://h"}, "/f", "leave it empty"}, {nil, "/nowhere/f", "that this program alone can write: "}, {nil, t.TempDir(), "is no file"}},
		"REPLAY_REDIS_URL": {
			{nil, "h:6379", "set the URL of a Redis"}, {nil, "http://h", "give redis:// or rediss://"}, {nil, "redis://h/?wait=x", "setting wait has no value of its kind"},
			{nil, "redis://h?addr=i:1", "set Master if they are Sentinels"}, {nil, "redis://h?window=1ms", "Window is 1ms"}, {nil, "redis://h?elsewhere=redis://i", "without Region"},
		},
		"SINGLE_INSTANCE": {{nil, "yes", "set one of off, on"}},
		"ADMIN_HOST":      {{values{"ADMIN_PORT": "1"}, "everywhere", "set the address to listen on"}, {nil, "127.0.0.2", "without ADMIN_PORT"}},
		"ADMIN_PORT": {
			{nil, "admin", "set a port number"}, {nil, "8080", "set a port that PORT has not"}, {values{"TLS_PORT": "1", "HOST": "::"}, "1", "set a port that TLS_PORT has not"},
		},
		"ADMIN_TOKEN": {{values{"ADMIN_PORT": "1"}, "secret", "at least 32"}, {values{"ADMIN_PORT": "1", "ADMIN_HOST": "0.0.0.0"}, "", "set a secret"}, {nil, strings.Repeat("a", 32), "without ADMIN_PORT"}},
		"BEARER": {
			{nil, "clients=a", "an entry needs until="}, {nil, "until=2027-01-01", "needs issuers=, clients=, routes= or scopes="},
			{nil, "clients=a; until=soon", "until is \"soon\""}, {nil, "clients=; until=2027-01-01", "clients is empty"},
			{nil, "clients=a; until=2027-01-01; max-token-lifetime=9000h", "up to a year"}, {nil, "client=a", "client is not understood"},
			{nil, "clients=a; clients=b; until=2027-01-01", "clients is there twice"}, {nil, "clients=a; until=2027-01-01 | scopes=b", "an entry needs until="},
		},
		"REPORT_ONLY": {
			{nil, "strict", "strict is not understood"}, {nil, "bound=yes", "bound has no value"}, {nil, "nonce=on", "nonce is not understood"},
			{nil, "max-token-lifetime=5", "such as 1h"}, {nil, "binding=mtls", "set dpop, certificate, or both"}, {nil, "max-auth-age=5", "such as 5m"},
			{nil, "bound; bound", "bound is there twice"}, {nil, "scopes=", "scopes is not understood"},
		},
		"LOG_LEVEL":      {{nil, "loud", "set one of"}, {nil, "INFO", "set one of"}},
		"MAX_AGE":        {{nil, "11m", "from 1 to 600"}, {nil, "0", "from 1 to 600"}},
		"SKEW":           {{nil, "6m", "from 1 to 300"}, {nil, "0", "from 1 to 300"}},
		"SHUTDOWN_DELAY": {{nil, "1h", "from 0 to 300"}, {nil, "on", "from 0 to 300"}},
	}
	for name, cases := range wrong {
		for _, test := range cases {
			t.Run(name+" "+test.value, func(t *testing.T) {
				_, r := read(enough.with(test.beside).with(values{name: test.value}))
				if r.Err() == nil {
					t.Fatal("was taken")
				}
				for line := range strings.Lines(r.Err().Error()) {
					if strings.HasPrefix(line, name+" is ") && strings.Contains(line, test.want) {
						return
					}
				}
				t.Errorf("said %q, want %s … %s", r.Err(), name, test.want)
			})
		}
	}
	var asked []string
	settings.Read(settings.NewReader(func(name string) string { asked = append(asked, name); return "" }))
	for _, name := range asked {
		if wrong[name] == nil {
			t.Errorf("%s has no wrong value here", name)
		}
	}
}

// What others may write is no memory of what was taken back. Windows has no such modes.
func TestRevocationFileThatOthersMayWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "revoked")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	set := enough.with(values{"REVOCATION_FILE": file})
	if _, r := read(set); r.Err() != nil {
		t.Error(r.Err())
	}
	if err := os.Chmod(file, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, r := read(set); r.Err() == nil || !strings.Contains(r.Err().Error(), "others than the owner have access") {
		t.Errorf("got %v", r.Err())
	}
}

// What listens on addresses of its own, or where the system has a port free, is in nobody's way; a Redis that is not there
// is no setting.
func TestTaken(t *testing.T) {
	for name, change := range map[string]values{
		"ports of two addresses": {"ADMIN_PORT": "8080", "ADMIN_HOST": "127.0.0.2"},
		"free ports":             {"PORT": "0", "ADMIN_PORT": "0", "PUBLIC_ORIGINS": "https://api.example.com"},
		"a Redis":                {"REPLAY_REDIS_URL": "redis://127.0.0.1:1"},
		"Sentinels":              {"REPLAY_REDIS_URL": "rediss://:a@127.0.0.1?addr=127.0.0.2:1&master=main"},
		"a file that is not yet": {"REVOCATION_FILE": filepath.Join(t.TempDir(), "revoked")},
	} {
		if _, r := read(enough.with(change)); r.Err() != nil {
			t.Errorf("%s: %v", name, r.Err())
		}
	}
	s, r := read(enough.with(values{"REPLAY_REDIS_URL": "redis://h?region=eu"}))
	if r.Err() != nil || s.Nonces.Region != "eu" { // or no Guard could be made over that memory
		t.Errorf("region %q, %v", s.Nonces.Region, r.Err())
	}
}

// Times are taken as seconds or with their unit.
func TestSeconds(t *testing.T) {
	for value, want := range map[string]float64{"": 900, "300": 300, "5m": 300, "5m1s": 301, "1.5s": 1.5} {
		s, r := read(enough.with(values{"MAX_TOKEN_LIFETIME": value}))
		if r.Err() != nil || s.MaxLifetime.Seconds() != want {
			t.Errorf("%q: %v, %v", value, s.MaxLifetime, r.Err())
		}
	}
}

// What is on the way from bearer tokens to bound ones is read as it is written.
func TestRollout(t *testing.T) {
	s, r := read(enough.with(values{
		"BEARER":      "clients=old-app, older; until=2027-06-30; max-token-lifetime=2h | routes=GET /orders/{id}; issuers=https://a; scopes=b; until=2027-01-01T12:00:00Z",
		"REPORT_ONLY": "bound; nonce; max-token-lifetime=5m; scopes=a,b; binding=dpop,certificate; acr=gold; max-auth-age=1h",
	}))
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	bearer := []access.Bearer{
		{Clients: []string{"old-app", "older"}, Until: time.Date(2027, 6, 30, 0, 0, 0, 0, time.UTC), MaxTokenLifetime: 2 * time.Hour},
		{Routes: []string{"GET /orders/{id}"}, Issuers: []string{"https://a"}, Scopes: []string{"b"}, Until: time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC)},
	}
	report := &access.ReportOnly{Bound: true, MaxTokenLifetime: 5 * time.Minute, Requirement: access.Requirement{
		Nonce: true, Scopes: []string{"a", "b"}, Binding: access.BindingDPoP | access.BindingCertificate, ACRValues: []string{"gold"}, MaxAuthAge: time.Hour,
	}}
	if !reflect.DeepEqual(s.Bearer, bearer) || !reflect.DeepEqual(s.ReportOnly, report) {
		t.Errorf("%+v\n%+v", s.Bearer, s.ReportOnly)
	}
}

// One start tells all that is wrong.
func TestAllProblemsAtOnce(t *testing.T) {
	_, r := read(values{"PORT": "a", "LOG_LEVEL": "b"})
	if r.Err() == nil {
		t.Fatal("no error")
	}
	for _, name := range []string{"PORT", "LOG_LEVEL", "ISSUER", "AUDIENCE"} {
		if !strings.Contains("\n"+r.Err().Error(), "\n"+name+" is ") {
			t.Errorf("%s is not in %q", name, r.Err())
		}
	}
	if n := strings.Count(r.Err().Error(), "\n"); n != 3 {
		t.Errorf("%d lines: %v", n+1, r.Err())
	}
}

// Two settings are enough on one's own machine.
func TestDefaults(t *testing.T) {
	s, r := read(enough)
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	if s.Host != "127.0.0.1" || s.Port != "8080" || s.TLSPort != "" || s.AdminPort != "" || s.Nonce ||
		strings.Join(s.Origins, " ") != "http://127.0.0.1:8080 http://localhost:8080" {
		t.Errorf("%+v", s)
	}
}
