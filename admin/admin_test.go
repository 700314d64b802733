package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/access/rollout"
	"github.com/senderlock/senderlock/admin"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/revocation"
)

const issuer = poptest.Issuer

// The tokens of credentials, one for each right and one for all.
var (
	secretMetrics = strings.Repeat("m", 32)
	secretLook    = strings.Repeat("l", 32)
	secretRevoke  = strings.Repeat("r", 32)
	secretAll     = strings.Repeat("a", 32)
)

// port is a handler under test with what it works on.
type port struct {
	t       *testing.T
	clock   *poptest.Clock
	store   *revocation.Memory
	log     bytes.Buffer
	handler http.Handler
}

func newPort(t *testing.T, change func(*admin.Config)) *port {
	t.Helper()
	p := &port{t: t, clock: poptest.NewClock()}
	var err error
	p.store, err = revocation.NewMemory(revocation.Options{Now: p.clock.Now, Retention: revocation.Retention{Lifetime: 15 * time.Minute, Leeway: 10 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	c := admin.Config{
		Issuers: []string{issuer}, Store: p.store, Register: p.store, Now: p.clock.Now,
		Log: slog.New(slog.NewTextHandler(&p.log, nil)),
		Credentials: []admin.Credential{
			{Name: "prometheus", Token: secretMetrics, Rights: admin.Metrics}, {Name: "support", Token: secretLook, Rights: admin.Look},
			{Name: "robot", Token: secretRevoke, Rights: admin.Revoke}, {Name: "night", Token: secretAll, Rights: admin.Metrics | admin.Look | admin.Revoke},
		},
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metrics") }),
	}
	if change != nil {
		change(&c)
	}
	if p.handler, err = admin.New(c); err != nil {
		t.Fatal(err)
	}
	return p
}

// ask sends a request with a secret, and returns the answer with its text.
func (p *port) ask(secret, method, path, body string, header ...string) (int, string) {
	p.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if secret != "" {
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// must asks with all rights, and reads the answer.
func (p *port) must(method, path, body string) map[string]any {
	p.t.Helper()
	status, text := p.ask(secretAll, method, path, body)
	if status != http.StatusOK {
		p.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	var answer map[string]any
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		p.t.Fatal(err)
	}
	return answer
}

func (p *port) token(id, subject, session, client, key string) revocation.Token {
	return revocation.Token{
		Issuer: issuer, ID: id, Subject: subject, Session: session, Client: client, KeyThumbprint: key,
		IssuedAt: p.clock.Now(), Expiry: p.clock.Now().Add(5 * time.Minute),
	}
}

// use puts a token on record.
func (p *port) use(t revocation.Token) revocation.Token {
	p.t.Helper()
	if err := p.store.Record(context.Background(), t, "192.0.2.1"); err != nil {
		p.t.Fatal(err)
	}
	return t
}

func (p *port) denied(t revocation.Token) bool {
	p.t.Helper()
	e, err := p.store.Revoked(context.Background(), t)
	if err != nil {
		p.t.Fatal(err)
	}
	return e != nil
}

// Each right is good for what it says and for nothing else; what it is not good for changes nothing.
func TestRights(t *testing.T) {
	p := newPort(t, nil)
	const revoke = `{"by":"subject","value":"alice"}`
	names := []string{"", "another secret of the same length", secretMetrics, secretLook, secretRevoke, secretAll}
	for _, c := range []struct {
		method, path, body string
		want               [6]int // by names
	}{
		{"GET", "/metrics", "", [6]int{401, 401, 200, 403, 403, 200}},
		{"GET", "/tokens?subject=alice", "", [6]int{401, 401, 403, 200, 403, 200}},
		{"GET", "/entry?by=subject&value=alice", "", [6]int{401, 401, 403, 200, 403, 200}},
		{"GET", "/alerts", "", [6]int{401, 401, 403, 200, 403, 200}},
		{"GET", "/clients", "", [6]int{401, 401, 403, 404, 403, 404}},
		{"POST", "/revoke", revoke, [6]int{401, 401, 403, 403, 200, 200}},
		{"POST", "/lift", revoke, [6]int{401, 401, 403, 403, 200, 200}},
		{"GET", "/whoami", "", [6]int{401, 401, 200, 200, 200, 200}},
		{"GET", "/", "", [6]int{200, 200, 200, 200, 200, 200}},
		{"GET", "/nothing", "", [6]int{404, 404, 404, 404, 404, 404}},
		{"GET", "/revoke", "", [6]int{405, 405, 405, 405, 405, 405}},
	} {
		for i, secret := range names {
			if status, text := p.ask(secret, c.method, c.path, c.body); status != c.want[i] {
				t.Errorf("%s %s with %q: %d, want %d: %s", c.method, c.path, secret, status, c.want[i], text)
			}
		}
	}
}

func TestCredentialsAsTheyCome(t *testing.T) {
	p := newPort(t, nil)
	for name, c := range map[string]struct {
		fields []string
		status int
	}{
		"as it should":        {[]string{"Bearer " + secretAll}, 200},
		"the scheme in lower": {[]string{"bearer " + secretAll}, 200},
		"another scheme":      {[]string{"Basic " + secretAll}, 401},
		"no scheme":           {[]string{secretAll}, 401},
		"cut":                 {[]string{"Bearer " + secretAll[1:]}, 401},
		"longer":              {[]string{"Bearer " + secretAll + "a"}, 401},
		"empty":               {[]string{"Bearer "}, 401},
		"twice":               {[]string{"Bearer " + secretAll, "Bearer " + secretAll}, 401},
	} {
		r := httptest.NewRequest("GET", "/whoami", nil)
		r.Header["Authorization"] = c.fields
		w := httptest.NewRecorder()
		if p.handler.ServeHTTP(w, r); w.Code != c.status || (w.Code == 401) != (w.Header().Get("WWW-Authenticate") == "Bearer") {
			t.Errorf("%s: %d %v, want %d", name, w.Code, w.Header(), c.status)
		}
	}
	if line := p.log.String(); strings.Contains(line, secretAll[:16]) || !strings.Contains(line, "admin request refused") {
		t.Errorf("the log says %s", line)
	}
}

// Without credentials this machine is let in, and no page of others.
func TestLocal(t *testing.T) {
	p := newPort(t, func(c *admin.Config) { c.Credentials, c.InsecureLocal = nil, true })
	for name, c := range map[string]struct {
		header []string
		status int
	}{
		"curl":                       {[]string{"Host", "127.0.0.1:9090"}, 200},
		"by another loopback name":   {[]string{"Host", "localhost"}, 200},
		"by IPv6":                    {[]string{"Host", "[::1]:9090"}, 200},
		"its own page":               {[]string{"Host", "localhost:9090", "Origin", "http://localhost:9090", "Sec-Fetch-Site", "same-origin"}, 200},
		"typed into a browser":       {[]string{"Host", "localhost:9090", "Sec-Fetch-Site", "none"}, 200},
		"a page of others":           {[]string{"Host", "localhost:9090", "Sec-Fetch-Site", "cross-site"}, 403},
		"a page on another port":     {[]string{"Host", "localhost:9090", "Origin", "http://localhost:80", "Sec-Fetch-Site", "same-site"}, 403},
		"an origin alone":            {[]string{"Host", "localhost:9090", "Origin", "https://evil.example.com"}, 403},
		"a page without origin":      {[]string{"Host", "localhost:9090", "Origin", "null"}, 403},
		"a name that leads here":     {[]string{"Host", "rebound.example.com:9090", "Sec-Fetch-Site", "same-origin"}, 403},
		"an address that leads here": {[]string{"Host", "192.0.2.1"}, 403},
	} {
		for _, path := range []string{"/whoami", "/", "/app.js"} {
			if status, text := p.ask("", "GET", path, "", c.header...); status != c.status {
				t.Errorf("%s, %s: %d, want %d: %s", name, path, status, c.status, text)
			}
		}
	}
}

// The answer to a revocation says what it means.
func TestRevoke(t *testing.T) {
	thumbprint, certificate := poptest.ClientKey().Thumbprint(), poptest.X5T(poptest.SelfSigned(t, "desk").Leaf)
	now := poptest.Now.UTC().Format(time.RFC3339)
	for name, c := range map[string]struct {
		body   string
		until  time.Duration
		logins bool
		inUse  any
		least  bool
	}{
		"a token":               {`{"by":"token","value":"phone"}`, 15*time.Minute + 20*time.Second, false, 1.0, false},
		"a session":             {`{"by":"session","value":"s1"}`, 15*time.Minute + 20*time.Second, false, 1.0, false},
		"a subject":             {`{"by":"subject","value":"alice"}`, 15*time.Minute + 20*time.Second, true, 2.0, false},
		"a client":              {`{"by":"client","value":"app"}`, 15*time.Minute + 20*time.Second, true, 3.0, false},
		"a key":                 {`{"by":"key","value":"` + thumbprint + `"}`, 15*time.Minute + 20*time.Second, true, 1.0, false},
		"a certificate":         {`{"by":"certificate","value":"` + certificate + `"}`, 15*time.Minute + 20*time.Second, true, 1.0, false},
		"no certificate's":      {`{"by":"certificate","value":"` + thumbprint + `"}`, 15*time.Minute + 20*time.Second, true, 0.0, false},
		"one until now":         {`{"by":"certificate","value":"` + certificate + `","before":"` + now + `"}`, 15*time.Minute + 11*time.Second, false, 1.0, false},
		"nobody's":              {`{"by":"subject","value":"nobody"}`, 15*time.Minute + 20*time.Second, true, 0.0, false},
		"a subject until now":   {`{"by":"subject","value":"alice","before":"` + now + `"}`, 15*time.Minute + 11*time.Second, false, 2.0, false},
		"but for one session":   {`{"by":"subject","value":"alice","before":"` + now + `","except_session":"s1"}`, 15*time.Minute + 11*time.Second, false, 1.0, true},
		"what was before it":    {`{"by":"subject","value":"alice","before":"` + poptest.Now.Add(-time.Minute).UTC().Format(time.RFC3339) + `"}`, 14*time.Minute + 11*time.Second, false, 0.0, true},
		"as far ahead as may":   {`{"by":"subject","value":"alice","before":"` + poptest.Now.Add(10*time.Second).UTC().Format(time.RFC3339) + `"}`, 15*time.Minute + 21*time.Second, false, 2.0, false},
		"until now":             {`{"by":"subject","value":"alice","until_now":true}`, 15*time.Minute + 21*time.Second, false, 2.0, false},
		"not until now":         {`{"by":"subject","value":"alice","until_now":false}`, 15*time.Minute + 20*time.Second, true, 2.0, false},
		"the issuer named":      {`{"issuer":"` + issuer + `","by":"subject","value":"alice"}`, 15*time.Minute + 20*time.Second, true, 2.0, false},
		"space behind the body": {`{"by":"subject","value":"alice"}` + " \n", 15*time.Minute + 20*time.Second, true, 2.0, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPort(t, nil)
			p.use(p.token("phone", "alice", "s1", "app", thumbprint))
			p.use(p.token("tablet", "alice", "s2", "app", "other"))
			desk := p.token("desk", "bob", "s3", "app", "")
			desk.CertThumbprint = certificate
			p.use(desk)
			got := p.must("POST", "/revoke", c.body)
			until, err := time.Parse(time.RFC3339, got["until"].(string))
			if err != nil || !until.Equal(poptest.Now.Add(c.until)) {
				t.Errorf("until %v, want %v", got["until"], poptest.Now.Add(c.until).UTC())
			}
			if got["later_logins_refused"] != c.logins || got["tokens_in_use"] != c.inUse || got["at_least"] != c.least {
				t.Errorf("%v", got)
			}
			if line := p.log.String(); !strings.Contains(line, "msg=revoked credential=night") {
				t.Errorf("the log says %s", line)
			}
		})
	}
}

// What was issued until now is what any issuer has issued whose clock is within the leeway. Nobody has to tell the time.
func TestRevokeUntilNow(t *testing.T) {
	p := newPort(t, nil)
	p.must("POST", "/revoke", `{"by":"subject","value":"alice","until_now":true}`)
	for issued, denied := range map[time.Duration]bool{-time.Minute: true, 0: true, 10 * time.Second: true, 11 * time.Second: false} {
		token := p.token("phone", "alice", "s1", "app", "")
		token.IssuedAt = poptest.Now.Add(issued)
		token.Expiry = token.IssuedAt.Add(5 * time.Minute)
		if p.denied(token) != denied {
			t.Errorf("issued %v from now: denied %t, want %t", issued, !denied, denied)
		}
	}
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, httptest.NewRequest("GET", "/app.js", nil))
	if script := w.Body.String(); !strings.Contains(script, "until_now") || strings.Contains(script, "Date") {
		t.Error("the page tells the time by the clock of its user")
	}
}

func TestRevokeRefuses(t *testing.T) {
	p := newPort(t, func(c *admin.Config) { c.Issuers = append(c.Issuers, "https://second.example.com") })
	alice := p.token("phone", "alice", "s1", "app", "")
	named := func(members string) string { return `{"issuer":"` + issuer + `",` + members + `}` }
	for name, c := range map[string]struct{ body, says string }{
		"which issuer":             {`{"by":"subject","value":"alice"}`, "issuer is none of"},
		"an issuer of others":      {`{"issuer":"https://evil.example.com","by":"subject","value":"alice"}`, "issuer is none of"},
		"by what there is not":     {named(`"by":"colour","value":"red"`), "by is none of"},
		"no value":                 {named(`"by":"subject"`), "value is empty"},
		"a key, its beginning":     {named(`"by":"key","value":"A6mFZI-b"`), "value is no thumbprint"},
		"a certificate in hex":     {named(`"by":"certificate","value":"` + strings.Repeat("ab", 32) + `"`), "value is no thumbprint"},
		"a member that is unknown": {named(`"by":"subject","value":"alice","befor":"2020-01-01T00:00:00Z"`), "befor"},
		"another case":             {named(`"By":"subject","value":"alice"`), "By"},
		"a member twice":           {named(`"by":"session","by":"subject","value":"alice"`), "duplicate"},
		"two objects":              {named(`"by":"subject","value":"alice"`) + `{}`, "invalid character"},
		"far ahead":                {named(`"by":"subject","value":"alice","before":"` + poptest.Now.Add(11*time.Second).UTC().Format(time.RFC3339) + `"`), "before is 11s ahead"},
		"until now, and before":    {named(`"by":"subject","value":"alice","before":"2020-01-01T00:00:00Z","until_now":true`), "before and until_now"},
		"a token before":           {named(`"by":"token","value":"phone","before":"2020-01-01T00:00:00Z"`), "Before"},
		"an exception, no before":  {named(`"by":"subject","value":"alice","except_session":"s1"`), "exception"},
		"too large":                {named(`"by":"subject","value":"` + strings.Repeat("a", 16<<10) + `"`), "too large"},
	} {
		if status, text := p.ask(secretAll, "POST", "/revoke", c.body); status != 400 || !strings.Contains(text, c.says) {
			t.Errorf("%s: %d %s, want 400 that says %q", name, status, text, c.says)
		}
	}
	if status, _ := p.ask(secretAll, "POST", "/revoke", named(`"by":"subject","value":"alice"`), "Content-Type", "text/plain"); status != 415 {
		t.Errorf("a form: %d", status)
	}
	if p.denied(alice) {
		t.Error("what was refused was done")
	}
}

// What was revoked can be looked at, and lifted again.
func TestLift(t *testing.T) {
	p := newPort(t, nil)
	alice := p.token("phone", "alice", "s1", "app", "")
	if got := p.must("GET", "/entry?by=session&value=s1", ""); len(got["entries"].([]any)) != 0 {
		t.Errorf("nothing was revoked: %v", got)
	}
	p.must("POST", "/revoke", `{"by":"session","value":"s1"}`)
	if !p.denied(alice) {
		t.Fatal("not revoked")
	}
	entry := p.must("GET", "/entry?by=session&value=s1", "")["entries"].([]any)[0].(map[string]any)
	if entry["by"] != "session" || entry["value"] != "s1" || entry["issuer"] != issuer || entry["until"] == nil || entry["later_logins_refused"] != false {
		t.Errorf("%v", entry)
	}
	if lifted := p.must("POST", "/lift", `{"by":"session","value":"s1"}`)["lifted"].([]any); len(lifted) != 1 || p.denied(alice) {
		t.Errorf("lifted %v, denied %t", lifted, p.denied(alice))
	}
	if lifted := p.must("POST", "/lift", `{"by":"session","value":"s1"}`)["lifted"].([]any); len(lifted) != 0 {
		t.Errorf("lifted %v again", lifted)
	}
	if line := p.log.String(); !strings.Contains(line, "msg=lifted credential=night issuer="+issuer+" by=session value=s1 entries=1") {
		t.Errorf("the log says %s", line)
	}
	if status, text := p.ask(secretAll, "POST", "/lift", `{"by":"session","value":"s1","before":"2020-01-01T00:00:00Z"}`); status != 400 {
		t.Errorf("a condition: %d %s", status, text)
	}
}

// plain is a store that can do what it must, and a register too.
type plain struct {
	revocation.Store
	revocation.Register
}

// A store that cannot lift says so, and one that is in trouble too; neither is taken for done.
func TestStoresThatCannot(t *testing.T) {
	p := newPort(t, nil)
	without := newPort(t, func(c *admin.Config) { c.Store, c.Register = plain{Store: p.store}, plain{Register: p.store} })
	p.use(p.token("phone", "alice", "s1", "app", ""))
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/entry?by=session&value=s1", "", 501},
		{"POST", "/lift", `{"by":"session","value":"s1"}`, 501},
		{"GET", "/tokens?client=app", "", 501},
		{"GET", "/tokens?subject=alice", "", 200},
		{"POST", "/revoke", `{"by":"session","value":"s1"}`, 200},
	} {
		if status, text := without.ask(secretAll, c.method, c.path, c.body); status != c.status {
			t.Errorf("%s %s: %d %s, want %d", c.method, c.path, status, text, c.status)
		}
	}
	if got := without.must("POST", "/revoke", `{"by":"session","value":"s1"}`); got["tokens_in_use"] != nil {
		t.Errorf("%v", got)
	}
	_ = p.store.Close()
	for _, c := range [][3]string{
		{"POST", "/revoke", `{"by":"session","value":"s1"}`}, {"POST", "/lift", `{"by":"session","value":"s1"}`},
		{"GET", "/entry?by=session&value=s1", ""}, {"GET", "/tokens?subject=alice", ""},
	} {
		if status, text := p.ask(secretAll, c[0], c[1], c[2]); status != 503 || strings.Contains(text, "closed") {
			t.Errorf("%s %s: %d %s, want 503", c[0], c[1], status, text)
		}
	}
	if line := p.log.String(); strings.Count(line, "level=ERROR") != 4 {
		t.Errorf("the log says %s", line)
	}
	if none := newPort(t, func(c *admin.Config) { c.Register = nil }); true {
		if status, _ := none.ask(secretAll, "GET", "/tokens?subject=alice", ""); status != 404 {
			t.Errorf("no register: %d", status)
		}
	}
}

func TestTokens(t *testing.T) {
	p := newPort(t, nil)
	thumbprint := poptest.ClientKey().Thumbprint()
	p.use(p.token("phone", "alice", "s1", "app", thumbprint))
	p.use(p.token("tablet", "alice", "s2", "app", "other-key"))
	certificate := poptest.X5T(poptest.SelfSigned(t, "desk").Leaf)
	desk := p.token("desk", "bob", "s3", "web", "third-key")
	desk.CertThumbprint = certificate
	p.use(desk)
	for query, want := range map[string]string{
		"subject=alice":                   "phone tablet",
		"session=s2":                      "tablet",
		"client=app":                      "phone tablet",
		"client=app&limit=1":              "phone",
		"token=desk":                      "desk",
		"key=" + thumbprint:               "phone",
		"key=" + thumbprint[:6]:           "phone",
		"key=" + thumbprint[1:7]:          "",
		"key=" + certificate:              "",
		"certificate=" + certificate:      "desk",
		"certificate=" + certificate[:6]:  "desk",
		"certificate=" + certificate[1:7]: "",
		"certificate=" + thumbprint:       "",
		"subject=nobody":                  "",
		"subject=bob&issuer=" + issuer:    "desk",
	} {
		got := p.must("GET", "/tokens?"+query, "")
		var ids []string
		for _, u := range got["tokens"].([]any) {
			ids = append(ids, u.(map[string]any)["token"].(string))
		}
		if strings.Join(ids, " ") != want {
			t.Errorf("%s: %q, want %q", query, ids, want)
		}
	}
	if got := p.must("GET", "/tokens?client=app&limit=1", ""); got["total"] != 2.0 {
		t.Errorf("%v", got)
	}
	got := p.must("GET", "/tokens?certificate="+certificate, "")
	if u := got["tokens"].([]any)[0].(map[string]any); u["certificate"] != certificate || u["key"] != "third-key" {
		t.Errorf("%v", u)
	}
	for query, says := range map[string]string{
		"":                          "name what to look for",
		"colour=red":                "name what to look for",
		"subject=alice&client=app":  "not several",
		"key=abcde":                 "first 6 characters",
		"subject=alice&limit=x":     "limit",
		"subject=alice&limit=20000": "limit",
		"subject=alice&issuer=x":    "issuer is none of",
		"certificate=abcde":         "first 6 characters",
	} {
		if status, text := p.ask(secretAll, "GET", "/tokens?"+query, ""); status != 400 || !strings.Contains(strings.ToLower(text), says) {
			t.Errorf("%s: %d %s, want 400 that says %q", query, status, text, says)
		}
	}
}

// The last hundred alerts are kept, the newest first, and whoever else wants them hears of them.
func TestAlerts(t *testing.T) {
	var alerts admin.Alerts
	heard := 0
	tell := alerts.Observe(func(context.Context, access.Alert) { heard++ })
	p := newPort(t, func(c *admin.Config) { c.Alerts = &alerts })
	for i := range 103 {
		tell(t.Context(), access.Alert{
			Kind: "key_mismatch", Count: i, Time: poptest.Now, Address: netip.MustParseAddr("192.0.2.7"),
			Token: revocation.Token{Issuer: issuer, ID: "t1", Session: "s1", Subject: "alice", KeyThumbprint: "k1", CertThumbprint: "c1"},
		})
	}
	all := p.must("GET", "/alerts", "")["alerts"].([]any)
	first, last := all[0].(map[string]any), all[len(all)-1].(map[string]any)
	if len(all) != 100 || first["count"] != 102.0 || last["count"] != 3.0 || heard != 103 {
		t.Errorf("%d alerts from %v to %v, %d heard", len(all), first["count"], last["count"], heard)
	}
	if first["sid"] != "s1" || first["address"] != "192.0.2.7" || first["kind"] != "key_mismatch" || first["jkt"] != "k1" || first["x5t#S256"] != "c1" {
		t.Errorf("%v", first)
	}
	alerts.Observe(nil)(t.Context(), access.Alert{})
}

func TestClients(t *testing.T) {
	clients, err := rollout.New(t.Context(), rollout.Config{})
	if err != nil {
		t.Fatal(err)
	}
	clients.Observe(access.Observer{}).Decided(t.Context(), access.Decision{Issuer: issuer, ClientID: "app"})
	p := newPort(t, func(c *admin.Config) { c.Clients = clients })
	if one := p.must("GET", "/clients", "")["clients"].([]any)[0].(map[string]any); one["client"] != "app" || one["requests"] != 1.0 {
		t.Errorf("%v", one)
	}
}

// Settings that cannot be meant are refused with the field and what to put there.
func TestSettings(t *testing.T) {
	good := admin.Credential{Name: "night", Token: secretAll, Rights: admin.Look}
	with := func(change func(*admin.Credential)) func(*admin.Config) {
		return func(c *admin.Config) {
			other := good
			change(&other)
			c.Credentials = []admin.Credential{other}
		}
	}
	store, err := revocation.NewMemory(revocation.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var nobody *revocation.Memory
	for name, c := range map[string]struct {
		change func(*admin.Config)
		says   string
	}{
		"no store":            {func(c *admin.Config) { c.Store = nil }, "Store is nil"},
		"a store never made":  {func(c *admin.Config) { c.Store = nobody }, "Store holds a nil"},
		"no issuers":          {func(c *admin.Config) { c.Issuers = nil }, "Issuers is empty"},
		"an issuer left out":  {func(c *admin.Config) { c.Issuers = []string{""} }, "Issuers[0] is empty"},
		"a leeway of an hour": {func(c *admin.Config) { c.Leeway = time.Hour }, "Leeway is 1h"},
		"no credentials":      {func(c *admin.Config) { c.Credentials = nil }, "Credentials or InsecureLocal"},
		"credentials, local":  {func(c *admin.Config) { c.InsecureLocal = true }, "Credentials or InsecureLocal"},
		"no name":             {with(func(c *admin.Credential) { c.Name = "" }), "Credentials[0].Name"},
		"a name with a line":  {with(func(c *admin.Credential) { c.Name = "a\nb" }), "Credentials[0].Name"},
		"a long name":         {with(func(c *admin.Credential) { c.Name = strings.Repeat("n", 65) }), "Credentials[0].Name"},
		"a short token":       {with(func(c *admin.Credential) { c.Token = secretAll[1:] }), "Credentials[0].Token"},
		"a token with spaces": {with(func(c *admin.Credential) { c.Token += " a" }), "Credentials[0].Token"},
		"no rights":           {with(func(c *admin.Credential) { c.Rights = 0 }), "Credentials[0].Rights"},
		"rights unknown":      {with(func(c *admin.Credential) { c.Rights = 8 }), "Credentials[0].Rights"},
		"one name twice": {func(c *admin.Config) {
			c.Credentials = []admin.Credential{good, {Name: "night", Token: secretLook, Rights: admin.Look}}
		}, "Credentials[1] has the name or the token"},
		"one token twice": {func(c *admin.Config) {
			c.Credentials = []admin.Credential{good, {Name: "day", Token: secretAll, Rights: admin.Look}}
		}, "Credentials[1] has the name or the token"},
	} {
		config := admin.Config{Issuers: []string{issuer}, Store: store, Credentials: []admin.Credential{good}}
		c.change(&config)
		_, err := admin.New(config)
		if err == nil || !strings.Contains(err.Error(), "admin.Config: "+c.says) || strings.Contains(err.Error(), secretAll[1:]) {
			t.Errorf("%s: %v, want it to say %q and no secret", name, err, c.says)
		}
	}
}

// The page is for everybody who can get here; it may run its own script and ask its own server.
func TestPageIsServedStrictly(t *testing.T) {
	p := newPort(t, nil)
	for path, kind := range map[string]string{"/": "text/html", "/app.js": "text/javascript", "/style.css": "text/css"} {
		w := httptest.NewRecorder()
		p.handler.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		policy := w.Header().Get("Content-Security-Policy")
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) || !strings.HasPrefix(policy, "default-src 'none'; script-src 'self';") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
}

func TestReadiness(t *testing.T) {
	clock := poptest.NewClock()
	trouble := error(nil)
	asked := 0
	other := "https://second.example.com"
	r, err := admin.NewReadiness(admin.ReadinessConfig{
		Issuers: []string{issuer, other}, Now: clock.Now, Log: slog.New(slog.DiscardHandler),
		Stores: map[string]func(context.Context) error{"revocations": func(context.Context) error { asked++; return trouble }},
	})
	if err != nil {
		t.Fatal(err)
	}
	heard := 0
	fetched := r.Observe(access.Observer{Fetched: func(access.Fetch) { heard++ }}).Fetched
	expect := func(when string, waiting string) {
		t.Helper()
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
		status := http.StatusServiceUnavailable
		if waiting == "" {
			status = http.StatusOK
		}
		if w.Code != status || waiting != "" && !strings.Contains(w.Body.String(), `"waiting_for":[`+waiting+`]`) {
			t.Errorf("%s: %d %s, want %d for %s", when, w.Code, w.Body, status, waiting)
		}
	}
	expect("at the start", `"keys of `+issuer+`","keys of `+other+`"`)
	fetched(access.Fetch{Issuer: issuer, Err: errors.New("down")})
	expect("after a fetch that failed", `"keys of `+issuer+`","keys of `+other+`"`)
	fetched(access.Fetch{Issuer: issuer})
	expect("one fetched", `"keys of `+other+`"`)
	clock.Advance(30*time.Second - 1)
	expect("a moment before the grace is over", `"keys of `+other+`"`)
	clock.Advance(1)
	expect("when it is over", "")
	fetched(access.Fetch{Issuer: issuer, Err: errors.New("down")})
	expect("an issuer's outage later", "")
	trouble = errors.New("refused")
	expect("a store that answered a moment ago", "")
	clock.Advance(time.Second)
	expect("a store that does not answer", `"revocations"`)
	before := asked
	expect("asked again at once", `"revocations"`)
	if asked != before {
		t.Error("the store is asked each time")
	}
	trouble = nil
	clock.Advance(time.Second)
	expect("a store that is back", "")
	r.End()
	expect("at the end", `"the end"`)
	if heard != 3 {
		t.Errorf("the next Observer heard of %d fetches", heard)
	}
}

// A store that does not answer is not asked again by everybody who came while it was waited for.
func TestReadinessWhileAStoreIsSilent(t *testing.T) {
	clock, asked := poptest.NewClock(), 0
	r, err := admin.NewReadiness(admin.ReadinessConfig{
		Now: clock.Now, Log: slog.New(slog.DiscardHandler),
		Stores: map[string]func(context.Context) error{"revocations": func(context.Context) error {
			asked++
			clock.Advance(2 * time.Second)
			return context.DeadlineExceeded
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
		if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), `"waiting_for":["revocations"]`) {
			t.Errorf("%d %s, want 503 for the store", w.Code, w.Body)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
}

func TestStoreAnswers(t *testing.T) {
	p := newPort(t, nil)
	if err := admin.StoreAnswers(p.store)(t.Context()); err != nil {
		t.Error(err)
	}
	_ = p.store.Close()
	if err := admin.StoreAnswers(p.store)(t.Context()); !errors.Is(err, revocation.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestReadinessSettings(t *testing.T) {
	for says, c := range map[string]admin.ReadinessConfig{
		"Grace is 1h":            {Grace: time.Hour},
		`Stores["redis"] is nil`: {Stores: map[string]func(context.Context) error{"redis": nil}},
	} {
		if _, err := admin.NewReadiness(c); err == nil || !strings.Contains(err.Error(), "admin.ReadinessConfig: "+says) {
			t.Errorf("%v, want %s", err, says)
		}
	}
}
