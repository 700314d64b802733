package access_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/revocation"
)

// A line of a verified token says whose it is, whole; one of a token that was not says nothing that the token claims.
func TestLogNamesTheToken(t *testing.T) {
	mine := func(p *poptest.Token) { p.Claims = map[string]any{"jti": "t-1", "sid": "s-1"} }
	thief := poptest.Keyed("ES256", "thief")
	forged := bound(mine, func(p *poptest.Token) { p.Key = thief })
	stolen := bound(mine)
	jkt := poptest.ClientKey().Thumbprint()
	whose := []string{"issuer=" + poptest.Issuer, "client=client-1", "jti=t-1", "sid=s-1", "jkt=" + jkt, "address=192.0.2.1", "peer=192.0.2.1"}
	for name, test := range map[string]struct {
		scheme, token string
		key           *poptest.Key
		form          access.SubjectForm
		id            string
		want, without []string
	}{
		"accepted":       {"DPoP", bound(mine), poptest.ClientKey(), 0, "r-1", append(whose, "sub=user-1", "thumbprint="+jkt, "binding=", "request_id=r-1"), nil},
		"a stolen token": {"DPoP", stolen, thief, 0, "", append(whose, "sub=user-1", "reason=key_mismatch"), []string{"request_id", "binding"}},
		"hashed":         {"DPoP", bound(mine), poptest.ClientKey(), access.SubjectHashed, "", append(whose, "sub=sha256:", "thumbprint="+jkt), []string{"user-1"}},
		"dropped":        {"DPoP", bound(mine), poptest.ClientKey(), access.SubjectDropped, "", whose, []string{"user-1", "sub="}},
		"a forged token": {
			"DPoP", forged, poptest.ClientKey(), 0, "", []string{"reason=token_signature_invalid", "peer=192.0.2.1"},
			[]string{"t-1", "s-1", "sub=", "client-1", jkt},
		},
		"no name of a request": {"DPoP", bound(mine), poptest.ClientKey(), 0, "a b", whose, []string{"request_id"}},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			s := newGuard(t, func(s *setup) {
				s.Log, s.LogAccepted, s.LogSubject = slog.New(slog.NewTextHandler(&log, nil)), true, test.form
			})
			r := get(test.scheme+" "+test.token, poptest.Proof{Token: test.token, Key: test.key}.String())
			r.RemoteAddr = "192.0.2.1:1234"
			if test.id != "" {
				r.Header.Set("X-Request-Id", test.id)
			}
			_, _ = s.Check(r)
			for _, want := range test.want {
				if !strings.Contains(log.String(), want) {
					t.Errorf("no %s in %s", want, &log)
				}
			}
			for _, no := range test.without {
				if strings.Contains(log.String(), no) {
					t.Errorf("%s in %s", no, &log)
				}
			}
		})
	}
}

// What was revoked by its subject does not bring the subject back into the log.
func TestRevokedSubjectStaysHashed(t *testing.T) {
	store, err := revocation.NewMemory(revocation.Options{Now: poptest.NewClock().Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Revoke(t.Context(), revocation.Entry{Issuer: poptest.Issuer, By: revocation.BySubject, Value: "user-1"}); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s := newGuard(t, func(s *setup) {
		s.Revocation, s.LogSubject, s.Log = store, access.SubjectHashed, slog.New(slog.NewTextHandler(&log, nil))
	})
	_, err = s.Check(owner(bound()))
	expect(t, err, refusal{401, "invalid_token", "subject_revoked"})
	if hash := access.SubjectHashed.Of("user-1"); strings.Contains(log.String(), "user-1") || !strings.Contains(log.String(), "received="+hash) {
		t.Errorf("the log says %s", &log)
	}
}

// What names a request in the log of others is short and plain, or left out; where it comes from is left out where that is
// not known. Neither is a reason to refuse.
func TestNamesOfARequest(t *testing.T) {
	long := strings.Repeat("x", 128)
	id := func(text string) func(*http.Request) string { return func(*http.Request) string { return text } }
	at := func(address string, err error) access.AddressSource {
		return func(*http.Request) (netip.Addr, error) { a, _ := netip.ParseAddr(address); return a, err }
	}
	for name, test := range map[string]struct {
		id      func(*http.Request) string
		address access.AddressSource
		wantID  string
		want    string
	}{
		"both":               {id("a-1_.:=/+Z"), at("2001:db8::1", nil), "a-1_.:=/+Z", "2001:db8::1"},
		"as long as may be":  {id(long), nil, long, "192.0.2.1"},
		"longer":             {id(long + "x"), nil, "", "192.0.2.1"},
		"a line break":       {id("a\nb"), nil, "", "192.0.2.1"},
		"a quote":            {id(`a"`), nil, "", "192.0.2.1"},
		"a panic":            {func(*http.Request) string { panic("a bug") }, nil, "", "192.0.2.1"},
		"an address unknown": {nil, at("192.0.2.9", errors.New("no such peer")), "", ""},
		"no address":         {nil, at("", nil), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var heard []access.Decision
			s := newGuard(t, hears(&heard), func(s *setup) { s.Config.RequestID, s.Config.Address = test.id, test.address })
			if _, err := s.Check(owner(bound())); err != nil {
				t.Fatal(err)
			}
			if d := heard[0]; d.RequestID != test.wantID || d.Address != test.want || d.Peer != "192.0.2.1" {
				t.Errorf("%q from %q by %q", d.RequestID, d.Address, d.Peer)
			}
		})
	}
}

// Nobody is at the other end of a Unix socket, and no address is made up for it.
func TestLogOfARequestWithoutAnAddress(t *testing.T) {
	var heard []access.Decision
	s := newGuard(t, hears(&heard))
	r := owner(bound())
	r.RemoteAddr = "@"
	if _, err := s.Check(r); err != nil || heard[0].Peer != "" || heard[0].Address != "" {
		t.Errorf("%q by %q, %v", heard[0].Address, heard[0].Peer, err)
	}
}

// A subject that is not there stays so in every form, and what else a token was taken back by is told as it is.
func TestFormsOfASubject(t *testing.T) {
	for _, form := range []access.SubjectForm{access.SubjectPlain, access.SubjectHashed, access.SubjectDropped} {
		if got := form.Of(""); got != "" {
			t.Errorf("form %d of no subject is %q", form, got)
		}
	}
	var log bytes.Buffer
	s := newGuard(t, func(s *setup) {
		s.LogSubject, s.Log = access.SubjectHashed, slog.New(slog.NewTextHandler(&log, nil))
		store := newRevocations(t, s)
		mustRevokeIn(t, store, revocation.Entry{Issuer: poptest.Issuer, By: revocation.BySession, Value: "s-1"})
		s.Revocation = store
	})
	_, err := s.Check(owner(bound(claim("sid", "s-1"))))
	expect(t, err, refusal{401, "invalid_token", "session_revoked"})
	if !strings.Contains(log.String(), "received=s-1") {
		t.Errorf("the log says %s", &log)
	}
}

// Where a token was found is told, if it was not in the Authorization field.
func TestLogSaysWhereTheTokenWas(t *testing.T) {
	for want, r := range map[string]*http.Request{
		"token_from=cookie": inCookie(poptest.Token{}.String()), "token_from=query": inQuery(poptest.Token{}.String()), "binding=DPoP": owner(bound()),
	} {
		var log bytes.Buffer
		s := newGuard(t, takes(readsElsewhere()), func(s *setup) {
			s.LogAccepted, s.Log = true, slog.New(slog.NewTextHandler(&log, nil))
		})
		_, _ = s.Check(r)
		if !strings.Contains(log.String(), want) || strings.Contains(log.String(), "token_from") != strings.HasPrefix(want, "token_from") {
			t.Errorf("want %s: %s", want, &log)
		}
	}
}
