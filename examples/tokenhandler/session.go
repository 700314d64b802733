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
	ID         string `json:"id"`  // of the login, and never the same again
	Generation int    `json:"gen"` // of the tokens: the first, the next, and so on

	AccessToken  string    `json:"at"`
	RefreshToken string    `json:"rt,omitempty"`
	Expiry       time.Time `json:"exp,omitzero"` // of the access token; zero: the server did not say
	Began        time.Time `json:"began"`
}

// newSession is a login that began now.
func newSession(token *oauth2.Token, now time.Time) session {
	s := session{ID: rand.Text(), Began: now}
	s.take(token, now)
	return s
}

// take takes the tokens of an answer.
func (s *session) take(token *oauth2.Token, came time.Time) {
	s.Generation++
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
	// begin starts a session under a name that nobody has known before.
	begin(w http.ResponseWriter, s session) error
	// find returns the browser's session, or errNoSession.
	find(r *http.Request) (session, error)
	// keep replaces the tokens of a session, unless newer ones are kept. The error is errNoSession if it is over.
	keep(w http.ResponseWriter, s session) error
	// newest reports whether a session goes on and has no newer tokens than these.
	newest(s session) bool
	// end ends a session, and reports whether it went on until now.
	end(s session) bool
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

func (m *memory) begin(w http.ResponseWriter, s session) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.held, func(_ [sha256.Size]byte, old session) bool { return m.over(old) })
	if len(m.held) >= m.most {
		return errFull
	}
	cookie := sessionCookie()
	cookie.Value = s.ID
	m.held[sha256.Sum256([]byte(s.ID))] = s
	setCookie(w, cookie)
	return nil
}

func (m *memory) over(s session) bool { return m.now().Sub(s.Began) >= m.lifetime }

func (m *memory) find(r *http.Request) (session, error) {
	name, err := oneCookie(r, sessionCookie().Name)
	if err != nil {
		return session{}, errNoSession
	}
	return m.get(name)
}

func (m *memory) get(id string) (session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, found := m.held[sha256.Sum256([]byte(id))]
	if !found || m.over(s) {
		return session{}, errNoSession
	}
	return s, nil
}

func (m *memory) keep(_ http.ResponseWriter, s session) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := sha256.Sum256([]byte(s.ID))
	held, found := m.held[key]
	if !found { // ended meanwhile
		return errNoSession
	}
	if s.Generation > held.Generation { // another request may have brought newer ones
		m.held[key] = s
	}
	return nil
}

func (m *memory) newest(s session) bool {
	held, err := m.get(s.ID)
	return err == nil && s.Generation >= held.Generation
}

func (m *memory) end(s session) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := sha256.Sum256([]byte(s.ID))
	_, found := m.held[key]
	delete(m.held, key)
	return found
}
