package admin

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/senderlock/senderlock/revocation"
)

// revocationRequest is the body of POST /revoke; that of POST /lift is its first three members.
type revocationRequest struct {
	valueRequest
	// Before takes back what was issued before this instant only. Zero: whenever issued.
	Before time.Time `json:"before"`
	// UntilNow is Before for now, on the clock of an issuer that is ahead by Leeway: whose clock says it does not matter.
	UntilNow bool `json:"until_now"`
	// ExceptSession is a session that stays, with Before or UntilNow.
	ExceptSession string `json:"except_session"`
}

// valueRequest names what is revoked, looked at or lifted.
type valueRequest struct {
	Issuer string `json:"issuer"` // may be left out where there is but one
	By     string `json:"by"`     // token, session, subject, client, key or certificate
	Value  string `json:"value"`  // the jti, sid, sub, client_id or thumbprint
}

// named is what q names. It refuses what is valid and cannot be meant: it would be answered with 200, and concern nothing.
func (h *handler) named(q valueRequest) (e revocation.Entry, err error) {
	e = revocation.Entry{By: byName(q.By), Value: q.Value}
	if e.Issuer, err = h.issuer(q.Issuer); err != nil {
		return e, err
	}
	switch e.By {
	case 0:
		return e, errors.New("by is none of token, session, subject, client, key, certificate")
	case revocation.ByKey, revocation.ByCertificate:
		if raw, err := base64.RawURLEncoding.Strict().DecodeString(q.Value); err != nil || len(raw) != sha256.Size {
			return e, errors.New("value is no thumbprint: give the 43 characters of jkt or x5t#S256, as the log has them")
		}
	}
	if q.Value == "" {
		return e, errors.New("value is empty")
	}
	return e, nil
}

// byName is the zero By for a name that is none.
func byName(name string) revocation.By {
	for by := revocation.ByToken; by <= revocation.ByCertificate; by++ {
		if by.String() == name {
			return by
		}
	}
	return 0
}

// issuer is the one that is named, or the only one.
func (h *handler) issuer(name string) (string, error) {
	if name == "" && len(h.Issuers) == 1 {
		return h.Issuers[0], nil
	}
	for _, issuer := range h.Issuers {
		if issuer == name {
			return name, nil
		}
	}
	return "", fmt.Errorf("issuer is none of %q", h.Issuers)
}

func (h *handler) revocable(q revocationRequest) (revocation.Entry, error) {
	e, err := h.named(q.valueRequest)
	if q.UntilNow {
		if err == nil && !q.Before.IsZero() {
			err = errors.New("before and until_now are both set: give one of them")
		}
		q.Before = h.Now().Add(h.Leeway)
	}
	if ahead := q.Before.Sub(h.Now()); err == nil && ahead > h.Leeway {
		err = fmt.Errorf("before is %v ahead, which would lock out logins to come: give now, or %v more at most", ahead.Round(time.Second), h.Leeway)
	}
	e.Before, e.ExceptSession = q.Before, q.ExceptSession
	return e, err
}

// revoke answers 200 when no later request with such a token gets in.
func (h *handler) revoke(w http.ResponseWriter, r *http.Request) {
	var q revocationRequest
	if !read(w, r, &q) {
		return
	}
	e, err := h.revocable(q)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	log := h.Log.With("credential", keyOf(r).name, "issuer", e.Issuer, "by", q.By, "value", q.Value)
	until, err := h.Store.Retention().Until(&e, h.Now())
	if err == nil {
		err = h.Store.Revoke(r.Context(), e)
	}
	if err != nil {
		h.undone(w, r, log, "not revoked", err)
		return
	}
	done := revoked{Revoked: show(&e), Until: until.UTC(), LaterLogins: refusesLogins(&e)}
	done.count(h.hits(r.Context(), &e))
	if !e.Before.IsZero() {
		log = log.With("before", e.Before, "except_session", e.ExceptSession)
	}
	log.InfoContext(r.Context(), "revoked", "until", until, "later_logins_refused", done.LaterLogins)
	answer(w, done)
}

// revoked is the answer to POST /revoke.
type revoked struct {
	Revoked shownEntry `json:"revoked"`
	// Until is when it ends: no token that it denies can be valid any longer.
	Until time.Time `json:"until"`
	// LaterLogins says that who logs in again before that is refused as well.
	LaterLogins bool `json:"later_logins_refused"`
	// InUse is how many tokens on record it hits, AtLeast that there may be more. Null: it is not known.
	InUse   *int `json:"tokens_in_use"`
	AtLeast bool `json:"at_least"`
}

func (a *revoked) count(n int, more bool, err error) {
	if err == nil {
		a.InUse, a.AtLeast = &n, more
	}
}

// refusesLogins reports whether tokens that are got by later logins are denied: they have another jti and another sid, and
// everything else of theirs may be the same.
func refusesLogins(e *revocation.Entry) bool {
	return e.Before.IsZero() && e.By != revocation.ByToken && e.By != revocation.BySession
}

var errUncounted = errors.New("admin: tokens in use cannot be counted")

// mostCounted is how many tokens are looked at to tell those that an instant or a session excepts.
const mostCounted = 10_000

// hits counts the tokens on record that e denies, as far as the record tells. It has no iat: what was seen before the
// instant was issued before, and what was seen since may have been.
func (h *handler) hits(ctx context.Context, e *revocation.Entry) (n int, more bool, err error) {
	s, ok := h.Register.(revocation.Searcher)
	if !ok {
		return 0, false, errUncounted
	}
	found, err := s.Search(ctx, revocation.Search{Issuer: e.Issuer, By: e.By, Value: e.Value, Limit: mostCounted})
	if err != nil || e.Before.IsZero() {
		return found.Total, false, err
	}
	for _, u := range found.Uses {
		t := revocation.Token{
			Issuer: u.Issuer, ID: u.ID, Subject: u.Subject, Session: u.Session, Client: u.Client,
			KeyThumbprint: u.KeyThumbprint, CertThumbprint: u.CertThumbprint, IssuedAt: u.FirstSeen,
		}
		if e.Denies(&t) {
			n++
		}
	}
	return n, n < found.Total, nil
}

// entry answers GET /entry?by=…&value=….
func (h *handler) entry(w http.ResponseWriter, r *http.Request) {
	p := r.URL.Query()
	e, l := h.liftable(w, valueRequest{Issuer: p.Get("issuer"), By: p.Get("by"), Value: p.Get("value")})
	if l == nil {
		return
	}
	entries, err := l.InForce(r.Context(), e)
	if err != nil {
		h.undone(w, r, h.Log, "entry not found out", err)
		return
	}
	answer(w, map[string]any{"entries": h.shown(entries)})
}

// lift answers 200 when no later request is refused by the entry, with what there was.
func (h *handler) lift(w http.ResponseWriter, r *http.Request) {
	var q valueRequest
	if !read(w, r, &q) {
		return
	}
	e, l := h.liftable(w, q)
	if l == nil {
		return
	}
	log := h.Log.With("credential", keyOf(r).name, "issuer", e.Issuer, "by", q.By, "value", q.Value)
	entries, err := l.InForce(r.Context(), e)
	if err == nil {
		err = l.Lift(r.Context(), e)
	}
	if err != nil {
		h.undone(w, r, log, "not lifted", err)
		return
	}
	log.InfoContext(r.Context(), "lifted", "entries", len(entries))
	answer(w, map[string]any{"lifted": h.shown(entries)})
}

// liftable is what q names, and the store as one that can lift it; nil where either is not to be had, which has been
// answered.
func (h *handler) liftable(w http.ResponseWriter, q valueRequest) (revocation.Entry, revocation.Lifter) {
	e, err := h.named(q)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return e, nil
	}
	l, ok := h.Store.(revocation.Lifter)
	if !ok {
		fail(w, http.StatusNotImplemented, "this store cannot look at entries or lift them: it is no revocation.Lifter")
		return e, nil
	}
	return e, l
}

// shownEntry is an entry as it is answered.
type shownEntry struct {
	Issuer        string    `json:"issuer"`
	By            string    `json:"by"`
	Value         string    `json:"value"`
	Before        time.Time `json:"before,omitzero"`
	ExceptSession string    `json:"except_session,omitempty"`
	ExceptToken   string    `json:"except_token,omitempty"`
	Until         time.Time `json:"until,omitzero"`
	LaterLogins   bool      `json:"later_logins_refused"`
}

func show(e *revocation.Entry) shownEntry {
	return shownEntry{
		Issuer: e.Issuer, By: e.By.String(), Value: e.Value, Before: e.Before.UTC(), LaterLogins: refusesLogins(e),
		ExceptSession: e.ExceptSession, ExceptToken: e.ExceptToken,
	}
}

func (h *handler) shown(entries []revocation.Entry) []shownEntry {
	all := []shownEntry{}
	for _, e := range entries {
		one := show(&e)
		if until, err := h.Store.Retention().Until(&e, h.Now()); err == nil {
			one.Until = until.UTC()
		}
		all = append(all, one)
	}
	return all
}

// read reads the body of a request, strictly: a condition that is misspelled must not be left out. It reports whether it
// could; if not, it has answered.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		fail(w, http.StatusUnsupportedMediaType, "send application/json")
		return false
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, into, json.RejectUnknownMembers(true))
	}
	if err != nil {
		fail(w, http.StatusBadRequest, fmt.Sprintf(`send {"by":"session","value":"…"}: %v`, err))
		return false
	}
	return true
}

// undone tells what could not be done: what cannot work, or our own trouble.
func (h *handler) undone(w http.ResponseWriter, r *http.Request, log *slog.Logger, text string, err error) {
	if errors.Is(err, revocation.ErrInvalid) {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	log.ErrorContext(r.Context(), text, "cause", err.Error())
	w.Header().Set("Retry-After", "1")
	fail(w, http.StatusServiceUnavailable, text+", or not everywhere and for good: try again")
}

func fail(w http.ResponseWriter, status int, message string) {
	write(w, status, map[string]string{"message": message})
}

func answer(w http.ResponseWriter, body any) { write(w, http.StatusOK, body) }

func write(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body, json.Deterministic(true))
	if err != nil { // a text that is no UTF-8
		status, text = http.StatusInternalServerError, []byte(`{"message":"the answer cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the client may have gone
}
