package main

import (
	"maps"
	"net/http"
	"sync"
	"time"
)

// stateless keeps each session in its browser's cookie, sealed. Instances that share the seal's key and the key of the
// proofs share the sessions. What a process does not keep it cannot take back elsewhere: after a logout at one
// instance, or before a restart, a copy of the cookie is worth as much as its tokens, which end within minutes once the
// authorization server has taken the refresh token back. Another login has nothing taken back: a copy of the cookie before it
// lives until that session's end.
type stateless struct {
	seal     *seal
	lifetime time.Duration

	mu    sync.Mutex
	known map[string]standing // by the session's ID
}

// standing is what has become of a session here, whatever cookie a request has of it. An answer that took its time must
// not bring back what came before.
type standing struct {
	generation int // of the newest tokens
	over       bool
	until      time.Time // when no request is on its way, or no cookie is good any more, that does not know it
}

func newStateless(seal *seal, lifetime time.Duration) *stateless {
	return &stateless{seal: seal, lifetime: lifetime, known: map[string]standing{}}
}

func (c *stateless) ends(s session) time.Time { return s.Began.Add(c.lifetime) }

// note is called with the lock held.
func (c *stateless) note(s session, now standing) {
	maps.DeleteFunc(c.known, func(_ string, old standing) bool { return !c.seal.now().Before(old.until) })
	c.known[s.ID] = now
}

func (c *stateless) begin(w http.ResponseWriter, s session) error { return c.keep(w, s) }

func (c *stateless) find(r *http.Request) (session, error) {
	s, err := getSealed[session](c.seal, r, sessionCookie().Name)
	if err != nil {
		return session{}, errNoSession
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[s.ID].over {
		return session{}, errNoSession
	}
	return s, nil
}

func (c *stateless) keep(w http.ResponseWriter, s session) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.known[s.ID]
	switch {
	case known.over:
		return errNoSession
	case s.Generation < known.generation:
		return nil
	case s.Generation > known.generation:
		c.note(s, standing{generation: s.Generation, until: c.seal.now().Add(longest)})
	}
	return setSealed(c.seal, w, sessionCookie(), s, c.ends(s))
}

func (c *stateless) newest(s session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.known[s.ID]
	return !known.over && s.Generation >= known.generation && c.seal.now().Before(c.ends(s))
}

func (c *stateless) end(s session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[s.ID].over {
		return false
	}
	c.note(s, standing{over: true, until: c.ends(s)})
	return true
}
