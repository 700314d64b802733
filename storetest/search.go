package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/revocation"
)

// TestSearcher checks that a register does what [revocation.Searcher] promises; open is that of [TestRegister]. A register
// in which nothing can be looked for leaves it out.
func TestSearcher(t *testing.T, open func(t *testing.T) Register) {
	for _, c := range []struct {
		name string
		test func(*testing.T, searching)
	}{
		{"tokens are found by each property", testFound},
		{"by the beginning of a thumbprint", testPrefix},
		{"as many as wanted, the last used first", testLimit},
		{"what has expired or is forgotten is not found", testNotFound},
		{"what asks for nothing is refused", testSearchInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := open(t)
			s, ok := r.Register.(revocation.Searcher)
			if !ok {
				t.Fatalf("%T is no revocation.Searcher", r.Register)
			}
			c.test(t, searching{r, s})
		})
	}
}

// searching is a register under test as one in which tokens can be looked for.
type searching struct {
	Register
	searcher revocation.Searcher
}

func (s searching) find(t *testing.T, q revocation.Search, total int, ids string) {
	t.Helper()
	q.Issuer = issuer
	found, err := s.searcher.Search(context.Background(), q)
	if err != nil {
		t.Fatalf("Search(%+v): %v", q, err)
	}
	var got []string
	for _, u := range found.Uses {
		got = append(got, u.ID)
	}
	if found.Total != total || strings.Join(got, " ") != ids {
		t.Fatalf("Search(%+v) = %q of %d, want %q of %d", q, got, found.Total, ids, total)
	}
}

// devices puts three tokens of two people on record.
func (s searching) devices(t *testing.T) {
	t.Helper()
	for _, d := range []struct{ id, subject, session, client, key, certificate string }{
		{"phone", "alice", "s-1", "app", "A6mFZI-b", ""},
		{"tablet", "alice", "s-2", "app", "A6mFxxxx", "bwcK0esc"},
		{"desk", "bob", "s-3", "web", "", "A6mFcccc"},
	} {
		tok := s.token(d.id)
		tok.Subject, tok.Session, tok.Client = d.subject, d.session, d.client
		tok.KeyThumbprint, tok.CertThumbprint = d.key, d.certificate
		s.record(t, tok, "192.0.2.1")
	}
	other := s.token("phone")
	other.Issuer = "https://other.example.com"
	s.record(t, other, "192.0.2.1")
}

func testFound(t *testing.T, s searching) {
	s.find(t, revocation.Search{By: revocation.BySubject, Value: "alice"}, 0, "")
	s.devices(t)
	s.find(t, revocation.Search{By: revocation.ByToken, Value: "desk"}, 1, "desk")
	s.find(t, revocation.Search{By: revocation.BySubject, Value: "alice"}, 2, "phone tablet")
	s.find(t, revocation.Search{By: revocation.BySession, Value: "s-2"}, 1, "tablet")
	s.find(t, revocation.Search{By: revocation.ByClient, Value: "app"}, 2, "phone tablet")
	s.find(t, revocation.Search{By: revocation.ByKey, Value: "A6mFxxxx"}, 1, "tablet")
	s.find(t, revocation.Search{By: revocation.ByCertificate, Value: "bwcK0esc"}, 1, "tablet")
	s.find(t, revocation.Search{By: revocation.ByCertificate, Value: "A6mFcccc"}, 1, "desk")
	s.find(t, revocation.Search{By: revocation.ByCertificate, Value: "A6mFxxxx"}, 0, "")
	s.find(t, revocation.Search{By: revocation.ByKey, Value: "A6mF"}, 0, "")
	s.find(t, revocation.Search{By: revocation.ByClient, Value: "alice"}, 0, "")
	found, err := s.searcher.Search(context.Background(), revocation.Search{Issuer: issuer, By: revocation.BySubject, Value: "alice"})
	if err != nil || !slices.Equal(found.Uses, s.list(t, "alice")) {
		t.Fatalf("Search = %+v, %v, want what Uses lists", found, err)
	}
}

func testPrefix(t *testing.T, s searching) {
	s.devices(t)
	s.find(t, revocation.Search{By: revocation.ByKey, Value: "A6mF", Prefix: true}, 2, "phone tablet")
	s.find(t, revocation.Search{By: revocation.ByKey, Value: "A6mFZ", Prefix: true}, 1, "phone")
	s.find(t, revocation.Search{By: revocation.ByCertificate, Value: "A6mF", Prefix: true}, 1, "desk")
	s.find(t, revocation.Search{By: revocation.ByCertificate, Value: "bwcK", Prefix: true}, 1, "tablet")
	s.find(t, revocation.Search{By: revocation.ByKey, Value: "6mF", Prefix: true}, 0, "")
	s.find(t, revocation.Search{By: revocation.ByKey, Value: "a6mf", Prefix: true}, 0, "")
}

func testLimit(t *testing.T, s searching) {
	for i := range 300 {
		tok := s.token(fmt.Sprintf("%03d", i))
		tok.Subject = fmt.Sprint("user ", i%7)
		s.record(t, tok, "")
	}
	s.Advance(time.Second)
	last := s.token("123")
	last.Subject = "user 4"
	s.seen(t, last, "", true)
	s.find(t, revocation.Search{By: revocation.ByClient, Value: "app", Limit: 3}, 300, "123 000 001")
}

func testNotFound(t *testing.T, s searching) {
	s.devices(t)
	if err := s.Register.Register.Forget(context.Background(), revocation.Use{Issuer: issuer, Subject: "alice", ID: "phone"}); err != nil {
		t.Fatal(err)
	}
	s.find(t, revocation.Search{By: revocation.ByClient, Value: "app"}, 1, "tablet")
	s.Advance(5*time.Minute + s.Store.Retention().Leeway + 2*time.Second)
	s.find(t, revocation.Search{By: revocation.ByClient, Value: "app"}, 0, "")
}

func testSearchInvalid(t *testing.T, s searching) {
	for name, q := range map[string]revocation.Search{
		"zero":          {},
		"no issuer":     {By: revocation.BySubject, Value: "alice"},
		"no value":      {Issuer: issuer, By: revocation.ByKey, Prefix: true},
		"no property":   {Issuer: issuer, Value: "alice"},
		"a limit below": {Issuer: issuer, By: revocation.BySubject, Value: "alice", Limit: -1},
		"a limit above": {Issuer: issuer, By: revocation.BySubject, Value: "alice", Limit: 10_001},
	} {
		if _, err := s.searcher.Search(context.Background(), q); !errors.Is(err, revocation.ErrInvalid) {
			t.Errorf("%s: Search = %v, want ErrInvalid", name, err)
		}
	}
}
