package events_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/reason"
	"github.com/senderlock/senderlock/revocation/events"
)

// fuzzed receives a payload under a good signature, and fails if it is refused without a reason, or if it revokes
// what cannot be revoked by it: tokens of another issuer, or those of a login in the future.
func fuzzed(f *testing.F, header members, receive func(*setup, context.Context, string) error) {
	f.Fuzz(func(t *testing.T, payload string) {
		s := newSetup(t, emails)
		err := receive(s, t.Context(), poptest.Compact(text(header), payload, poptest.IssuerKey()))
		if err != nil && reason.Of(err) == "" {
			t.Errorf("refused without a reason: %v", err)
		}
		if errors.Is(err, events.ErrUnavailable) && !errors.Is(err, errBroken) {
			t.Errorf("taken for our own trouble: %v", err)
		}
		if got := s.by(t, token(13*time.Second, of("user-1", "another"))); got == "subject" {
			t.Errorf("a login in the future is revoked by %s", got)
		}
	})
}

func FuzzLogout(f *testing.F) {
	for _, change := range []members{nil, {"sid": nil}, {"sub": nil}, {"nonce": 1}, {"exp": nil}, {"iat": 1e300}} {
		f.Add(text(logoutClaims(change)))
	}
	fuzzed(f, logoutHeader(), func(s *setup, ctx context.Context, token string) error {
		return s.logout.Receive(ctx, token)
	})
}

func FuzzSignals(f *testing.F) {
	for _, change := range []members{
		nil, {"sub_id": opaque("user-1")}, complexSubject(members{"user": user(), "session": opaque("s-1")}),
		{"sub_id": members{"format": "email", "email": "user-1@example.com"}},
		{"sub_id": members{"subject_type": "iss-sub"}}, one(events.SessionRevoked, members{"event_timestamp": 1e300}),
		one(events.CredentialChange, members{"change_type": "update"}), one(verification, nil),
	} {
		f.Add(text(setClaims(change)))
	}
	fuzzed(f, setHeader(), func(s *setup, ctx context.Context, token string) error {
		return s.signals.Receive(ctx, token)
	})
}

// FuzzToken varies the whole token, header and signature included.
func FuzzToken(f *testing.F) {
	f.Add(logoutToken())
	f.Add(set())
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, raw string) {
		s := newSetup(t)
		for _, err := range []error{s.logout.Receive(t.Context(), raw), s.signals.Receive(t.Context(), raw)} {
			if err != nil && (reason.Of(err) == "" || errors.Is(err, events.ErrUnavailable)) {
				t.Errorf("got %v", err)
			}
		}
	})
}
