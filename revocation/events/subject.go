package events

import (
	"context"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/senderlock/senderlock/internal/jose"
)

// identifier names one subject (RFC 9493 §3).
type identifier struct {
	Format  string `json:"format"`
	Type    string `json:"subject_type"` // instead of format, in the past and still: RISC 1.0 §3
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
	ID      string `json:"id"`
	Token   string `json:"jti"`
	Email   string `json:"email"`

	// The members of a complex subject that are understood (Shared Signals Framework 1.0, "Complex Subjects").
	User    jsontext.Value `json:"user"`
	Session jsontext.Value `json:"session"`
}

// subject is whom an event is about. A simple subject is the user, and may be the session: then both are the same.
type subject struct {
	user, session *identifier
}

// parseSubject reads a simple or complex subject. Formats are judged when a name is needed.
func parseSubject(raw jsontext.Value) (subject, error) {
	id, err := parseIdentifier(raw)
	if err != nil {
		return subject{}, err
	}
	// Older drafts have no format for complex subjects.
	if id.Format != "complex" && (id.Format != "" || id.User == nil && id.Session == nil) {
		return subject{user: id, session: id}, nil
	}
	var s subject
	for _, member := range []struct {
		raw  jsontext.Value
		into **identifier
	}{{id.User, &s.user}, {id.Session, &s.session}} {
		if member.raw == nil {
			continue
		}
		if *member.into, err = parseIdentifier(member.raw); err != nil {
			return subject{}, err
		}
	}
	return s, nil
}

func parseIdentifier(raw jsontext.Value) (*identifier, error) {
	if raw == nil {
		return nil, ErrSubject.With("sub_id", "")
	}
	var id identifier
	if err := jose.Object(raw, &id); err != nil {
		return nil, ErrSubject.With("an object", "").Because(err)
	}
	if id.Format == "" {
		id.Format = strings.ReplaceAll(id.Type, "-", "_")
	}
	return &id, nil
}

// format is in which way a subject is named, if it is.
func (id *identifier) format() string {
	if id == nil {
		return "a complex subject without a user"
	}
	return id.Format
}

// subject returns the user's name in access tokens, or an empty one if no user here is meant.
func (s *SharedSignals) subject(ctx context.Context, id *identifier) (string, error) {
	if id == nil {
		return "", ErrSubject.With("a user", id.format())
	}
	name := ""
	switch {
	case id.Format == "iss_sub":
		if err := s.own(id.Issuer); err != nil {
			return "", err
		}
		name = id.Subject
	case id.Format == "opaque":
		name = id.ID
	case id.Format == "email" && id.Email != "" && s.config.SubjectOfEmail != nil:
		return s.ofEmail(ctx, id.Email)
	default:
		return "", ErrSubject.With("a user as iss_sub or opaque, or as email if the application maps addresses", id.Format)
	}
	if name == "" {
		return "", ErrSubject.With("a name", "an empty one")
	}
	return name, nil
}

// own refuses what another issuer has given a name to.
func (s *SharedSignals) own(issuer string) error {
	if issuer != s.provider.URL && issuer != s.provider.TokenIssuer {
		return ErrForeign.With(s.provider.TokenIssuer, issuer)
	}
	return nil
}

func (s *SharedSignals) ofEmail(ctx context.Context, email string) (string, error) {
	sub, err := s.config.SubjectOfEmail(ctx, email)
	if err != nil {
		return "", ErrUnavailable.Because(err)
	}
	if sub == "" {
		s.provider.Log.InfoContext(ctx, "security event about nobody here", "issuer", s.provider.URL)
	}
	return sub, nil
}
