package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/settings"
	"github.com/senderlock/senderlock/revocation"
)

const maxAdminBody = 16 << 10

// admin is what the operator and the application's own services use: it takes tokens back, lists those in use and
// shows metrics. Nothing of it belongs on a public address.
type admin struct {
	issuer string
	log    *slog.Logger
	tokens settings.Records
}

func newAdmin(s *settings.Settings, log *slog.Logger, tokens settings.Records, registry *prometheus.Registry) http.Handler {
	a := &admin{issuer: s.Issuer.URL, log: log, tokens: tokens}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /revoke", a.revoke)
	mux.HandleFunc("GET /tokens", a.list)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return protect(s.AdminToken, http.MaxBytesHandler(mux, maxAdminBody))
}

// protect keeps others out. With a secret, only those who know it get in. Without one the port is on this machine,
// whose users are trusted; but the pages that they visit are not, so what a browser sends from a page is refused, and a
// name that leads here (DNS rebinding) as well.
func protect(secret string, next http.Handler) http.Handler {
	want := sha256.Sum256([]byte("Bearer " + secret))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := sha256.Sum256([]byte(r.Header.Get("Authorization")))
		switch {
		case secret != "" && subtle.ConstantTimeCompare(got[:], want[:]) != 1:
			w.Header().Set("WWW-Authenticate", "Bearer")
			fail(w, http.StatusUnauthorized, "give ADMIN_TOKEN as a bearer token")
		case secret == "" && (r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" || !local(r.Host)):
			fail(w, http.StatusForbidden, "the admin port is not for pages; address it as 127.0.0.1 or localhost")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func local(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return settings.Loopback(host)
}

// revocationRequest is the body of POST /revoke.
type revocationRequest struct {
	By    string `json:"by"`    // token, session, subject, client, key or certificate
	Value string `json:"value"` // the jti, sid, sub, client_id or thumbprint
	// Before takes back what was issued before this instant only. Zero: whenever issued.
	Before time.Time `json:"before"`
	// ExceptSession is a session that stays, with Before.
	ExceptSession string `json:"except_session"`
}

// revoke answers 200 when no later request with such a token gets in.
func (a *admin) revoke(w http.ResponseWriter, r *http.Request) {
	var q revocationRequest
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		fail(w, http.StatusUnsupportedMediaType, "send application/json")
		return
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields() // a condition that is misspelled must not be left out
	err := decoder.Decode(&q)
	if err == nil {
		if _, more := decoder.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is something behind the object")
		}
	}
	if err == nil {
		err = q.plausible(time.Now())
	}
	if err != nil {
		fail(w, http.StatusBadRequest, fmt.Sprintf(`send {"by":"session","value":"…"}: %v`, err))
		return
	}
	entry := revocation.Entry{
		Issuer: a.issuer, By: byName(q.By), Value: q.Value, Before: q.Before, ExceptSession: q.ExceptSession,
	}
	switch err := a.tokens.Revoke(r.Context(), entry); {
	case errors.Is(err, revocation.ErrInvalid):
		fail(w, http.StatusBadRequest, err.Error())
	case err != nil:
		a.log.ErrorContext(r.Context(), "not revoked", "by", q.By, "value", q.Value, "error", err)
		fail(w, http.StatusServiceUnavailable, "not revoked, or not durably: try again")
	default:
		a.log.InfoContext(r.Context(), "revoked", "by", q.By, "value", q.Value, "before", q.Before)
		answer(w, http.StatusOK, map[string]any{"revoked": map[string]string{"by": q.By, "value": q.Value}})
	}
}

// plausible refuses what is valid and cannot be meant: it would be answered with 200, and deny nothing, or everything
// to come.
func (q *revocationRequest) plausible(now time.Time) error {
	switch byName(q.By) {
	case revocation.ByKey, revocation.ByCertificate:
		if raw, err := base64.RawURLEncoding.Strict().DecodeString(q.Value); err != nil || len(raw) != sha256.Size {
			return fmt.Errorf("value is no thumbprint: give the 43 characters of jkt or x5t#S256, as the log has them")
		}
	}
	if ahead := q.Before.Sub(now); ahead > access.DefaultLeeway {
		return fmt.Errorf("before is %v ahead, which would lock out logins to come: give now, or %v more at most", ahead.Round(time.Second), access.DefaultLeeway)
	}
	return nil
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

// use is one token in use, as GET /tokens lists it. Its token is for POST /revoke.
type use struct {
	Token     string    `json:"token"` // jti
	Session   string    `json:"session,omitempty"`
	Client    string    `json:"client"`
	Key       string    `json:"key,omitempty"` // thumbprint
	Address   string    `json:"address"`
	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"last_seen"`
	Expiry    time.Time `json:"expiry"`
}

// list answers GET /tokens?subject=….
func (a *admin) list(w http.ResponseWriter, r *http.Request) {
	subject := r.URL.Query().Get("subject")
	if subject == "" {
		fail(w, http.StatusBadRequest, "name the subject: /tokens?subject=…")
		return
	}
	found, err := a.tokens.InUse(r.Context(), a.issuer, subject)
	if err != nil {
		a.log.ErrorContext(r.Context(), "tokens not listed", "error", err)
		fail(w, http.StatusServiceUnavailable, "try again")
		return
	}
	uses := make([]use, 0, len(found))
	for _, u := range found {
		uses = append(uses, use{
			Token: u.ID, Session: u.Session, Client: u.Client, Key: u.KeyThumbprint, Address: u.Address,
			FirstSeen: u.FirstSeen, LastSeen: u.LastSeen, Expiry: u.Expiry,
		})
	}
	answer(w, http.StatusOK, map[string]any{"subject": subject, "tokens": uses})
}

func fail(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]string{"message": message})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may have gone
}
