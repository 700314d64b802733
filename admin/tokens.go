package admin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/senderlock/senderlock/revocation"
)

// use is one token in use, as GET /tokens lists it. Its token is for POST /revoke.
type use struct {
	Token       string    `json:"token"` // jti
	Subject     string    `json:"subject"`
	Session     string    `json:"session,omitempty"`
	Client      string    `json:"client"`
	Key         string    `json:"key,omitempty"`         // thumbprint
	Certificate string    `json:"certificate,omitempty"` // thumbprint
	Address     string    `json:"address"`
	FirstSeen   time.Time `json:"first_seen"`
	LastSeen    time.Time `json:"last_seen"`
	Expiry      time.Time `json:"expiry"`
}

// The bounds of a search: of a thumbprint at least as much as tells people apart.
const (
	minPrefix  = 6
	thumbprint = 43
)

var errUnsearchable = errors.New("this register finds tokens by their subject alone: it is no revocation.Searcher")

// tokens answers GET /tokens?subject=….
func (h *handler) tokens(w http.ResponseWriter, r *http.Request) {
	q, err := h.search(r.URL.Query())
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	if h.Register == nil {
		fail(w, http.StatusNotFound, "no record is kept of tokens in use")
		return
	}
	found, err := h.lookFor(r.Context(), q)
	switch {
	case errors.Is(err, errUnsearchable):
		fail(w, http.StatusNotImplemented, err.Error())
		return
	case err != nil:
		h.undone(w, r, h.Log, "tokens not listed", err)
		return
	}
	uses := make([]use, 0, len(found.Uses))
	for _, u := range found.Uses {
		uses = append(uses, use{
			Token: u.ID, Subject: u.Subject, Session: u.Session, Client: u.Client,
			Key: u.KeyThumbprint, Certificate: u.CertThumbprint, Address: u.Address,
			FirstSeen: u.FirstSeen.UTC(), LastSeen: u.LastSeen.UTC(), Expiry: u.Expiry.UTC(),
		})
	}
	answer(w, map[string]any{"issuer": q.Issuer, q.By.String(): q.Value, "total": found.Total, "tokens": uses})
}

// search is what the parameters of a request ask for: one property.
func (h *handler) search(p url.Values) (q revocation.Search, err error) {
	if q.Issuer, err = h.issuer(p.Get("issuer")); err != nil {
		return q, err
	}
	for by := revocation.ByToken; by <= revocation.ByCertificate; by++ {
		if value := p.Get(by.String()); value != "" {
			if q.By != 0 {
				return q, errors.New("name one of token, session, subject, client, key, certificate, not several")
			}
			q.By, q.Value = by, value
		}
	}
	byThumbprint := q.By == revocation.ByKey || q.By == revocation.ByCertificate
	switch {
	case q.By == 0:
		return q, errors.New("name what to look for: /tokens?subject=…, or token, session, client, key, certificate")
	case byThumbprint && len(q.Value) < minPrefix:
		return q, errors.New("give at least the first 6 characters of the thumbprint")
	}
	q.Prefix = byThumbprint && len(q.Value) < thumbprint
	if limit := p.Get("limit"); limit != "" {
		n, err := strconv.ParseUint(limit, 10, 16)
		if q.Limit = int(n); err != nil || n == 0 {
			return q, errors.New("limit is no number from 1 to 10000")
		}
	}
	return q, nil
}

// lookFor looks in the register as far as it can be looked in.
func (h *handler) lookFor(ctx context.Context, q revocation.Search) (revocation.Found, error) {
	if s, ok := h.Register.(revocation.Searcher); ok {
		return s.Search(ctx, q)
	}
	if q.By != revocation.BySubject {
		return revocation.Found{}, errUnsearchable
	}
	uses, err := h.Register.Uses(ctx, q.Issuer, q.Value)
	return revocation.Found{Uses: uses, Total: len(uses)}, err
}
