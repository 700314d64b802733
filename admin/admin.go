package admin

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/access/rollout"
	"github.com/senderlock/senderlock/internal/setting"
	"github.com/senderlock/senderlock/revocation"
)

// Config holds the settings of [New]. Issuers, Store, and Credentials or InsecureLocal are required.
type Config struct {
	// Issuers are the issuers whose tokens are taken back, each as in iss. A request names one, or means the only one.
	Issuers []string
	// Store is where tokens are taken back: that of the Guard. To look at entries and lift them it has to be a
	// [revocation.Lifter]; with another, those requests are answered 501. It is the caller's to close.
	Store revocation.Store
	// Register is the record of the tokens in use: that of the Guard. Only in a [revocation.Searcher] tokens are found by
	// more than their subject, and counted when they are taken back. Nil: there are none to be found. It is the caller's
	// to close.
	Register revocation.Register

	// Credentials are who may do what.
	Credentials []Credential
	// InsecureLocal, in place of Credentials, lets in whoever can send a request to this machine by a name of its own
	// (127.0.0.1, localhost). Pages of others, which this machine's users visit, are kept out; its users are not.
	InsecureLocal bool

	// Leeway is how far the issuers' clocks may be ahead, and so the instant before which tokens are taken back. Zero means
	// [access.DefaultLeeway]; a minute is the most.
	Leeway time.Duration

	Alerts  *Alerts          // the last alerts; nil: they are not kept
	Clients *rollout.Clients // who would be refused by stricter demands; nil: it is not known
	Metrics http.Handler     // such as that of Prometheus, which GET /metrics answers with; nil: there is none
	Ready   *Readiness       // which GET /readyz answers with, to everybody; nil: it is answered elsewhere

	// Log hears at Info what was taken back and lifted, and by whose credential; at Warn of credentials that are not known
	// or do not suffice; at Error what could not be done. Nil means [slog.Default].
	Log *slog.Logger
	// Now is the clock. Nil means [time.Now].
	Now func() time.Time
}

// handler is what New makes.
type handler struct {
	Config
	keys []key // of Credentials
	mux  *http.ServeMux
}

// New checks the settings and makes the handler, which is safe for concurrent use. Its error names the field and what to
// put there.
//
//	GET  /          a page for all of it
//	GET  /whoami    whose credential it is, with its rights and the issuers
//	POST /revoke    takes tokens back: {"by":"session","value":"…"}, optionally issuer, before or until_now, except_session
//	GET  /entry     what is in force for ?by=…&value=…
//	POST /lift      lifts it: {"by":"session","value":"…"}
//	GET  /tokens    the tokens in use by one of ?subject=, client=, session=, token=, key=, certificate=; six characters of a thumbprint do
//	GET  /alerts    the last alerts
//	GET  /clients   who would be refused by stricter demands
//	GET  /metrics   Config.Metrics
//	GET  /readyz    Config.Ready
//
// Where a request does not say which of several issuers it means, it is refused. Answers are JSON, and of errors have a
// member message.
func New(config Config) (http.Handler, error) {
	h := &handler{Config: config, mux: http.NewServeMux()}
	if err := h.settle(); err != nil {
		return nil, fmt.Errorf("admin.Config: %w", err)
	}
	h.mux.Handle("GET /whoami", h.demand(0, h.whoami))
	h.mux.Handle("POST /revoke", h.demand(Revoke, h.revoke))
	h.mux.Handle("POST /lift", h.demand(Revoke, h.lift))
	h.mux.Handle("GET /entry", h.demand(Look, h.entry))
	h.mux.Handle("GET /tokens", h.demand(Look, h.tokens))
	h.mux.Handle("GET /alerts", h.demand(Look, h.alerts))
	h.mux.Handle("GET /clients", h.demand(Look, h.clients))
	h.mux.Handle("GET /metrics", h.demand(Metrics, h.metrics))
	h.pages()
	if h.Ready != nil {
		h.mux.Handle("GET /readyz", h.Ready)
	}
	return http.MaxBytesHandler(h.mux, maxBody), nil
}

// maxBody is the most that a request may bring.
const maxBody = 16 << 10

func (h *handler) settle() error {
	if h.Log == nil {
		h.Log = slog.Default()
	}
	if h.Now == nil {
		h.Now = time.Now
	}
	if err := errors.Join(
		setting.Made("Store", h.Store), setting.Made("Register", h.Register),
		setting.Between("Leeway", &h.Leeway, access.DefaultLeeway, time.Millisecond, time.Minute),
	); err != nil {
		return err
	}
	if h.Store == nil {
		return errors.New("Store is nil: give the store of revocations that the Guard asks")
	}
	if len(h.Issuers) == 0 {
		return errors.New("Issuers is empty: give the issuers whose tokens are taken back, as in iss")
	}
	for i, issuer := range h.Issuers {
		if issuer == "" {
			return fmt.Errorf("Issuers[%d] is empty: give an issuer as in iss", i)
		}
	}
	return h.settleCredentials()
}

// whoami tells a page what it may offer.
func (h *handler) whoami(w http.ResponseWriter, r *http.Request) {
	k := keyOf(r)
	answer(w, map[string]any{"name": k.name, "rights": k.rights.names(), "issuers": h.Issuers})
}

func (h *handler) metrics(w http.ResponseWriter, r *http.Request) {
	if h.Metrics == nil {
		fail(w, http.StatusNotFound, "there are no metrics here")
		return
	}
	h.Metrics.ServeHTTP(w, r)
}

func (h *handler) clients(w http.ResponseWriter, r *http.Request) {
	if h.Clients == nil {
		fail(w, http.StatusNotFound, "no stricter demands are tried here")
		return
	}
	h.Clients.Handler().ServeHTTP(w, r)
}

func (h *handler) alerts(w http.ResponseWriter, _ *http.Request) {
	all := []shownAlert{}
	for _, a := range h.Alerts.List() {
		all = append(all, showAlert(a))
	}
	answer(w, map[string]any{"alerts": all})
}
