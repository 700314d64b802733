package access_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/revocation"
)

// BenchmarkRevocation is what a request pays in the Guard for tokens that can be taken back, by the number of
// entries: the question to the store alone. The aim is 1 µs. x-bare-verify is its cost as a multiple of one bare
// ECDSA verification in the same run.
func BenchmarkRevocation(b *testing.B) {
	for _, entries := range []int{-1, 0, 10_000, 1_000_000} {
		name := fmt.Sprintf("entries=%d", entries)
		if entries < 0 {
			name = "no store"
		}
		b.Run(name, func(b *testing.B) {
			s := newGuard(b, func(s *setup) {
				if entries >= 0 {
					s.Revocation = filled(b, s, entries)
				}
			})
			tokens := make([]*access.Token, 4096) // so that the processor's cache does not help
			for i := range tokens {
				name := func(what string) string { return fmt.Sprintf("%s-%030d", what, i) }
				tokens[i] = &access.Token{
					Issuer: poptest.Issuer, ID: name("jti"), Session: name("sid"), Subject: name("sub"), ClientID: name("client"),
					Confirmation: access.Confirmation{JKT: name("jkt")}, IssuedAt: poptest.Now, Expiry: poptest.Now.Add(5 * time.Minute),
				}
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if err := s.Revoked(b.Context(), tokens[i%len(tokens)]); err != nil {
					b.Fatal(err)
				}
				i++
			}
			poptest.ReportRatio(b)
		})
	}
}

func filled(b *testing.B, s *setup, entries int) *revocation.Memory {
	store := newRevocations(b, s)
	for i := range entries {
		entry := revocation.Entry{Issuer: poptest.Issuer, By: revocation.By(1 + i%6), Value: fmt.Sprintf("%036d", i)}
		if err := store.Revoke(b.Context(), entry); err != nil {
			b.Fatal(err)
		}
	}
	return store
}

// BenchmarkRecheck is what a request pays when its token need not be looked up again.
func BenchmarkRecheck(b *testing.B) {
	u := &users{}
	policy, err := access.Recheck{Lookup: u.lookup, Percent: 10, Requests: 1 << 30}.Policy()
	if err != nil {
		b.Fatal(err)
	}
	s := newGuard(b, func(s *setup) { s.Policies = []access.Policy{policy} })
	r := owner(bound())
	grant, err := s.Check(r)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := policy(r, grant); err != nil {
			b.Fatal(err)
		}
	}
	if u.asked > 1 && b.Elapsed() < 30*time.Second {
		b.Errorf("%d look-ups", u.asked)
	}
}
