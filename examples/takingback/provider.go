package main

import (
	"context"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/internal/story"
	"github.com/senderlock/senderlock/revocation"
	"github.com/senderlock/senderlock/revocation/events"
)

// signalAudience is the name of the identity provider's receiver.
const signalAudience = "https://login.example.com/events"

// provider is the identity provider's ear for security events, and our mouth. In this story the provider has a receiver
// of this module's as well; it may be anybody's that takes security event tokens.
type provider struct {
	transmitter *events.Transmitter
	ended       chan string
}

// startProvider starts the receiver, which knows the public key of the API, and makes the API's transmitter.
func (s *stage) startProvider() (*provider, error) {
	key, err := story.NewKey()
	if err != nil {
		return nil, err
	}
	signer, err := dpop.NewSigner(key, "")
	if err != nil {
		return nil, err
	}
	keys := []byte(`{"keys":[` + signer.PublicJWK() + `]}`)
	memory, err := revocation.NewMemory(revocation.Options{})
	if err != nil {
		return nil, err
	}
	s.Defer(memory.Close)
	p := &provider{ended: make(chan string, 10)}
	receiver, err := events.NewSharedSignals(events.SharedSignalsConfig{
		Provider:  events.Provider{URL: s.origin, TokenIssuer: s.issuer, JWKS: keys, Log: s.Log.Logger()},
		Audiences: []string{signalAudience}, Store: sessions{memory, p.ended},
	})
	if err != nil {
		return nil, err
	}
	s.Defer(receiver.Close)
	listener, address, err := s.Listen(0)
	if err != nil {
		return nil, err
	}
	s.Serve(listener, receiver)
	p.transmitter, err = events.NewTransmitter(events.TransmitterConfig{
		Endpoint: "http://" + address, Issuer: s.origin, Audience: signalAudience, Key: key, Algorithm: "ES256", Log: s.Log.Logger(),
	})
	if err != nil {
		return nil, err
	}
	s.Defer(p.transmitter.Close)
	return p, nil
}

// told waits until the provider has heard of something, and says what it did.
func (p *provider) told(ctx context.Context, patience time.Duration) string {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	select {
	case did := <-p.ended:
		return did
	case <-ctx.Done():
		return "nothing came"
	}
}

// sessions are those of the provider's single sign-on, which end.
type sessions struct {
	*revocation.Memory
	ended chan<- string
}

func (s sessions) Revoke(ctx context.Context, e revocation.Entry) error {
	s.ended <- e.By.String() + " ended"
	return s.Memory.Revoke(ctx, e)
}
