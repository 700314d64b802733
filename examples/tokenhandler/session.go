package main

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"maps"
	"net/http"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

// session is what a login leaves on this side. The browser has its name, or a sealed copy, and never a token.
type session struct {
	AccessToken  string    `json:"at"`
	RefreshToken string    `json:"rt,omitempty"`
	Expiry       time.Time `json:"exp,omitzero"` // of the access token; zero: the server did not say
	Began        time.Time `json:"began"`
}

// take takes the tokens of an answer.
func (s *session) take(token *oauth2.Token, came time.Time) {
	s.AccessToken, s.RefreshToken, s.Expiry = token.AccessToken, token.RefreshToken, time.Time{}
	if token.ExpiresIn > 0 {
		s.Expiry = came.Add(time.Duration(token.ExpiresIn) * time.Second)
	}
}

var (
	// errNoSession means that the browser is not logged in.
	errNoSession = errors.New("not logged in")
	errFull      = errors.New("too many sessions")
)

// sessions keeps the sessions of browsers. It is safe for concurrent use.
type sessions interface {
	// begin starts a session under a name that nobody has known before, in place of the browser's old one.
	begin(w http.ResponseWriter, r *http.Request, s session) error
	// find returns the browser's session, or errNoSession.
	find(r *http.Request) (session, error)
	// keep replaces the tokens of the browser's session.
	keep(w http.ResponseWriter, r *http.Request, s session) error
	// end ends the browser's session, if it has one.
	end(w http.ResponseWriter, r *http.Request)
}

// sessionCookie is not sent with any request that another site causes.
func sessionCookie() http.Cookie { return newCookie("session", http.SameSiteStrictMode) }

// memory keeps sessions in this process.
type memory struct {
	lifetime time.Duration
	most     int
	now      func() time.Time

	mu   sync.Mutex
	held map[[sha256.Size]byte]session // by hash of the name, so that looking one up tells nothing of others
}

func newMemory(lifetime time.Duration, most int, now func() time.Time) *memory {
	return &memory{lifetime: lifetime, most: most, now: now, held: map[[sha256.Size]byte]session{}}
}

func (m *memory) begin(w http.ResponseWriter, r *http.Request, s session) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if name, err := oneCookie(r, sessionCookie().Name); err == nil {
		delete(m.held, sha256.Sum256([]byte(name)))
	}
	maps.DeleteFunc(m.held, func(_ [sha256.Size]byte, old session) bool { return m.over(old) })
	if len(m.held) >= m.most {
		return errFull
	}
	cookie := sessionCookie()
	cookie.Value = rand.Text()
	m.held[sha256.Sum256([]byte(cookie.Value))] = s
	setCookie(w, cookie)
	return nil
}

func (m *memory) over(s session) bool { return m.now().Sub(s.Began) >= m.lifetime }

func (m *memory) find(r *http.Request) (session, error) {
	name, err := oneCookie(r, sessionCookie().Name)
	if err != nil {
		return session{}, errNoSession
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s, found := m.held[sha256.Sum256([]byte(name))]
	if !found || m.over(s) {
		return session{}, errNoSession
	}
	return s, nil
}

func (m *memory) keep(_ http.ResponseWriter, r *http.Request, s session) error {
	name, err := oneCookie(r, sessionCookie().Name)
	if err != nil {
		return errNoSession
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := sha256.Sum256([]byte(name))
	held, found := m.held[key]
	if !found { // ended meanwhile
		return errNoSession
	}
	if s.Expiry.IsZero() || held.Expiry.Before(s.Expiry) { // another request may have brought newer ones
		m.held[key] = s
	}
	return nil
}

func (m *memory) end(w http.ResponseWriter, r *http.Request) {
	removeCookie(w, sessionCookie())
	if name, err := oneCookie(r, sessionCookie().Name); err == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.held, sha256.Sum256([]byte(name)))
	}
}

// stateless keeps each session in its browser's cookie, sealed. Instances that share the seal's key and the key of the
// proofs share the sessions. What a process does not keep it cannot take back: after a logout a copy of the cookie is
// worth as much as its tokens, which end within minutes once the authorization server has taken the refresh token back.
type stateless struct {
	seal     *seal
	lifetime time.Duration
}

func (c *stateless) begin(w http.ResponseWriter, r *http.Request, s session) error {
	return c.keep(w, r, s)
}

func (c *stateless) find(r *http.Request) (session, error) {
	s, err := getSealed[session](c.seal, r, sessionCookie().Name)
	if err != nil {
		return session{}, errNoSession
	}
	return s, nil
}

func (c *stateless) keep(w http.ResponseWriter, _ *http.Request, s session) error {
	return setSealed(c.seal, w, sessionCookie(), s, s.Began.Add(c.lifetime))
}

func (c *stateless) end(w http.ResponseWriter, _ *http.Request) { removeCookie(w, sessionCookie()) }
