package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/senderlock/senderlock/internal/setting"
	"github.com/senderlock/senderlock/reason"
)

// ErrTicket is the cause for refusing a request whose ticket is not one that was handed out a moment ago.
var ErrTicket = reason.New("ticket_unknown", "the ticket is unknown, used or too old")

// The defaults of [TicketsConfig], and the bounds of a ticket's life.
const (
	defaultTicketLife = 10 * time.Second
	defaultMaxTickets = 10_000

	maxTicketLife = time.Minute

	// ticketParameter is the member of the query in which a ticket is sent.
	ticketParameter = "ticket"
)

// TicketsConfig holds the settings of [Tickets]. The zero value is ready for use.
type TicketsConfig struct {
	// Life is for how long a ticket can be used. Zero means ten seconds; a second is the least, a minute the most.
	Life time.Duration
	// Max is how many tickets may be out at once; further ones are refused with 503. Zero means 10,000; an entry is as
	// large as what its token says.
	Max int
}

// Tickets let a browser open a WebSocket or an EventSource, for which it cannot set Authorization or DPoP: a page asks
// for a ticket by a POST with its token and a proof, and sends it once, as "ticket" in the query of the upgrade. It stands for
// the grant of the POST. Make them with [Guard.Tickets]; they are safe for concurrent use.
//
// What it gives up: a ticket is a bearer credential in a URL, which servers and proxies write to their logs. Who reads
// it there within its life, and is faster than the page, gets what the page asked for, for one connection. It is taken
// from the process that handed it out, so an upgrade has to reach the same instance. What it keeps: it can be used once,
// for seconds; the connection ends when the token does, or is taken back; a page of another origin than the one that
// asked cannot use it; and no other route takes it.
type Tickets struct {
	guard *Guard
	life  time.Duration
	max   int

	mu  sync.Mutex
	out map[[sha256.Size]byte]ticket
}

// ticket is what one stands for.
type ticket struct {
	grant  *Grant
	origin []string // of the page that asked for it
	until  time.Time
}

// Tickets checks the settings. Its error names the field and what to put there.
func (g *Guard) Tickets(c TicketsConfig) (*Tickets, error) {
	err := errors.Join(
		setting.Between("Life", &c.Life, defaultTicketLife, time.Second, maxTicketLife),
		setting.Between("Max", &c.Max, defaultMaxTickets, 1, 1_000_000),
	)
	if err != nil {
		return nil, fmt.Errorf("access.TicketsConfig: %w", err)
	}
	return &Tickets{guard: g, life: c.Life, max: c.Max, out: map[[sha256.Size]byte]ticket{}}, nil
}

// Issue hands out a ticket for the grant of a request, as JSON with the members ticket and expires_in. It is a handler of
// a POST route, and demands of the request what the stream that the ticket opens will demand. It panics on a wrong
// demand.
func (t *Tickets) Issue(demands ...Requirement) http.Handler {
	return t.guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		text := rand.Text()
		if !t.put(text, ticket{GrantFrom(r.Context()), r.Header["Origin"], t.guard.config.Now().Add(t.life)}) {
			t.guard.WriteError(w, r, unavailable(reason.NewTrouble("tickets_full", "access: too many tickets are out")))
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"ticket": text, "expires_in": int(t.life / time.Second)})
	}), demands...)
}

// Stream is [Guard.Stream] for requests that bring a ticket in place of a token: the grant in the context is the one that
// the ticket was handed out for. A request without one is judged as ever. It panics on a wrong setting.
func (t *Tickets) Stream(next http.Handler, s Stream, demands ...Requirement) http.Handler {
	route := must(t.guard.StreamRoute(s, demands...))
	ever := t.guard.handler(next, route)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent := r.URL.Query()[ticketParameter]
		if len(sent) == 0 {
			ever.ServeHTTP(w, r)
			return
		}
		began := t.guard.config.Now()
		grant, refusal := t.redeem(r, sent)
		if grant == nil {
			grant = &Grant{}
		}
		grant.began, grant.took = began, t.guard.config.Now().Sub(began)
		r = withoutParameter(r, ticketParameter)
		x := &exchange{Context: r.Context(), guard: t.guard, grant: grant, method: r.Method, target: r.RequestURI}
		_ = route.pass(Passage{Writer: w, RefusalWriter: w, Request: r}, x, refusal, serving(next), writing(w))
	})
}

// redeem takes a ticket, and judges again what may have changed since it was handed out.
func (t *Tickets) redeem(r *http.Request, sent []string) (*Grant, *Error) {
	g := t.guard
	if len(sent) != 1 {
		return nil, g.refuse("", CodeInvalidRequest, ErrTicket.With("one ticket", fmt.Sprint(len(sent))))
	}
	if r.Header["Authorization"] != nil || r.Header["Dpop"] != nil {
		return nil, g.refuse("", CodeInvalidRequest, ErrTokenTwice.With("a ticket alone", "Authorization or DPoP as well"))
	}
	held, ok := t.take(sent[0])
	if !ok {
		return nil, g.refuse("", CodeInvalidToken, ErrTicket)
	}
	if from := r.Header["Origin"]; from != nil && (len(from) != 1 || len(held.origin) != 1 || from[0] != held.origin[0]) {
		return nil, g.refuse("", CodeInvalidToken, ErrTicket.With("the origin that asked for it", fmt.Sprint(from)))
	}
	if err := t.bearer(r, held.grant); err != nil {
		return nil, g.refuse(held.grant.scheme, CodeInvalidToken, err)
	}
	if err := g.stillGood(r, held.grant, nil); err != nil {
		return nil, g.refuse(held.grant.scheme, CodeInvalidToken, err)
	}
	held.grant.Nonce = "" // it was sent with the ticket
	return held.grant, nil
}

// bearer judges a token that is bound to nobody for the route of the stream: it was taken for that of the POST.
func (t *Tickets) bearer(r *http.Request, grant *Grant) error {
	if grant.Binding != 0 {
		return nil
	}
	grant.pattern = ""
	if err := t.guard.unbound(r, grant); err != nil {
		return err
	}
	return grant.within(grant.lifetime)
}

// put keeps a ticket, unless too many are out.
func (t *Tickets) put(text string, new ticket) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.out) >= t.max {
		for key, old := range t.out {
			if !t.guard.config.Now().Before(old.until) {
				delete(t.out, key)
			}
		}
		if len(t.out) >= t.max {
			return false
		}
	}
	t.out[sha256.Sum256([]byte(text))] = new
	return true
}

// take returns what a ticket stands for, once. Only its hash is kept, so a look-up says nothing about others.
func (t *Tickets) take(text string) (ticket, bool) {
	key := sha256.Sum256([]byte(text))
	t.mu.Lock()
	defer t.mu.Unlock()
	held := t.out[key]
	delete(t.out, key)
	return held, t.guard.config.Now().Before(held.until)
}
