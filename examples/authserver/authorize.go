package authserver

import (
	"crypto/rand"
	"crypto/subtle"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/senderlock/senderlock/examples/internal/look"
)

// A session is one login of a user, or of none, and what a client got by it. Its code and all refresh tokens that
// follow from it share it.
type session struct {
	id       string // the claim sid
	client   *Client
	user     string
	scopes   []string
	audience string
	authTime time.Time
	acr      string
	jkt      string // the key of a public client's refresh tokens, known once the code is redeemed
	ended    bool   // no token follows from it any more
}

// A code is an authorization code with what its redemption is compared with.
type code struct {
	session     *session
	redirectURI string
	challenge   string
	jkt         string // dpop_jkt of the authorization request (RFC 9449 §10)
	expires     time.Time
	used        bool
}

// authorize is the authorization endpoint (RFC 6749 §4.1, RFC 7636, RFC 9449 §10). Each authorization is a new
// login, so whatever max_age is asked for is met (RFC 9470 §5).
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src "+styleSource+"; base-uri 'none'; frame-ancestors 'none'")
	w.Header().Set("Referrer-Policy", "no-referrer")
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil || r.Method != http.MethodGet && r.Method != http.MethodPost {
		http.Error(w, "send a form by GET or POST", http.StatusBadRequest)
		return
	}
	form := r.Form
	if r.Method == http.MethodPost {
		form = r.PostForm
	}
	if name := repeated(form); name != "" {
		http.Error(w, "a parameter is there more than once", http.StatusBadRequest)
		return
	}
	client, redirectURI := s.clients[form.Get("client_id")], form.Get("redirect_uri")
	if client == nil || !client.mayRedirect(redirectURI) {
		// Nobody is redirected to an address that is not the client's.
		http.Error(w, "the client or its redirect_uri is not known here", http.StatusBadRequest)
		return
	}
	answer := url.Values{"iss": {s.config.Issuer}}
	if form.Has("state") {
		answer.Set("state", form.Get("state"))
	}
	c, refusal := s.requested(client, form)
	if refusal == nil {
		user := s.login(r, form)
		if user == nil {
			s.loginForm(w, form, r.Method == http.MethodPost && form.Has("username"))
			return
		}
		refusal = c.session.begin(user, strings.Fields(form.Get("acr_values")), s.config.Now())
	}
	if refusal != nil {
		answer.Set("error", refusal.Code)
		answer.Set("error_description", refusal.Description)
	} else {
		answer.Set("code", s.keep(c))
	}
	redirect(w, r, redirectURI, answer)
}

// requested reads an authorization request of a known client.
func (s *Server) requested(client *Client, form url.Values) (*code, *oauthError) {
	c := &code{
		redirectURI: form.Get("redirect_uri"), challenge: form.Get("code_challenge"), jkt: form.Get("dpop_jkt"),
		expires: s.config.Now().Add(codeLifetime),
	}
	switch {
	case form.Get("response_type") != "code":
		return nil, refused("unsupported_response_type", "response_type must be code")
	case form.Get("code_challenge_method") != "S256" || len(c.challenge) != 43:
		return nil, refused("invalid_request", "PKCE with code_challenge_method S256 is required")
	}
	scopes, refusal := client.grantable(form.Get("scope"))
	if refusal != nil {
		return nil, refusal
	}
	audience, refusal := s.audience(form.Get("resource"))
	if refusal != nil {
		return nil, refusal
	}
	c.session = &session{id: rand.Text(), client: client, scopes: scopes, audience: audience}
	return c, nil
}

// login returns the user whose name and password are in the form, or the one who is approved without. Nil: nobody.
func (s *Server) login(r *http.Request, form url.Values) *User {
	if s.config.AutoApprove != "" {
		return s.users[s.config.AutoApprove]
	}
	user := s.users[form.Get("username")]
	if r.Method != http.MethodPost || user == nil || !equal(user.Password, form.Get("password")) {
		return nil
	}
	return user
}

// begin notes who logged in, when and how; the first authentication context that was asked for and is within the
// user's reach counts (RFC 9470 §5).
func (l *session) begin(user *User, asked []string, now time.Time) *oauthError {
	l.user, l.authTime = user.Name, now
	for _, acr := range asked {
		if slices.Contains(user.ACRs, acr) {
			l.acr = acr
			return nil
		}
	}
	if len(asked) > 0 {
		return refused("unmet_authentication_requirements", "the user cannot log in as acr_values asks")
	}
	if len(user.ACRs) > 0 {
		l.acr = user.ACRs[0]
	}
	return nil
}

// keep makes a code known and forgets those whose time is over.
func (s *Server) keep(c *code) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.codes, func(_ string, old *code) bool { return s.config.Now().After(old.expires) })
	value := rand.Text()
	s.codes[value] = c
	return value
}

func redirect(w http.ResponseWriter, r *http.Request, to string, answer url.Values) {
	u, err := url.Parse(to)
	if err != nil {
		http.Error(w, "redirect_uri is not a URI", http.StatusBadRequest)
		return
	}
	query := u.Query()
	maps.Copy(query, answer)
	u.RawQuery = query.Encode()
	http.Redirect(w, r, u.String(), http.StatusSeeOther)
}

var style, styleSource = look.Inline()

var loginPage = template.Must(template.New("login").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Log in</title>
<style>{{.Style}}</style>
</head>
<body class="narrow">
<main class="card">
<h1>Log in</h1>
<p><b>{{.Client}}</b> asks for access.</p>
{{if .Failed}}<p class="alert" role="alert">Name or password is wrong.</p>{{end}}
<form method="post">
{{range $name, $value := .Fields}}<input type="hidden" name="{{$name}}" value="{{$value}}">
{{end}}<label>Name <input name="username" autocomplete="username" autocapitalize="none" required autofocus></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button class="primary">Log in</button>
</form>
</main>
<p class="note">A development server, not for production.</p>
</body>
</html>
`))

// loginForm asks who the user is. It carries the authorization request along, so the server keeps nothing yet.
func (s *Server) loginForm(w http.ResponseWriter, form url.Values, failed bool) {
	fields := map[string]string{}
	for name := range form {
		if name != "username" && name != "password" {
			fields[name] = form.Get(name)
		}
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if failed {
		w.WriteHeader(http.StatusUnauthorized)
	}
	_ = loginPage.Execute(w, map[string]any{ // the browser may have gone
		"Client": form.Get("client_id"), "Fields": fields, "Failed": failed, "Style": style,
	})
}

// repeated returns the name of a parameter that is there more than once (RFC 6749 §3.1 and §3.2).
func repeated(form url.Values) string {
	for name, values := range form {
		if len(values) > 1 {
			return name
		}
	}
	return ""
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
