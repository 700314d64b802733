package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"sync"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/internal/challenge"
	"github.com/senderlock/senderlock/internal/explain"
)

// legField tells the page under which name it can look up what its request led to.
const legField = "Backend-Leg"

// keptLegs is how many requests of the page are remembered.
const keptLegs = 100

// legOf is the key of a request's leg in its context.
type legOf struct{}

// legs are what the backend sent to the API for the last requests of the page: the demo's window on this side, which a
// backend of yours does not have. There is nothing of a token in it. It is safe for concurrent use.
type legs struct {
	mu   sync.Mutex
	kept []*leg
}

// leg is what was sent for one request of the page: more than one request where the API asked for a nonce.
type leg struct {
	Name string `json:"-"`
	Sent []sent `json:"sent"`
}

// sent is one request to the API with its answer.
type sent struct {
	Method string          `json:"method"`
	URL    string          `json:"url"`
	Proof  json.RawMessage `json:"proof"`   // its header
	Claims json.RawMessage `json:"payload"` // of the proof
	Status int             `json:"status"`
	Code   string          `json:"code"`  // that the challenge names
	Nonce  bool            `json:"nonce"` // one came with the answer
}

// begin gives a request of the page a leg, whose name only who gets the answer knows.
func (l *legs) begin(w http.ResponseWriter, ctx context.Context) context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	begun := &leg{Name: rand.Text()}
	l.kept = append(l.kept, begun)
	l.kept = l.kept[max(0, len(l.kept)-keptLegs):]
	w.Header().Set(legField, begun.Name)
	return context.WithValue(ctx, legOf{}, begun)
}

// watched remembers what goes through a transport, below the one that signs the proofs.
type watched struct {
	*legs
	http.RoundTripper
}

func (t watched) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.RoundTripper.RoundTrip(r)
	begun, ok := r.Context().Value(legOf{}).(*leg)
	if err != nil || !ok {
		return response, err
	}
	s := sent{Method: r.Method, URL: r.URL.Redacted(), Status: response.StatusCode, Nonce: response.Header.Get("DPoP-Nonce") != ""}
	if proof := explain.Show(r.Header.Get("DPoP")); proof != nil {
		s.Proof, s.Claims = proof.Header, proof.Claims
	}
	challenges, _ := challenge.Parse(response.Header.Values("WWW-Authenticate"))
	for _, c := range challenges {
		if s.Code == "" {
			s.Code = c.Params["error"]
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	begun.Sent = append(begun.Sent, s)
	return response, nil
}

// show shows a leg.
func (l *legs) show(c echo.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, kept := range l.kept {
		if kept.Name == c.Param("name") {
			return c.JSON(http.StatusOK, kept)
		}
	}
	return echo.NewHTTPError(http.StatusNotFound, "there was no such request, or too long ago")
}
