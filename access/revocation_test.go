package access_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/revocation"
)

func newRevocations(t testing.TB, s *setup) *revocation.Memory {
	t.Helper()
	m, err := revocation.NewMemory(revocation.Options{Now: s.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// RS-164: a token that is taken back is refused from the next request on, although it was known, by whatever it is
// taken back.
func TestRevocation(t *testing.T) {
	for by, value := range map[revocation.By]string{
		revocation.ByToken: "t-1", revocation.BySession: "s-1", revocation.BySubject: "user-1",
		revocation.ByClient: "client-1", revocation.ByKey: poptest.ClientKey().Thumbprint(),
	} {
		t.Run(by.String(), func(t *testing.T) {
			var store *revocation.Memory
			s := newGuard(t, func(s *setup) {
				store = newRevocations(t, s)
				s.Revocation = store
			})
			token := bound(claim("jti", "t-1"), claim("sid", "s-1"))
			other := bound(claim("jti", "t-2"), claim("sid", "s-2"), claim("sub", "user-2"), claim("client_id", "client-2"),
				claim("cnf", map[string]any{"jkt": poptest.Keyed("ES256", "other").Thumbprint()}))
			for range 2 {
				if _, err := s.Check(owner(token)); err != nil {
					t.Fatal(err)
				}
				s.WaitForCache()
			}
			entry := revocation.Entry{Issuer: poptest.Issuer, By: by, Value: value}
			if err := store.Revoke(t.Context(), entry); err != nil {
				t.Fatal(err)
			}
			_, err := s.Check(owner(token))
			e := expect(t, err, refusal{401, "invalid_token", by.String() + "_revoked"})
			if strings.Contains(e.Description, value) {
				t.Errorf("the client is told %q", e.Description)
			}
			if _, err := s.Check(get("DPoP "+other, poptest.Proof{Token: other, Key: poptest.Keyed("ES256", "other")}.String())); err != nil {
				t.Errorf("somebody else: %v", err)
			}
		})
	}
}

// "Everything issued before": the tokens of the new login go on.
func TestRevocationOfAllBefore(t *testing.T) {
	var store *revocation.Memory
	s := newGuard(t, func(s *setup) {
		store = newRevocations(t, s)
		s.Revocation = store
	})
	old := bound(claim("sid", "old"))
	s.clock.Advance(time.Minute)
	now := func(t *poptest.Token) { t.IssuedAt = s.clock.Now() }
	entry := revocation.Entry{Issuer: poptest.Issuer, By: revocation.BySubject, Value: "user-1", Before: s.clock.Now(), ExceptSession: "new"}
	if err := store.Revoke(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	call := func(token string) error {
		_, err := s.Check(get("DPoP "+token, poptest.Proof{Token: token, IssuedAt: s.clock.Now()}.String()))
		return err
	}
	expect(t, call(old), refusal{401, "invalid_token", "subject_revoked"})
	expect(t, call(bound(now)), refusal{401, "invalid_token", "subject_revoked"}) // of the same second
	if err := call(bound(now, claim("sid", "new"))); err != nil {
		t.Errorf("the new login: %v", err)
	}
	s.clock.Advance(time.Second)
	if err := call(bound(now)); err != nil {
		t.Errorf("a later one: %v", err)
	}
}

// A token that is issued today for next week would outlive what denies it, which is kept for as long as a token lives that
// was issued before. By iat it would be too old then; one without iat, of which that cannot be known, is refused where
// tokens can be taken back.
func TestRevocationOfATokenForLater(t *testing.T) {
	const later = 7 * 24 * time.Hour
	begins := poptest.Now.Add(later).Unix()
	for name, test := range map[string]struct {
		keep func(*setup)
		iat  any
		want string // empty: it is accepted
	}{
		"revocations alone":               {func(s *setup) { s.Revocation = newRevocations(t, s) }, nil, "token_claim_missing"},
		"one store for all of it":         {func(s *setup) { s.Shared = newShared(t, s.clock) }, nil, "token_claim_missing"},
		"with iat":                        {func(s *setup) { s.Revocation = newRevocations(t, s) }, poptest.Now.Unix(), "token_lifetime_too_long"},
		"issued when it begins":           {func(s *setup) { s.Revocation = newRevocations(t, s) }, begins, ""},
		"where nothing can be taken back": {func(*setup) {}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newGuard(t, test.keep)
			token := bound(claim("iat", test.iat), claim("nbf", begins), claim("exp", begins+300))
			s.clock.Advance(later)
			_, err := s.Check(get("DPoP "+token, poptest.Proof{Token: token, IssuedAt: s.clock.Now()}.String()))
			if test.want == "" && err != nil {
				t.Error(err)
			} else if test.want != "" {
				expect(t, err, refusal{401, "invalid_token", test.want})
			}
		})
	}
}

// A token that was taken back and ends while a policy takes its time is refused, although the store passes over what it
// kept of it.
func TestRevokedTokenEndsMeanwhile(t *testing.T) {
	for name, keep := range map[string]func(*setup, *revocation.Memory){
		"revocations alone":       func(s *setup, m *revocation.Memory) { s.Revocation = m },
		"one store for all of it": func(s *setup, m *revocation.Memory) { both := newShared(t, s.clock); both.Memory, s.Shared = m, both },
	} {
		t.Run(name, func(t *testing.T) {
			var store *revocation.Memory
			pause := time.Duration(0)
			s := newGuard(t, func(s *setup) {
				var err error
				retention := revocation.Retention{Lifetime: time.Hour, Leeway: access.DefaultLeeway}
				if store, err = revocation.NewMemory(revocation.Options{Retention: retention, Now: s.clock.Now}); err != nil {
					t.Fatal(err)
				}
				keep(s, store)
				s.Policies = []access.Policy{func(*http.Request, *access.Grant) error { s.clock.Advance(pause); return nil }}
			})
			end := poptest.Now.Add(5 * time.Minute)
			entry := revocation.Entry{Issuer: poptest.Issuer, By: revocation.BySubject, Value: "user-1", Expiry: end}
			if err := store.Revoke(t.Context(), entry); err != nil {
				t.Fatal(err)
			}
			s.clock.Advance(end.Add(access.DefaultLeeway - time.Second).Sub(s.clock.Now()))
			call := func(claims ...func(*poptest.Token)) error {
				token := bound(claims...)
				_, err := s.Check(get("DPoP "+token, poptest.Proof{Token: token, IssuedAt: s.clock.Now()}.String()))
				return err
			}
			expect(t, call(), refusal{401, "invalid_token", "subject_revoked"})
			if err := call(claim("sub", "user-2")); err != nil {
				t.Errorf("somebody else: %v", err)
			}
			pause = time.Second
			expect(t, call(), refusal{401, "invalid_token", "token_expired"})
		})
	}
}

type brokenStore struct{ revocation.Store }

func (brokenStore) Revoked(context.Context, revocation.Token) (*revocation.Entry, error) {
	return nil, errors.New("no answer")
}

// RS-180: a store that cannot tell is our own trouble, also when it gives one of its own causes.
func TestRevocationStoreDown(t *testing.T) {
	for reason, open := range map[string]func(*setup) revocation.Store{
		"revocation_store_unreachable": func(s *setup) revocation.Store { return brokenStore{newRevocations(t, s)} },
		"revocation_closed": func(s *setup) revocation.Store {
			m := newRevocations(t, s)
			_ = m.Close()
			return m
		},
	} {
		t.Run(reason, func(t *testing.T) {
			s := newGuard(t, func(s *setup) { s.Revocation = open(s) })
			_, err := s.Check(owner(bound()))
			expect(t, err, refusal{503, "", reason})
		})
	}
}

func TestRevocationMustLastAsLongAsTokens(t *testing.T) {
	s := newGuard(t)
	s.MaxTokenLifetime, s.Revocation = 2*time.Hour, newRevocations(t, s)
	if _, err := access.New(s.Config); err == nil || !strings.Contains(err.Error(), "Revocation keeps entries for tokens of 1h0m0s") {
		t.Errorf("got %v", err)
	}
}
