package echoauth

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/revocation/events"
)

// BackChannelLogout checks the settings of r and returns the handler of the backchannel_logout_uri. It belongs on a
// POST route outside of [Auth.Authenticate]: the logout token is all that the provider sends. Where r has none, its
// Store, Log and Now are those of a. The caller closes r.
func (a *Auth) BackChannelLogout(r *events.BackChannelLogout) (echo.HandlerFunc, error) {
	if r.Store == nil {
		r.Store = a.guard.Revocation
	}
	return a.receive(r, &r.Provider)
}

// SharedSignals checks the settings of r and returns the handler to which security event tokens are pushed. It
// belongs on a POST route outside of [Auth.Authenticate]. Where r has none, its Store, Log and Now are those of a.
// The caller closes r.
func (a *Auth) SharedSignals(r *events.SharedSignals) (echo.HandlerFunc, error) {
	if r.Store == nil {
		r.Store = a.guard.Revocation
	}
	return a.receive(r, &r.Provider)
}

func (a *Auth) receive(r interface {
	http.Handler
	Validate() error
}, p *events.Provider) (echo.HandlerFunc, error) {
	if a.guard.Revocation == nil {
		return nil, errors.New("echoauth.Config: Revocation is nil: " +
			"no request would be checked against what is received; give a revocation.Store")
	}
	if p.Log == nil {
		p.Log = a.tell.log
	}
	if p.Now == nil {
		p.Now = a.guard.Now
	}
	if err := r.Validate(); err != nil {
		return nil, err
	}
	return echo.WrapHandler(r), nil
}
