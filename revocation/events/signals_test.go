package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/revocation"
	"github.com/senderlock/senderlock/revocation/events"
)

const (
	verification = "https://schemas.openid.net/secevent/ssf/event-type/verification"
	ownEvent     = "https://example.com/event" // one that nobody but the application knows
)

var errBroken = errors.New("no answer")

func emails(s *setup) {
	s.forSignals.SubjectOfEmail = func(_ context.Context, email string) (string, error) {
		switch email {
		case "user-1@example.com":
			return "user-1", nil
		case "broken@example.com":
			return "", errBroken
		}
		return "", nil
	}
}

func jwtID(id string) members { return members{"format": "jwt_id", "iss": poptest.Issuer, "jti": id} }

func complexSubject(m members) members {
	m["format"] = "complex"
	return members{"sub_id": m}
}

// Every event and every way to name a subject, and what it takes back.
func TestSignals(t *testing.T) {
	in := func(subject members) members { return members{"sub_id": subject} }
	email := func(address string) members { return members{"format": "email", "email": address} }
	change := func(kind string) members {
		return one(events.CredentialChange, members{"credential_type": "password", "change_type": kind})
	}
	compliance := func(now string) members { return one(events.DeviceComplianceChange, members{"current_status": now}) }
	session, noSubject := one(events.SessionRevoked, nil), members{"sub_id": nil}
	tenant := opaque("tenant-1")
	ms := poptest.Now.UnixMilli()
	for name, test := range map[string]struct {
		changes []members
		setup   func(*setup)
		same    string // how a token of the session is revoked
		another string // how one of the user's other session is
	}{
		"account-disabled":                  {nil, nil, "subject", "subject"},
		"account-disabled with a reason":    {[]members{one(events.AccountDisabled, members{"reason": "hijacking"})}, nil, "subject", "subject"},
		"account-purged":                    {[]members{one(events.AccountPurged, nil)}, nil, "subject", "subject"},
		"credential-compromise":             {[]members{one(events.CredentialCompromise, members{"credential_type": "password"})}, nil, "subject", "subject"},
		"sessions-revoked":                  {[]members{one(events.SessionsRevoked, nil)}, nil, "subject", "subject"},
		"session-revoked of a user":         {[]members{session}, nil, "subject", "subject"},
		"session-revoked, opaque session":   {[]members{session, in(opaque("s-1"))}, nil, "session", ""},
		"session-revoked, opaque user":      {[]members{session, in(opaque("user-1"))}, nil, "subject", "subject"},
		"session-revoked, by email":         {[]members{session, in(email("user-1@example.com"))}, emails, "subject", "subject"},
		"session-revoked, user and session": {[]members{session, complexSubject(members{"user": user(), "session": opaque("s-1"), "tenant": tenant})}, nil, "session", ""},
		"session-revoked, session":          {[]members{session, complexSubject(members{"session": opaque("s-1")})}, nil, "session", ""},
		"session-revoked, user and device":  {[]members{session, complexSubject(members{"user": user(), "device": opaque("d-1"), "tenant": tenant})}, nil, "subject", "subject"},
		// As Keycloak 26.7 tells of a user whom an administrator has logged out everywhere.
		"session-revoked, user and ALL":          {[]members{session, complexSubject(members{"user": user(), "session": opaque("ALL")})}, nil, "subject", "subject"},
		"session-revoked, user and all":          {[]members{session, complexSubject(members{"user": user(), "session": opaque("all")})}, nil, "", ""}, // a session like others
		"session-revoked, session in other form": {[]members{session, complexSubject(members{"user": user(), "session": members{"format": "jwt_id", "iss": "x", "jti": "y"}})}, nil, "subject", "subject"},
		"session-revoked, no sid in tokens":      {[]members{session, complexSubject(members{"user": user(), "session": opaque("s-1")})}, noSessions, "subject", "subject"},
		"session-revoked, opaque, no sid":        {[]members{session, in(opaque("user-1"))}, noSessions, "subject", "subject"},
		"password updated":                       {[]members{change("update")}, nil, "subject", "subject"},
		"credential revoked":                     {[]members{change("revoke")}, nil, "subject", "subject"},
		"credential deleted":                     {[]members{change("delete")}, nil, "subject", "subject"},
		"credential added":                       {[]members{change("create")}, nil, "", ""},
		"credential-change, complex":             {[]members{change("update"), complexSubject(members{"user": user(), "session": opaque("s-1")})}, nil, "subject", "subject"},
		"user opaque":                            {[]members{in(opaque("user-1"))}, nil, "subject", "subject"},
		"user by email":                          {[]members{in(email("user-1@example.com"))}, emails, "subject", "subject"},
		"an email of nobody here":                {[]members{in(email("user-9@example.com"))}, emails, "", ""},
		"the subject in the event":               {[]members{noSubject, one(events.AccountDisabled, members{"subject": user()})}, nil, "subject", "subject"},
		"subject_type":                           {[]members{noSubject, one(events.AccountDisabled, members{"subject": members{"subject_type": "iss-sub", "iss": poptest.Issuer, "sub": "user-1"}})}, nil, "subject", "subject"},
		"a complex subject without format":       {[]members{noSubject, one(events.SessionRevoked, members{"subject": members{"user": user(), "session": opaque("s-1")}})}, nil, "session", ""},
		"both subjects: sub_id counts":           {[]members{one(events.AccountDisabled, members{"subject": opaque("user-2")})}, nil, "subject", "subject"},
		"several events":                         {[]members{{"events": members{events.AccountDisabled: members{}, events.SessionRevoked: members{}, verification: members{}}}}, nil, "subject", "subject"},
		"verification":                           {[]members{one(verification, members{"state": "abc"}), in(opaque("stream-1"))}, nil, "", ""},
		"an unknown event beside one":            {[]members{{"events": members{events.AccountDisabled: members{}, ownEvent: members{"subject": 1}}}}, nil, "subject", "subject"},
		"session-revoked of a token":             {[]members{session, in(jwtID("t-1"))}, nil, "token", ""},
		"credential-compromise, of a token":      {[]members{one(events.CredentialCompromise, nil), in(jwtID("t-1"))}, nil, "token", ""},
		"session-revoked, beside a token":        {[]members{session, complexSubject(members{"user": jwtID("t-9"), "session": opaque("s-1")})}, nil, "session", ""},
		"token-revoked":                          {[]members{one(events.TokenRevoked, nil), in(jwtID("t-1"))}, nil, "token", ""},
		"token-revoked, tokens carry no sid":     {[]members{one(events.TokenRevoked, nil), in(jwtID("t-1"))}, noSessions, "token", ""},
		"tokens-revoked":                         {[]members{one(events.TokensRevoked, nil)}, nil, "subject", "subject"},
		"a device of a user, not compliant":      {[]members{compliance("not-compliant"), complexSubject(members{"user": user(), "device": opaque("d-1")})}, nil, "subject", "subject"},
		"a device of a user, compliant":          {[]members{compliance("compliant"), complexSubject(members{"user": user(), "device": opaque("d-1")})}, nil, "", ""},
		"several audiences":                      {[]members{{"aud": []string{"x", receiver}}}, nil, "subject", "subject"},
		"event_timestamp a week ago":             {[]members{one(events.AccountDisabled, members{"event_timestamp": poptest.Now.Add(-7 * 24 * time.Hour).Unix()})}, nil, "", ""},
		"event_timestamp in milliseconds":        {[]members{one(events.AccountDisabled, members{"event_timestamp": ms})}, nil, "subject", "subject"},
		"event_timestamp with a fraction":        {[]members{one(events.AccountDisabled, members{"event_timestamp": json.RawMessage("1767323045.9")})}, nil, "subject", "subject"},
		"a year old":                             {[]members{{"iat": poptest.Now.Add(-365 * 24 * time.Hour).Unix()}}, nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetup(t, test.setup)
			event := set(test.changes...)
			for range 2 { // the second time is answered as the first
				w := s.push(event)
				if w.Code != 202 || w.Header().Get("Cache-Control") != "no-store" || w.Body.Len() > 0 {
					t.Fatalf("got %d %v %s (%s)", w.Code, w.Header(), w.Body, s.log.reason)
				}
				if got := s.by(t, token(-time.Minute)); got != test.same {
					t.Errorf("the session is revoked by %q, want %q", got, test.same)
				}
				if got := s.by(t, token(-time.Minute, of("user-1", "s-2"))); got != test.another {
					t.Errorf("another session is revoked by %q, want %q", got, test.another)
				}
				if got := s.by(t, token(-time.Minute, of("user-2", "s-3"))); got != "" {
					t.Errorf("somebody else is revoked by %q", got)
				}
				// However far ahead the event says to have happened, the user can log in again.
				if got := s.by(t, token(events.DefaultSkew+time.Second, of("user-1", "s-4"))); got != "" {
					t.Errorf("a new login is revoked by %q", got)
				}
			}
		})
	}
}

// What is ignored is logged, since it may not have been meant to be.
func TestIgnoredEventsAreLogged(t *testing.T) {
	s := newSetup(t, emails)
	s.push(set(one(verification, nil)))
	if !s.log.heard("security event ignored") {
		t.Error("the verification was not logged")
	}
	s.push(set(members{"sub_id": members{"format": "email", "email": "user-9@example.com"}}))
	if !s.log.heard("security event about nobody here") {
		t.Error("the unknown address was not logged")
	}
	if s.log.heard("security event received") {
		t.Error("something was revoked")
	}
}

// What the store has no use for reaches the application, as it came.
func TestEventsForTheApplication(t *testing.T) {
	phone := members{"format": "phone_number", "phone_number": "+1"}
	device := complexSubject(members{"device": opaque("d-1")})["sub_id"].(members)
	then := poptest.Now.Add(-time.Hour).Truncate(time.Second)
	for name, test := range map[string]struct {
		changes []members
		want    events.Event // but for what is the same in all
	}{
		"an event of its own":        {[]members{one(ownEvent, members{"a": 1})}, events.Event{Type: ownEvent, At: poptest.Now, Subject: []byte(text(user())), Payload: []byte(`{"a":1}`)}},
		"when it happened":           {[]members{one(ownEvent, members{"event_timestamp": then.Unix()})}, events.Event{Type: ownEvent, At: then, Subject: []byte(text(user())), Payload: []byte(text(members{"event_timestamp": then.Unix()}))}},
		"a time of another kind":     {[]members{one(ownEvent, members{"event_timestamp": "x"})}, events.Event{Type: ownEvent, At: poptest.Now, Subject: []byte(text(user())), Payload: []byte(`{"event_timestamp":"x"}`)}},
		"nobody":                     {[]members{one(ownEvent, nil), {"sub_id": nil}}, events.Event{Type: ownEvent, At: poptest.Now, Payload: []byte(`{}`)}},
		"the subject in the event":   {[]members{one(ownEvent, members{"subject": phone}), {"sub_id": nil}}, events.Event{Type: ownEvent, At: poptest.Now, Subject: []byte(text(phone)), Payload: []byte(text(members{"subject": phone}))}},
		"verification":               {[]members{one(verification, members{"state": "x"})}, events.Event{Type: verification, At: poptest.Now, Subject: []byte(text(user())), Payload: []byte(`{"state":"x"}`)}},
		"a telephone number":         {[]members{{"sub_id": phone}}, events.Event{Type: events.AccountDisabled, At: poptest.Now, Subject: []byte(text(phone)), Payload: []byte(`{}`)}},
		"a device, not compliant":    {[]members{one(events.DeviceComplianceChange, members{"current_status": "not-compliant"}), {"sub_id": device}}, events.Event{Type: events.DeviceComplianceChange, At: poptest.Now, Subject: []byte(text(device)), Payload: []byte(`{"current_status":"not-compliant"}`)}},
		"a device that is compliant": {[]members{one(events.DeviceComplianceChange, members{"current_status": "compliant"}), {"sub_id": device}}, events.Event{Type: events.DeviceComplianceChange, At: poptest.Now, Subject: []byte(text(device)), Payload: []byte(`{"current_status":"compliant"}`)}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []events.Event
			s := newSetup(t, func(s *setup) {
				s.forSignals.Handle = func(_ context.Context, e events.Event) (bool, error) {
					got = append(got, e)
					return true, nil
				}
			})
			if w := s.push(set(test.changes...)); w.Code != 202 {
				t.Fatalf("got %d %s (%s)", w.Code, w.Body, s.log.reason)
			}
			test.want.Issuer, test.want.ID = poptest.Issuer, "e-1"
			if len(got) != 1 || !got[0].At.Equal(test.want.At) {
				t.Fatalf("got %+v", got)
			}
			if got[0].At = test.want.At; !reflect.DeepEqual(got[0], test.want) {
				t.Errorf("got  %+v\nwant %+v", got[0], test.want)
			}
			if s.log.heard("security event ignored") || s.by(t, token(0)) != "" {
				t.Error("something else was done")
			}
		})
	}
}

// What the application makes of an event is what the transmitter hears.
func TestTheApplicationsAnswer(t *testing.T) {
	answering := func(known bool, err error) func(*setup) {
		return func(s *setup) {
			s.forSignals.Handle = func(context.Context, events.Event) (bool, error) { return known, err }
		}
	}
	t.Run("it knows", func(t *testing.T) {
		if w := newSetup(t, answering(true, nil)).push(set(one(ownEvent, nil))); w.Code != 202 {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	})
	t.Run("it does not", func(t *testing.T) {
		s := newSetup(t, answering(false, nil))
		s.refused(t, s.push(set(one(ownEvent, nil))), 400, "err", "invalid_request", "event_not_handled")
		s.refused(t, s.push(set(members{"sub_id": opaque("")})), 400, "err", "invalid_request", "event_subject_not_understood")
		if w := s.push(set(one(verification, nil))); w.Code != 202 || !s.log.heard("security event ignored") {
			t.Errorf("a verification: got %d %s", w.Code, w.Body)
		}
	})
	t.Run("it fails", func(t *testing.T) {
		s := newSetup(t, answering(true, errBroken))
		s.failed(t, s.push(set(one(ownEvent, nil))))
	})
	t.Run("it is not asked about what the store takes, or nobody may say", func(t *testing.T) {
		s := newSetup(t, answering(true, errBroken))
		if w := s.push(set()); w.Code != 202 || s.by(t, token(0)) != "subject" {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
		foreign := members{"format": "iss_sub", "iss": "https://hostile.example.com", "sub": "user-1"}
		s.refused(t, s.push(set(members{"sub_id": foreign})), 400, "err", "access_denied", "event_subject_foreign")
		s.refused(t, s.push(set(one(events.CredentialChange, nil))), 400, "err", "invalid_request", "event_malformed")
	})
}

// A transmitter that is not the issuer of access tokens speaks for that one issuer only.
func TestTransmitterOfAnotherIssuer(t *testing.T) {
	s := newSetup(t, func(s *setup) {
		s.forSignals.Provider.URL, s.forSignals.Provider.TokenIssuer = "https://events.example.com", poptest.Issuer
	})
	from := members{"iss": "https://events.example.com"}
	for name, iss := range map[string]string{"the issuer's": poptest.Issuer, "its own": "https://events.example.com"} {
		subject := members{"format": "iss_sub", "iss": iss, "sub": name}
		if w := s.push(set(from, members{"sub_id": subject})); w.Code != 202 {
			t.Errorf("%s subject: %d %s", name, w.Code, w.Body)
		}
		if got := s.by(t, token(0, of(name, ""))); got != "subject" {
			t.Errorf("%s subject is revoked by %q", name, got)
		}
	}
	foreign := members{"format": "iss_sub", "iss": "https://hostile.example.com", "sub": "user-1"}
	s.refused(t, s.push(set(from, members{"sub_id": foreign})), 400, "err", "access_denied", "event_subject_foreign")
	s.refused(t, s.push(set()), 400, "err", "invalid_issuer", "event_issuer_unknown")
}

func TestSignalRefusals(t *testing.T) {
	other := poptest.Keyed("ES256", "other issuer")
	with := func(changes members) members {
		header := setHeader()
		for k, v := range changes {
			header[k] = v
		}
		return header
	}
	subject := func(v any) string { return set(members{"sub_id": v}) }
	event := func(uri string, payload members) string { return set(one(uri, payload)) }
	var many []string
	for range 40_000 {
		many = append(many, "a")
	}
	for name, test := range map[string]struct {
		token  string
		code   string
		reason string
	}{
		"no JWT":                                 {"hostile", "invalid_request", "event_jws_malformed"},
		"empty":                                  {"", "invalid_request", "event_jws_malformed"},
		"alg none":                               {poptest.Compact(text(with(members{"alg": "none"})), text(setClaims()), &poptest.Key{Alg: "none"}) + "AA", "invalid_request", "event_alg_not_allowed"},
		"another key":                            {poptest.Compact(text(with(nil)), text(setClaims()), other), "invalid_key", "event_signature_invalid"},
		"unknown kid":                            {poptest.Compact(text(with(members{"kid": "hostile"})), text(setClaims()), other), "invalid_key", "event_key_unknown"},
		"another alg under the kid":              {poptest.Compact(text(with(members{"alg": "RS256"})), text(setClaims()), poptest.Keyed("RS256", "x")), "invalid_key", "event_key_alg_mismatch"},
		"typ JWT":                                {compact(with(members{"typ": "JWT"}), setClaims()), "invalid_request", "event_typ_wrong"},
		"no typ":                                 {compact(with(members{"typ": nil}), setClaims()), "invalid_request", "event_typ_wrong"},
		"a logout token":                         {compact(with(members{"typ": "logout+jwt"}), setClaims()), "invalid_request", "event_typ_wrong"},
		"crit":                                   {compact(with(members{"crit": []string{"b64"}}), setClaims()), "invalid_request", "event_crit_present"},
		"another issuer":                         {set(members{"iss": "https://hostile.example.com"}), "invalid_issuer", "event_issuer_unknown"},
		"another receiver":                       {set(members{"aud": "hostile"}), "invalid_audience", "event_audience_wrong"},
		"no audience":                            {set(members{"aud": nil}), "invalid_audience", "event_audience_wrong"},
		"no jti":                                 {set(members{"jti": nil}), "invalid_request", "event_claim_wrong"},
		"no iat":                                 {set(members{"iat": nil}), "invalid_request", "event_claim_wrong"},
		"iat zero":                               {set(members{"iat": 0}), "invalid_request", "event_claim_wrong"},
		"iat ahead":                              {set(members{"iat": poptest.Now.Add(11 * time.Second).Unix()}), "invalid_request", "event_not_yet_valid"},
		"exp":                                    {set(members{"exp": poptest.Now.Add(time.Hour).Unix()}), "invalid_request", "event_claim_wrong"},
		"sub":                                    {set(members{"sub": "user-1"}), "invalid_request", "event_claim_wrong"},
		"no events":                              {set(members{"events": nil}), "invalid_request", "event_claim_wrong"},
		"empty events":                           {set(members{"events": members{}}), "invalid_request", "event_claim_wrong"},
		"an event that is no object":             {set(members{"events": members{"https://hostile.example.com": 1}}), "invalid_request", "event_malformed"},
		"no subject":                             {subject(nil), "invalid_request", "event_subject_not_understood"},
		"a subject that is text":                 {subject("hostile"), "invalid_request", "event_subject_not_understood"},
		"a subject of many members":              {subject(many), "invalid_request", "event_too_large"},
		"an unknown format":                      {subject(members{"format": "hostile"}), "invalid_request", "event_subject_not_understood"},
		"a phone number":                         {subject(members{"format": "phone_number", "phone_number": "+1"}), "invalid_request", "event_subject_not_understood"},
		"no format":                              {subject(members{"id": "user-1"}), "invalid_request", "event_subject_not_understood"},
		"an email that nobody maps":              {subject(members{"format": "email", "email": "hostile@example.com"}), "invalid_request", "event_subject_not_understood"},
		"an opaque subject without id":           {subject(members{"format": "opaque"}), "invalid_request", "event_subject_not_understood"},
		"iss_sub without sub":                    {subject(members{"format": "iss_sub", "iss": poptest.Issuer}), "invalid_request", "event_subject_not_understood"},
		"iss_sub of another issuer":              {subject(members{"format": "iss_sub", "iss": "https://hostile.example.com", "sub": "user-1"}), "access_denied", "event_subject_foreign"},
		"iss_sub without issuer":                 {subject(members{"format": "iss_sub", "sub": "user-1"}), "access_denied", "event_subject_foreign"},
		"complex without user":                   {set(complexSubject(members{"session": opaque("s-1")})), "invalid_request", "event_subject_not_understood"},
		"complex, of a tenant":                   {set(complexSubject(members{"tenant": opaque("t-1")}), one(events.SessionRevoked, nil)), "invalid_request", "event_subject_not_understood"},
		"every session of nobody":                {set(complexSubject(members{"session": opaque("ALL")}), one(events.SessionRevoked, nil)), "invalid_request", "event_subject_not_understood"},
		"complex, with a malformed user":         {set(complexSubject(members{"user": "hostile"})), "invalid_request", "event_subject_not_understood"},
		"complex, in a complex user":             {set(complexSubject(members{"user": complexSubject(members{"user": user()})["sub_id"]})), "invalid_request", "event_subject_not_understood"},
		"a subject too long to keep":             {subject(opaque(strings.Repeat("hostile", 700))), "invalid_request", "event_subject_not_understood"},
		"event_timestamp as text":                {event(events.AccountDisabled, members{"event_timestamp": "hostile"}), "invalid_request", "event_malformed"},
		"event_timestamp zero":                   {event(events.AccountDisabled, members{"event_timestamp": 0}), "invalid_request", "event_malformed"},
		"credential-change without type":         {event(events.CredentialChange, nil), "invalid_request", "event_malformed"},
		"credential-change, unknown type":        {event(events.CredentialChange, members{"change_type": "hostile"}), "invalid_request", "event_malformed"},
		"change_type as a number":                {event(events.CredentialChange, members{"change_type": 1}), "invalid_request", "event_malformed"},
		"device-compliance-change, no status":    {event(events.DeviceComplianceChange, nil), "invalid_request", "event_malformed"},
		"device-compliance-change, other status": {event(events.DeviceComplianceChange, members{"current_status": "hostile"}), "invalid_request", "event_malformed"},
		"a device alone, not compliant":          {set(one(events.DeviceComplianceChange, members{"current_status": "not-compliant"}), complexSubject(members{"device": opaque("d-1")})), "invalid_request", "event_subject_not_understood"},
		"token-revoked without the token's name": {event(events.TokenRevoked, nil), "invalid_request", "event_subject_not_understood"},
		"token-revoked of a refresh token":       {set(one(events.TokenRevoked, members{"subject": members{"subject_type": "oauth_token", "token_type": "refresh_token"}}), members{"sub_id": nil}), "invalid_request", "event_subject_not_understood"},
		"token-revoked, complex without user":    {set(one(events.TokenRevoked, nil), complexSubject(members{"session": jwtID("t-1")})), "invalid_request", "event_subject_not_understood"},
		"jwt_id without jti":                     {set(one(events.TokenRevoked, nil), members{"sub_id": jwtID("")}), "invalid_request", "event_subject_not_understood"},
		"jwt_id of another issuer":               {set(one(events.SessionRevoked, nil), members{"sub_id": members{"format": "jwt_id", "iss": "https://hostile.example.com", "jti": "t-1"}}), "access_denied", "event_subject_foreign"},
		"an account, by a token of its":          {set(members{"sub_id": jwtID("t-1")}), "invalid_request", "event_subject_not_understood"},
		"a changed credential, by a token":       {set(one(events.CredentialChange, members{"change_type": "revoke"}), members{"sub_id": jwtID("t-1")}), "invalid_request", "event_subject_not_understood"},
		"an event of which nothing is known":     {event(ownEvent, members{"change_type": 1, "event_timestamp": "x"}), "invalid_request", "event_not_handled"},
		"an event of a level of assurance":       {event("https://schemas.openid.net/secevent/caep/event-type/assurance-level-change", nil), "invalid_request", "event_not_handled"},
		"an unknown event beside a verification": {set(members{"events": members{verification: members{}, ownEvent: members{}}}), "invalid_request", "event_not_handled"},
		"one event of two is wrong": {set(members{"events": members{
			events.AccountDisabled: members{}, events.CredentialChange: members{}}}), "invalid_request", "event_malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetup(t)
			status := 400
			if test.reason == "event_too_large" {
				status = 413
			}
			s.refused(t, s.push(test.token), status, "err", test.code, test.reason)
			if got := s.by(t, token(-time.Minute)); got != "" {
				t.Errorf("refused, and revoked by %s", got)
			}
		})
	}
	t.Run("a session, and tokens carry no sid", func(t *testing.T) {
		s := newSetup(t, noSessions)
		event := set(one(events.SessionRevoked, nil), complexSubject(members{"session": opaque("s-1")}))
		s.refused(t, s.push(event), 400, "err", "invalid_request", "event_subject_not_understood")
	})
	t.Run("PS256 with a salt of another length (RFC 7518 §3.5)", func(t *testing.T) {
		key := poptest.Keyed("PS256", "issuer")
		s := newSetup(t, func(s *setup) { s.forSignals.Provider.JWKS = poptest.JWKS(map[string]*poptest.Key{poptest.KeyID: key}) })
		token := poptest.Compact(text(with(members{"alg": "PS256"})), text(setClaims()), key)
		s.refused(t, s.push(poptest.Salted(token, key, 20)), 400, "err", "invalid_key", "event_signature_invalid")
		if err := s.signals.Receive(t.Context(), token); err != nil {
			t.Errorf("with its own salt: %v", err)
		}
	})
	t.Run("several keys, no kid", func(t *testing.T) {
		keys := map[string]*poptest.Key{}
		for _, kid := range []string{"a", "b", "c", "d", "e"} {
			keys[kid] = poptest.Keyed("ES256", kid)
		}
		s := newSetup(t, func(s *setup) { s.forSignals.Provider.JWKS = poptest.JWKS(keys) })
		s.refused(t, s.push(compact(with(members{"kid": nil}), setClaims())), 400, "err", "invalid_key", "event_key_ambiguous")
	})
	t.Run("the application cannot tell whose address it is", func(t *testing.T) {
		s := newSetup(t, emails)
		s.failed(t, s.push(set(members{"sub_id": members{"format": "email", "email": "broken@example.com"}})))
	})
}

func TestSignalRequests(t *testing.T) {
	const secret = "Bearer 0123456789abcdef"
	secured := func(s *setup) { s.forSignals.Authorization = secret }
	authorized := func(values ...string) *setup {
		s := newSetup(t, secured)
		r := request(jwtType, set())
		for _, v := range values {
			r.Header.Add("Authorization", v)
		}
		w := serve(s.signals, r)
		if len(values) == 1 && values[0] == secret {
			if w.Code != 202 {
				t.Errorf("the agreed secret: %d %s", w.Code, w.Body)
			}
			return s
		}
		s.refused(t, w, 400, "err", "authentication_failed", "event_sender_unknown")
		if got := s.by(t, token(0)); got != "" {
			t.Errorf("%q: refused, and revoked by %s", values, got)
		}
		return s
	}
	authorized(secret)
	authorized()
	authorized("Bearer hostile")
	authorized(secret + "x")
	authorized(secret, secret)
	authorized("Bearer 0123456789abcde")
	authorized(strings.ToLower(secret))

	t.Run("a secret with a comma does not match two fields", func(t *testing.T) {
		s := newSetup(t, func(s *setup) { s.forSignals.Authorization = "Bearer 01234,56789abcdef" })
		r := request(jwtType, set())
		r.Header["Authorization"] = []string{"Bearer 01234", "56789abcdef"}
		s.refused(t, serve(s.signals, r), 400, "err", "authentication_failed", "event_sender_unknown")
	})
	t.Run("media types", func(t *testing.T) {
		for contentType, ok := range map[string]bool{
			jwtType: true, "Application/SecEvent+JWT; charset=utf-8": true,
			"": false, "application/jwt": false, form: false, "application/secevent+jwt;;": false,
		} {
			s := newSetup(t)
			w := serve(s.signals, request(contentType, set()))
			if ok != (w.Code == 202) {
				t.Errorf("%q: got %d %s", contentType, w.Code, w.Body)
			}
			if !ok {
				s.refused(t, w, 400, "err", "invalid_request", "event_request_malformed")
			}
		}
	})
	t.Run("GET", func(t *testing.T) {
		s := newSetup(t)
		w := serve(s.signals, httptest.NewRequest("GET", receiver, nil))
		s.refused(t, w, 405, "err", "invalid_request", "event_request_malformed")
	})
	t.Run("too large, unspoken", func(t *testing.T) {
		s := newSetup(t)
		w := serve(s.signals, unannounced(request(jwtType, set(members{"x": strings.Repeat("x", events.DefaultMaxSize)}))))
		s.refused(t, w, 413, "err", "invalid_request", "event_too_large")
	})
}

// Without HTTP, such as for tokens that were polled, the limits and errors are the same.
func TestReceive(t *testing.T) {
	s := newSetup(t)
	if err := s.signals.Receive(t.Context(), set()); err != nil || s.by(t, token(0)) != "subject" {
		t.Errorf("got %v", err)
	}
	large := set(members{"x": strings.Repeat("x", events.DefaultMaxSize)})
	if err := s.signals.Receive(t.Context(), large); !errors.Is(err, events.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	if err := s.logout.Receive(t.Context(), logoutToken(members{"iss": "x"})); !errors.Is(err, events.ErrIssuer) {
		t.Errorf("got %v", err)
	}
}

// failing fails from the second call on.
type failing struct {
	revocation.Store
	calls int
}

func (f *failing) Revoke(ctx context.Context, e revocation.Entry) error {
	if f.calls++; f.calls == 2 {
		return errors.New("no answer")
	}
	return f.Store.Revoke(ctx, e)
}

// Of several revocations one fails; the second delivery does the rest.
func TestPartialFailure(t *testing.T) {
	s := newSetup(t, func(s *setup) { s.forSignals.Store = &failing{Store: s.store} })
	event := set(one(events.SessionRevoked, nil), members{"sub_id": opaque("user-1")})
	s.failed(t, s.push(event))
	if got := s.by(t, token(0)); got != "" {
		t.Fatalf("revoked by %s", got)
	}
	if w := s.push(event); w.Code != 202 || s.by(t, token(0)) != "subject" {
		t.Errorf("again: %d %s", w.Code, w.Body)
	}
}

func TestSignalSettings(t *testing.T) {
	for field, change := range map[string]func(*events.SharedSignalsConfig){
		"Store":             func(s *events.SharedSignalsConfig) { s.Store = nil },
		"Store holds a nil": func(s *events.SharedSignalsConfig) { s.Store = (*revocation.File)(nil) },
		"Audiences":         func(s *events.SharedSignalsConfig) { s.Audiences = nil },
		"Authorization is shorter": func(s *events.SharedSignalsConfig) {
			s.Authorization = "Bearer x"
		},
		"spaces around":          func(s *events.SharedSignalsConfig) { s.Authorization = "Bearer 0123456789abcdef " },
		"Provider: URL is \"…\"": func(s *events.SharedSignalsConfig) { s.Provider.URL = "http:" },
	} {
		clock := poptest.NewClock()
		config := events.SharedSignalsConfig{Provider: provider(clock), Audiences: []string{receiver}, Store: newStore(t, clock)}
		change(&config)
		s, err := events.NewSharedSignals(config)
		if s != nil || err == nil || !strings.Contains(err.Error(), field) || !strings.HasPrefix(err.Error(), "events.SharedSignalsConfig: ") {
			t.Errorf("%s: got %v", field, err)
		}
		if strings.Contains(err.Error(), "0123456789") {
			t.Error("the secret is in the error")
		}
	}
}
