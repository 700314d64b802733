package access_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/revocation"
)

func inUse(t *testing.T, register revocation.Register) []revocation.Use {
	t.Helper()
	uses, err := register.Uses(t.Context(), poptest.Issuer, "user-1")
	if err != nil {
		t.Fatal(err)
	}
	return uses
}

// Each accepted token is recorded, with where it was last used from. A request that is refused, by a replay above
// all, changes nothing.
func TestRegister(t *testing.T) {
	var register *revocation.Memory
	s := newGuard(t, func(s *setup) {
		register = newRevocations(t, s)
		s.Register = register
	})
	token := bound(claim("jti", "t-1"), claim("sid", "s-1"))
	first := owner(token)
	if _, err := s.Check(from(first, "192.0.2.1:5")); err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(20 * time.Second)
	_, err := s.Check(from(first, "203.0.113.9:5"))
	expect(t, err, refusal{401, "invalid_dpop_proof", "proof_replayed"})
	_, err = s.Check(from(get("DPoP "+token, poptest.Proof{Token: token, Key: poptest.Keyed("ES256", "thief")}.String()), "203.0.113.9:5"))
	expect(t, err, refusal{401, "invalid_token", "key_mismatch"})
	want := revocation.Use{
		Issuer: poptest.Issuer, ID: "t-1", Subject: "user-1", Session: "s-1", Client: "client-1",
		KeyThumbprint: poptest.ClientKey().Thumbprint(), Address: "192.0.2.1",
		FirstSeen: poptest.Now, LastSeen: poptest.Now, Expiry: poptest.Now.Add(5 * time.Minute),
	}
	compare := func(got []revocation.Use) {
		t.Helper()
		if len(got) != 1 {
			t.Fatalf("on record: %+v", got)
		}
		u := got[0]
		if !u.FirstSeen.Equal(want.FirstSeen) || !u.LastSeen.Equal(want.LastSeen) || !u.Expiry.Equal(want.Expiry) {
			t.Errorf("times of %+v, want %+v", u, want)
		}
		u.FirstSeen, u.LastSeen, u.Expiry = want.FirstSeen, want.LastSeen, want.Expiry
		if u != want {
			t.Errorf("got %+v, want %+v", u, want)
		}
	}
	compare(inUse(t, register))
	s.WaitForCache()
	if _, err := s.Check(from(owner(token), "192.0.2.7:5")); err != nil { // a cached token is in use too
		t.Fatal(err)
	}
	want.Address, want.LastSeen = "192.0.2.7", s.clock.Now()
	compare(inUse(t, register))
}

// Only what the application has put on record gets in, until it is taken off.
func TestOnlyRegistered(t *testing.T) {
	var register *revocation.Memory
	s := newGuard(t, func(s *setup) {
		register = newRevocations(t, s)
		s.Register, s.OnlyRegistered, s.Revocation = register, true, register
	})
	notOnRecord := refusal{401, "invalid_token", "token_not_on_record"}
	token := bound(claim("jti", "t-1"))
	_, err := s.Check(owner(token))
	expect(t, err, notOnRecord)
	if got := inUse(t, register); len(got) != 0 {
		t.Fatalf("a refused token is on record: %+v", got)
	}
	issued := revocation.Token{Issuer: poptest.Issuer, ID: "t-1", Subject: "user-1", Expiry: poptest.Now.Add(5 * time.Minute)}
	if err := register.Record(t.Context(), issued, ""); err != nil {
		t.Fatal(err)
	}
	r := owner(token)
	grant, err := s.Check(r)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Check(owner(bound(claim("jti", "t-2"))))
	expect(t, err, notOnRecord)

	ctx, cancel := s.Watch(r, grant, access.Stream{Every: 5 * time.Millisecond})
	defer cancel()
	if err := register.Forget(t.Context(), inUse(t, register)[0]); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	expect(t, context.Cause(ctx), notOnRecord)
	_, err = s.Check(owner(token))
	expect(t, err, notOnRecord)
}

// What cannot be recorded is refused: by the token's fault or by our own.
func TestRegisterCannot(t *testing.T) {
	for name, test := range map[string]struct {
		options revocation.Options
		closed  bool
		only    bool
		address string
		token   string
		want    refusal
	}{
		"a token without jti":     {token: bound(claim("jti", nil)), want: refusal{401, "invalid_token", "token_claim_missing"}},
		"none, and on record":     {token: bound(claim("jti", nil)), only: true, want: refusal{401, "invalid_token", "token_claim_missing"}},
		"the record is full":      {token: bound(), options: revocation.Options{UseCapacity: 1}, want: refusal{503, "", "revocation_full"}},
		"the record is closed":    {token: bound(), closed: true, want: refusal{503, "", "revocation_closed"}},
		"closed, and on record":   {token: bound(), closed: true, only: true, want: refusal{503, "", "revocation_closed"}},
		"a peer without address":  {token: bound(), address: "@", want: refusal{503, "", "address_unknown"}},
		"a jti too large to keep": {token: bound(claim("jti", strings.Repeat("x", 5000))), want: refusal{503, "", "revocation_invalid"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newGuard(t, func(s *setup) {
				test.options.Now = s.clock.Now
				register, err := revocation.NewMemory(test.options)
				if err != nil {
					t.Fatal(err)
				}
				if err := register.Record(t.Context(), revocation.Token{Issuer: "x", ID: "x", Expiry: poptest.Now}, ""); err != nil {
					t.Fatal(err)
				}
				if test.closed {
					_ = register.Close()
				}
				s.Register, s.OnlyRegistered = register, test.only
			})
			r := owner(test.token)
			if test.address != "" {
				r.RemoteAddr = test.address
			}
			_, err := s.Check(r)
			expect(t, err, test.want)
		})
	}
}

// RS-164: a token that is bound to a certificate is taken back with it, and the one of the renewed certificate goes on.
func TestRevocationByCertificate(t *testing.T) {
	var store *revocation.Memory
	s := newGuard(t, func(s *setup) {
		store = newRevocations(t, s)
		s.Revocation, s.Certificates = store, mtls.FromTLS
	})
	lost, next := poptest.SelfSigned(t, "client"), poptest.SelfSigned(t, "client")
	token, other := poptest.Token{X5T: poptest.X5T(lost.Leaf)}.String(), poptest.Token{X5T: poptest.X5T(next.Leaf)}.String()
	if _, err := s.Check(with(get("Bearer "+token, ""), lost)); err != nil {
		t.Fatal(err)
	}
	entry := revocation.Entry{Issuer: poptest.Issuer, By: revocation.ByCertificate, Value: poptest.X5T(lost.Leaf)}
	if err := store.Revoke(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	_, err := s.Check(with(get("Bearer "+token, ""), lost))
	expect(t, err, refusal{401, "invalid_token", "certificate_revoked"})
	if _, err := s.Check(with(get("Bearer "+other, ""), next)); err != nil {
		t.Error(err)
	}
}
