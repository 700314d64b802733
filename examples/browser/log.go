package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"sync"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/access"
)

// requestIDField tells a client the name of its request in the log.
const requestIDField = "X-Request-Id"

// keptDecisions is how many decisions are remembered.
const keptDecisions = 100

// requestIDKey is where the context of a request holds its name.
type requestIDKey struct{}

// decisions are the last decisions of the API: the demo's window on the operator's side. Only the page's own server
// shows them, on this machine. An API of yours tells its reasons to its log and to nobody else, since they help whoever
// tries tokens and proofs. A zero decisions is ready for use, and safe for concurrent use.
type decisions struct {
	mu   sync.Mutex
	kept []decision
}

// decision is what the operator learns about one request.
type decision struct {
	Request string `json:"request"`
	Outcome string `json:"outcome"`
	Reason  string `json:"reason"`
	Cause   string `json:"cause"`
}

// number names each request, whatever name it may bring.
func (l *decisions) number(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := rand.Text()
		c.Response().Header().Set(requestIDField, id)
		r := c.Request()
		c.SetRequest(r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id)))
		return next(c)
	}
}

// keep hears of a decision before its answer goes out.
func (l *decisions) keep(ctx context.Context, d access.Decision) {
	id, _ := ctx.Value(requestIDKey{}).(string)
	entry := decision{Request: id, Outcome: string(d.Outcome()), Reason: d.Reason()}
	if d.Refusal != nil {
		entry.Cause = d.Refusal.Err.Error()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = append(l.kept, entry)
	l.kept = l.kept[max(0, len(l.kept)-keptDecisions):]
}

// find returns the decision about a request, if it is remembered.
func (l *decisions) find(id string) (decision, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, entry := range l.kept {
		if entry.Request == id {
			return entry, true
		}
	}
	return decision{}, false
}

// ServeHTTP shows the decision about the request that is named in the query.
func (l *decisions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	entry, found := l.find(r.FormValue("request"))
	if !found {
		http.Error(w, "the log has no such request, or no longer", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(entry) // the page may have gone
}
