package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/oauth2"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/dpop/keyfile"
	"github.com/senderlock/senderlock/examples/internal/codeflow"
	"github.com/senderlock/senderlock/internal/privatefile"
)

// errLoggedOut means that there are no tokens.
var errLoggedOut = errors.New("you are not logged in: run login")

// maxSession bounds the file of a session, in octets.
const maxSession = 1 << 20

// session is what a login leaves on disk.
type session struct {
	Issuer   string   `json:"issuer"`
	Client   string   `json:"client"`
	API      string   `json:"api"` // the origin that receives the token
	Resource string   `json:"resource,omitempty"`
	Scopes   []string `json:"scopes,omitempty"`

	AccessToken  string    `json:"access_token"`
	RefreshToken string    `json:"refresh_token,omitempty"`
	Expiry       time.Time `json:"expiry,omitzero"` // zero: the server did not say
}

func (s *session) take(token *oauth2.Token) {
	s.AccessToken, s.RefreshToken, s.Expiry = token.AccessToken, token.RefreshToken, token.Expiry
}

// config is the client that the session belongs to.
func (s *session) config(signer *dpop.Signer) codeflow.Config {
	return codeflow.Config{Issuer: s.Issuer, ID: s.Client, Scopes: s.Scopes, Resource: s.Resource, Signer: signer}
}

// store is the folder with the key and the session.
type store struct {
	folder string
	key    keyfile.File
}

func (p program) openStore(folder string) (*store, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	s := &store{folder: folder, key: keyfile.File{Path: filepath.Join(folder, "key.pem")}}
	if p.passphrase != "" {
		s.key.Passphrase = func() (string, error) { return p.passphrase, nil }
	}
	return s, nil
}

// makeSigner returns the signer of the key, which is made if there is none yet.
func (s *store) makeSigner() (signer *dpop.Signer, made bool, err error) {
	key, err := s.key.Load()
	if errors.Is(err, fs.ErrNotExist) {
		made = true
		key, err = s.key.Create("ES256")
	}
	if err != nil {
		return nil, false, err
	}
	signer, err = dpop.NewSigner(key, "")
	return signer, made, err
}

func (s *store) loadSigner() (*dpop.Signer, error) {
	key, err := s.key.Load()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w (%w)", errLoggedOut, err)
	}
	if err != nil {
		return nil, err
	}
	return dpop.NewSigner(key, "")
}

func (s *store) forgetKey() error { return remove(s.key.Path) }

func (s *store) path() string { return filepath.Join(s.folder, "session.json") }

func (s *store) load() (*session, error) {
	text, err := privatefile.Read(s.path(), maxSession)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errLoggedOut
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path(), err)
	}
	l := new(session)
	if err := json.Unmarshal(text, l); err != nil {
		return nil, fmt.Errorf("%s: %w: log in again", s.path(), err)
	}
	return l, nil
}

func (s *store) save(l *session) error {
	text, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	return privatefile.Replace(s.path(), text)
}

func (s *store) forget() error { return remove(s.path()) }

// remove removes a file, if it is there.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// lock keeps other processes from changing the session until unlock is called.
func (s *store) lock(ctx context.Context) (unlock func(), err error) {
	l := flock.New(filepath.Join(s.folder, "lock"), flock.SetPermissions(0o600))
	if _, err := l.TryLockContext(ctx, 50*time.Millisecond); err != nil {
		return nil, fmt.Errorf("another run holds %s: %w", l.Path(), err)
	}
	return func() { _ = l.Close() }, nil // the file stays, for the next
}
