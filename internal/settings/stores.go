package settings

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/redisstore"
	"github.com/senderlock/senderlock/revocation"
)

// Records are the revocations, and the tokens in use.
type Records interface {
	revocation.Store
	revocation.Register
}

// Stores are what a program remembers. They outlive a Guard.
type Stores struct {
	Replay dpop.ReplayStore
	Tokens Records
	Shared *redisstore.Store // nil: this process, or a file

	closers []func() error // run from the last to the first
}

// Open opens the stores that the settings ask for. Close them behind the Guards that use them.
func (s *Settings) Open() (*Stores, error) {
	o := &Stores{}
	if err := o.open(s); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

// Close closes all that was opened.
func (o *Stores) Close() error {
	var all []error
	for _, closer := range slices.Backward(o.closers) {
		all = append(all, closer())
	}
	o.closers = nil
	return errors.Join(all...)
}

func (o *Stores) open(s *Settings) error {
	shared, err := o.shared(s)
	if err != nil {
		return err
	}
	o.Shared = shared
	if err := o.replay(s, shared); err != nil {
		return err
	}
	return o.records(s, shared)
}

// retention is for as long as a token that a revocation denies is accepted.
func (s *Settings) retention() revocation.Retention {
	return revocation.Retention{Lifetime: s.longestLifetime(), Leeway: access.DefaultLeeway}
}

// shared is what many instances remember together, in Redis. Nil unless set.
func (o *Stores) shared(s *Settings) (*redisstore.Store, error) {
	if s.RedisURL == "" {
		return nil, nil
	}
	c, err := s.redis()
	if err != nil {
		return nil, err
	}
	store, err := redisstore.Open(context.Background(), c)
	if err != nil {
		return nil, fmt.Errorf("REPLAY_REDIS_URL is not usable: %s: %w", wantRedis, err)
	}
	o.closers = append(o.closers, store.Close)
	return store, nil
}

const wantRedis = "set the URL of a Redis that answers, such as redis://10.0.0.1:6379/0"

// redis are the settings of the shared store, which is not asked.
func (s *Settings) redis() (redisstore.Config, error) {
	c, err := redisstore.ParseURL(s.RedisURL)
	if err != nil {
		return c, err
	}
	c.Retention = s.retention()
	if c.Window == 0 {
		c.Window = max(redisstore.DefaultWindow, s.proofLife())
	}
	return c, c.Validate()
}

// replay remembers used proofs: in the shared store, or in this process.
func (o *Stores) replay(s *Settings, shared *redisstore.Store) error {
	if shared != nil {
		o.Replay = shared
		return nil
	}
	m, err := dpop.NewMemory(dpop.MemoryConfig{Window: s.proofLife()})
	if err != nil {
		return err
	}
	o.Replay, o.closers = m, append(o.closers, m.Close)
	return nil
}

const wantRevocationFile = "set the path of a file that this program alone can write"

// records are in a file if it is named, so that they outlive a restart, or in the shared store, or in this process.
func (o *Stores) records(s *Settings, shared *redisstore.Store) error {
	options := revocation.Options{Retention: s.retention()}
	switch path := s.RevocationFile; {
	case path != "":
		file, err := revocation.Open(path, options)
		if err != nil {
			return fmt.Errorf("REVOCATION_FILE is %q: %s: %w", path, wantRevocationFile, err)
		}
		o.Tokens, o.closers = file, append(o.closers, file.Close)
	case shared != nil:
		o.Tokens = shared
	default:
		m, err := revocation.NewMemory(options)
		if err != nil {
			return err
		}
		o.Tokens = m
	}
	return nil
}
