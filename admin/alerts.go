package admin

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/senderlock/senderlock/access"
)

// keptAlerts is how many alerts are kept.
const keptAlerts = 100

// Alerts keeps the last hundred alerts of this process. The zero Alerts is ready for use. Its methods are safe for
// concurrent use; a nil Alerts has none.
type Alerts struct {
	mu   sync.Mutex
	ring []access.Alert // the oldest first
}

// Observe returns a function that keeps each alert, and tells next, which may be nil: [access.Config].OnAlert of the Guard.
func (a *Alerts) Observe(next func(context.Context, access.Alert)) func(context.Context, access.Alert) {
	return func(ctx context.Context, alert access.Alert) {
		a.keep(alert)
		if next != nil {
			next(ctx, alert)
		}
	}
}

func (a *Alerts) keep(alert access.Alert) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.ring) == keptAlerts {
		a.ring = slices.Delete(a.ring, 0, 1)
	}
	a.ring = append(a.ring, alert)
}

// List returns what is kept, the newest first.
func (a *Alerts) List() []access.Alert {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	list := slices.Clone(a.ring)
	slices.Reverse(list)
	return list
}

// shownAlert is an alert as GET /alerts lists it, under the names of the log.
type shownAlert struct {
	Time        time.Time `json:"at"`
	Kind        string    `json:"kind"`
	Issuer      string    `json:"issuer"`
	Token       string    `json:"jti"`
	Session     string    `json:"sid"`
	Subject     string    `json:"sub"`
	Client      string    `json:"client"`
	Key         string    `json:"jkt,omitempty"`
	Certificate string    `json:"x5t#S256,omitempty"`
	Bound       string    `json:"bound"`
	Presented   string    `json:"presented"`
	Proven      bool      `json:"proven"`
	Address     string    `json:"address"`
	Route       string    `json:"route"`
	Count       int       `json:"count"`
}

func showAlert(a access.Alert) shownAlert {
	s := shownAlert{
		Time: a.Time.UTC(), Kind: a.Kind, Issuer: a.Token.Issuer, Token: a.Token.ID, Session: a.Token.Session,
		Subject: a.Token.Subject, Client: a.Token.Client, Key: a.Token.KeyThumbprint, Certificate: a.Token.CertThumbprint,
		Bound: a.Bound, Presented: a.Presented, Proven: a.Proven, Route: a.Route, Count: a.Count,
	}
	if a.Address.IsValid() {
		s.Address = a.Address.String()
	}
	return s
}
