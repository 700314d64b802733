package rollout_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/access/rollout"
	"github.com/senderlock/senderlock/internal/poptest"
)

func newClients(t *testing.T, c rollout.Config) *rollout.Clients {
	t.Helper()
	c.Log = slog.New(slog.DiscardHandler)
	clients, err := rollout.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return clients
}

// would is what a request of a client would have been refused with, by the code; an empty one: it would pass.
func would(client, code string, cause error) access.Decision {
	d := access.Decision{Issuer: poptest.Issuer, ClientID: client}
	if code != "" {
		d.Would = &access.Error{Status: 401, Code: code, Err: cause}
	}
	return d
}

func count(c *rollout.Clients, decisions ...access.Decision) {
	observer := c.Observe(access.Observer{})
	for _, d := range decisions {
		observer.Decided(context.Background(), d)
	}
}

// What is counted of whom; whoever would be refused most comes first.
func TestClients(t *testing.T) {
	clock := poptest.NewClock()
	c := newClients(t, rollout.Config{Now: clock.Now})
	heard := 0
	observer := c.Observe(access.Observer{Decided: func(context.Context, access.Decision) { heard++ }})
	refused := access.Decision{Issuer: poptest.Issuer, ClientID: "modern", Refusal: &access.Error{Status: 401, Err: access.ErrTokenExpired}}
	for _, d := range []access.Decision{
		would("modern", "", nil), refused,
		would("old", access.CodeInvalidToken, access.ErrUnbound), would("old", "", nil),
		would("middle", access.CodeUseNonce, access.ErrBinding),
		{Would: &access.Error{Status: 503, Err: access.ErrUnavailable}},
	} {
		observer.Decided(t.Context(), d)
		clock.Advance(time.Second)
	}
	if heard != 6 {
		t.Errorf("the next Observer heard %d of 6", heard)
	}
	at := func(s int) time.Time { return poptest.Now.Add(time.Duration(s) * time.Second) }
	want := []rollout.Client{
		{Issuer: poptest.Issuer, Client: "old", FirstSeen: at(2), LastSeen: at(3), Requests: 2, Refused: 1, Reasons: map[string]int64{"token_unbound": 1}},
		{FirstSeen: at(5), LastSeen: at(5), Requests: 1, Undecided: 1, Reasons: map[string]int64{"unavailable": 1}},
		{Issuer: poptest.Issuer, Client: "middle", FirstSeen: at(4), LastSeen: at(4), Requests: 1, Challenged: 1, Reasons: map[string]int64{"binding_missing": 1}},
		{Issuer: poptest.Issuer, Client: "modern", FirstSeen: at(0), LastSeen: at(0), Requests: 1},
	}
	if got := c.List(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("listed\n%+v, want\n%+v", got, want)
	}
	if share := c.List()[0].Share(); share != 0.5 {
		t.Errorf("share %v", share)
	}
	clock.Advance(31 * 24 * time.Hour)
	if got := c.List(); len(got) != 0 {
		t.Errorf("who does not come any more is listed: %+v", got)
	}
}

// Neither clients nor reasons are counted apart without bound.
func TestClientsAreBounded(t *testing.T) {
	c := newClients(t, rollout.Config{MaxClients: 3})
	for i := range 100 {
		count(c, would(fmt.Sprint("client-", i), "", nil))
	}
	all := c.List()
	var others rollout.Client
	for _, one := range all {
		if one.Client == rollout.Others {
			others = one
		}
	}
	if len(all) != 4 || others.Requests != 97 || others.Issuer != "" {
		t.Errorf("listed %+v", all)
	}
}

// Who does not come any more leaves the room to others, and is new when they come again: with a Store and without.
func TestClientsLeaveRoom(t *testing.T) {
	for name, store := range map[string]rollout.Store{"in the process": nil, "in a store": &broken{}} {
		t.Run(name, func(t *testing.T) {
			clock := poptest.NewClock()
			c := newClients(t, rollout.Config{MaxClients: 2, Keep: time.Hour, Store: store, Now: clock.Now})
			visit := func() {
				if err := c.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			count(c, would("a", access.CodeInvalidToken, access.ErrUnbound), would("b", "", nil))
			visit()
			clock.Advance(2 * time.Hour)
			count(c, would("b", "", nil), would("c", "", nil))
			want := fmt.Sprint([]rollout.Client{
				{Issuer: poptest.Issuer, Client: "b", FirstSeen: clock.Now(), LastSeen: clock.Now(), Requests: 1},
				{Issuer: poptest.Issuer, Client: "c", FirstSeen: clock.Now(), LastSeen: clock.Now(), Requests: 1},
			})
			if got := fmt.Sprint(c.List()); got != want {
				t.Errorf("before the next visit: listed\n%s, want\n%s", got, want)
			}
			visit()
			if got := fmt.Sprint(c.List()); got != want {
				t.Errorf("listed\n%s, want\n%s", got, want)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// The summary outlives its process in a file of its user's alone, at the latest a visit after it was counted.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clients.json")
	synctest.Test(t, func(t *testing.T) {
		c := newClients(t, rollout.Config{Store: rollout.File(path)})
		count(c, would("old", access.CodeInvalidToken, access.ErrUnbound))
		time.Sleep(time.Minute)
		synctest.Wait()
		other := newClients(t, rollout.Config{Store: rollout.File(path)})
		if all := other.List(); len(all) != 1 || all[0].Refused != 1 {
			t.Errorf("after a crash: %+v", all)
		}
		count(c, would("old", "", nil))
		if err := errors.Join(c.Close(), c.Close(), other.Close()); err != nil {
			t.Error(err)
		}
	})
	c := newClients(t, rollout.Config{Store: rollout.File(path), Keep: 366 * 24 * time.Hour, Now: func() time.Time { return time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC) }})
	defer c.Close()
	if all := c.List(); len(all) != 1 || all[0].Requests != 2 || all[0].Reasons["token_unbound"] != 1 {
		t.Errorf("after the end: %+v", all)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := rollout.New(t.Context(), rollout.Config{Store: rollout.File(path)}); err == nil || !strings.Contains(err.Error(), "is no summary") {
		t.Errorf("got %v", err)
	}
}

// broken is a store that fails until it is repaired, and lets others be faster for a while.
type broken struct {
	err    error
	faster int
	kept   []byte
}

func (b *broken) Load(context.Context) ([]byte, error) { return b.kept, b.err }

func (b *broken) Swap(_ context.Context, _, new []byte) (bool, error) {
	if b.faster--; b.faster >= 0 {
		return false, b.err
	}
	b.kept = new
	return true, b.err
}

// What could not be kept waits, and is counted once.
func TestStoreFails(t *testing.T) {
	store := &broken{}
	c := newClients(t, rollout.Config{Store: store})
	count(c, would("old", "", nil))
	store.err = errors.New("no answer")
	if err := c.Flush(t.Context()); err == nil {
		t.Error("no error")
	}
	store.err, store.faster = nil, 3
	count(c, would("old", "", nil))
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if all := c.List(); len(all) != 1 || all[0].Requests != 2 {
		t.Errorf("listed %+v", all)
	}
	store.err = errors.New("no answer")
	if _, err := rollout.New(t.Context(), rollout.Config{Store: store}); !errors.Is(err, store.err) {
		t.Errorf("got %v", err)
	}
}

// The handler answers browsers with a page, in which nothing of a client is markup, and programs with JSON.
func TestHandler(t *testing.T) {
	c := newClients(t, rollout.Config{})
	count(c, would("<script>", access.CodeInvalidToken, access.ErrUnbound), would("<script>", "", nil))
	for accept, want := range map[string]string{
		"text/html,*/*": "<td>&lt;script&gt;</td>", "": `"client":"\u003cscript\u003e"`,
	} {
		r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
		r.Header.Set("Accept", accept)
		c.Handler().ServeHTTP(w, r)
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%q: %d %s", accept, w.Code, w.Body)
		}
		if accept != "" {
			if !strings.Contains(w.Body.String(), "1 (50.0 %)") || !strings.Contains(w.Body.String(), "token_unbound: 1") {
				t.Errorf("the page: %s", w.Body)
			}
			continue
		}
		var got struct {
			Clients []struct {
				Share   float64
				Reasons map[string]int
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.Clients) != 1 || got.Clients[0].Share != 0.5 || got.Clients[0].Reasons["token_unbound"] != 1 {
			t.Errorf("%s: %v", w.Body, err)
		}
	}
	w := httptest.NewRecorder()
	if c.Handler().ServeHTTP(w, httptest.NewRequest("POST", "/", nil)); w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestConfigErrors(t *testing.T) {
	for want, c := range map[string]rollout.Config{
		"MaxClients is -1": {MaxClients: -1}, "Keep is 1s": {Keep: time.Second}, "Every is 1ms": {Every: time.Millisecond},
		"Store holds a nil": {Store: (*broken)(nil)},
	} {
		if _, err := rollout.New(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}
