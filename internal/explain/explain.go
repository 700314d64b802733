// Package explain shows a request to a Guard, and says what its decision tells of each check. The Guard alone decides:
// what is here is only for which check each of its reasons stands, and how a request reads. Programs share it.
package explain

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/reason"
)

// Server is what a request is shown to.
type Server struct {
	// Config are the settings of its Guard, with Now and one issuer. It logs nothing, and accepts proofs at once.
	Config access.Config
	// Need is what the route demands.
	Need access.Requirement
	// Keyless says that the keys of the issuer are not known. Everything else about a token is judged. An issuer without
	// a URL, of a token that names none, is given one.
	Keyless bool
	// Opaque says that tokens are opaque (RFC 7662): what is not in Answer, only the issuer knows.
	Opaque bool
	// Answer is what the issuer would answer about the token. Nil with Opaque: everything else is judged.
	Answer *Answer
	// Remembers says that Replay and Revocation of Config are those of the server: what they say is told as well.
	Remembers bool
	// Again shows the request twice, and what is told is about the second time.
	Again bool
}

// Judge shows a request to the Guard. The error is no refusal: wrong settings, or keys that cannot be fetched.
func (s Server) Judge(ctx context.Context, r *http.Request) (*Report, error) {
	if s.Opaque {
		end, err := s.asked(r)
		if err != nil {
			return nil, err
		}
		defer end()
	} else if s.Keyless {
		if err := s.standIn(); err != nil {
			return nil, err
		}
	}
	s.Config.InsecureForgetAtStart, s.Config.Log = true, slog.New(slog.DiscardHandler)
	guard, err := access.New(s.Config)
	if err != nil {
		return nil, err
	}
	defer guard.Close()
	grant, refusal := guard.Check(r.WithContext(ctx), s.Need)
	if s.Again {
		grant, refusal = guard.Check(r.WithContext(ctx), s.Need)
	}
	if told, ok := errors.AsType[*access.Error](refusal); ok && told.Status == http.StatusServiceUnavailable {
		return nil, fmt.Errorf("it could not be decided: %w", told.Err)
	}
	report := s.report(r, refusal, false)
	if refusal == nil && grant.IssuedAt.IsZero() {
		report.Verdict.NotJudged = append(report.Verdict.NotJudged, undated)
	}
	return report, nil
}

// undated is what has to hold for a token that says no more than nbf, which a Guard with a Revocation refuses.
const undated = "the server takes no token back: where it can, it refuses one without iat (token_claim_missing)"

// JudgeProof shows a request that has no token, as those to a token endpoint, to a Verifier.
func (s Server) JudgeProof(ctx context.Context, r *http.Request) (*Report, error) {
	verifier, err := dpop.New(dpop.Config{
		Origins: s.Config.Origins, Algorithms: s.Config.Algorithms, RequireNonce: s.Config.RequireNonce,
		Nonces: s.Config.Nonces, InsecureForgetAtStart: true, Now: s.Config.Now,
	})
	if err != nil {
		return nil, err
	}
	defer verifier.Close()
	_, refusal := verifier.Verify(r.WithContext(ctx), "")
	return s.report(r, refusal, true), nil
}

// standIn gives the issuer a key that verifies nothing, and lets tokens pass whose signature alone cannot be judged.
func (s *Server) standIn() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	signer, err := dpop.NewSigner(key, "")
	if err != nil {
		return err
	}
	issuer := s.Config.Issuers[0]
	issuer.JWKS = fmt.Appendf(nil, `{"keys":[%s]}`, signer.PublicJWK())
	if issuer.URL == "" {
		issuer.URL, issuer.Audience = "https://issuer.invalid", "https://api.invalid"
	}
	s.Config.Issuers = []access.Issuer{issuer}
	s.Config.Wrap = func(v access.Validator) access.Validator { return unsigned{v} }
	return nil
}

type unsigned struct{ access.Validator }

func (u unsigned) ValidateToken(ctx context.Context, token string) (*access.Token, error) {
	t, err := u.Validator.ValidateToken(ctx, token)
	switch reason.Of(err) {
	case "token_key_unknown", "token_signature_invalid", "token_key_alg_mismatch":
		_, rest, _ := strings.Cut(token, ".")
		payload, _, _ := strings.Cut(rest, ".")
		claims, err := base64.RawURLEncoding.DecodeString(payload)
		if err != nil {
			return nil, err
		}
		return access.NewToken(json.RawMessage(claims))
	}
	return t, err
}
