package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"github.com/senderlock/senderlock/internal/setting"
)

// Right is what a [Credential] is good for. Rights are added with |, and none contains another.
type Right uint8

// The rights.
const (
	Metrics Right = 1 << iota // read the metrics
	Look                      // look for tokens in use, entries, alerts and clients, which tells who is using the API
	Revoke                    // take tokens back, and lift what was revoked
	endRight
)

var rightNames = map[Right]string{Metrics: "metrics", Look: "look", Revoke: "revoke"}

func (r Right) names() []string {
	all := []string{}
	for one := Metrics; one < endRight; one <<= 1 {
		if r&one != 0 {
			all = append(all, rightNames[one])
		}
	}
	return all
}

// MinToken is the least length of a [Credential]'s token: of 32 hexadecimal digits, from openssl rand -hex 16.
const MinToken = 32

// Credential lets somebody in who sends its token as Authorization: Bearer.
type Credential struct {
	// Name stands in the log beside what was done with it. Letters, digits and . _ - @, 64 at most; no two the same.
	Name string
	// Token is the secret: at least [MinToken] random characters that can stand in a field; no two the same.
	Token string
	// Rights are what it is good for; at least one.
	Rights Right
}

// key is a credential as it is kept: the hash of its token hides the length too.
type key struct {
	name   string
	hash   [sha256.Size]byte
	rights Right
}

// local is who comes in by [Config.InsecureLocal].
var local = &key{name: "local", rights: endRight - 1}

func (h *handler) settleCredentials() error {
	if h.InsecureLocal != (len(h.Credentials) == 0) {
		return errors.New("Credentials or InsecureLocal: give one of the two")
	}
	for i, c := range h.Credentials {
		k := key{c.Name, sha256.Sum256([]byte(c.Token)), c.Rights}
		switch {
		case c.Name == "" || len(c.Name) > 64 || strings.ContainsFunc(c.Name, unnamed):
			return fmt.Errorf("Credentials[%d].Name is %q: give letters, digits and . _ - @, 64 at most", i, c.Name)
		case len(c.Token) < MinToken || strings.ContainsFunc(c.Token, unsendable):
			return fmt.Errorf("Credentials[%d].Token of %s is too short, or cannot stand in a field: give %d random characters or more, from openssl rand -hex 32", i, c.Name, MinToken)
		case c.Rights == 0 || c.Rights >= endRight:
			return fmt.Errorf("Credentials[%d].Rights of %s is %d: give Metrics, Look, Revoke, or several with |", i, c.Name, c.Rights)
		}
		for _, other := range h.keys {
			if other.name == k.name || other.hash == k.hash {
				return fmt.Errorf("Credentials[%d] has the name or the token of another: give each its own", i)
			}
		}
		h.keys = append(h.keys, k)
	}
	return nil
}

func unnamed(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-@", r))
}

func unsendable(r rune) bool { return r <= ' ' || r > '~' }

type contextKey struct{}

// keyOf is the key with which a request came in.
func keyOf(r *http.Request) *key { return r.Context().Value(contextKey{}).(*key) }

// demand lets in who has a right, and with none whoever has a credential.
func (h *handler) demand(right Right, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var known *key
		switch {
		case !h.InsecureLocal:
			known = h.find(r.Header.Values("Authorization"))
		case h.keep(w, r):
			return
		default:
			known = local
		}
		switch {
		case known == nil:
			h.refused(r, "")
			w.Header().Set("WWW-Authenticate", "Bearer")
			fail(w, http.StatusUnauthorized, "give the token of a credential as a bearer token")
		case known.rights&right != right:
			h.refused(r, known.name)
			fail(w, http.StatusForbidden, "this credential has not the right to "+rightNames[right])
		default:
			next(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, known)))
		}
	})
}

func (h *handler) refused(r *http.Request, name string) {
	h.Log.WarnContext(r.Context(), "admin request refused",
		slog.String("credential", name), slog.String("peer", r.RemoteAddr), slog.String("route", r.Pattern))
}

// find returns the key whose token came, or nil. It looks at all, so that its time tells nothing.
func (h *handler) find(authorization []string) (found *key) {
	var token string
	if len(authorization) == 1 {
		scheme, rest, _ := strings.Cut(authorization[0], " ")
		if strings.EqualFold(scheme, "Bearer") {
			token = rest
		}
	}
	hash := sha256.Sum256([]byte(token))
	for i := range h.keys {
		if subtle.ConstantTimeCompare(hash[:], h.keys[i].hash[:]) == 1 {
			found = &h.keys[i]
		}
	}
	return found
}

// keep keeps out what the pages of others send, and who comes by a name that leads here (DNS rebinding). It reports
// whether it has answered.
func (h *handler) keep(w http.ResponseWriter, r *http.Request) bool {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	own := (origin == "" || origin == "http://"+r.Host || origin == "https://"+r.Host) &&
		(site == "" || site == "none" || site == "same-origin")
	if own && setting.Loopback(strings.Trim(host, "[]")) {
		return false
	}
	fail(w, http.StatusForbidden, "this is not for the pages of others; address it as 127.0.0.1 or localhost")
	return true
}
