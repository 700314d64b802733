package session

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
	"github.com/senderlock/senderlock/examples/codeflow"
	"github.com/senderlock/senderlock/internal/privatefile"
)

// ErrLoggedOut means that there are no tokens.
var ErrLoggedOut = errors.New("you are not logged in: log in first")

// maxSession bounds the file of a session, in octets.
const maxSession = 1 << 20

// Session is what a login leaves on disk. Issuer, Client and API are required.
type Session struct {
	Issuer   string   `json:"issuer"`
	Client   string   `json:"client"`
	API      string   `json:"api"` // the origin that receives the token
	Resource string   `json:"resource,omitempty"`
	Scopes   []string `json:"scopes,omitempty"`

	AccessToken  string    `json:"access_token"`
	RefreshToken string    `json:"refresh_token,omitempty"`
	Expiry       time.Time `json:"expiry,omitzero"` // zero: the server did not say
}

func (s *Session) take(token *oauth2.Token) {
	s.AccessToken, s.RefreshToken, s.Expiry = token.AccessToken, token.RefreshToken, token.Expiry
}

// config is the client that the session belongs to.
func (s *Session) config(signer *dpop.Signer) codeflow.Config {
	return codeflow.Config{Issuer: s.Issuer, ID: s.Client, Scopes: s.Scopes, Resource: s.Resource, Signer: signer}
}

// Store is the folder with a session, and the file of its key.
type Store struct {
	folder string
	key    keyfile.File
}

// Open makes the folder, if it is not there yet, and that of the key. An empty passphrase means that the key is not
// encrypted.
func Open(folder, key, passphrase string) (*Store, error) {
	for _, path := range []string{folder, filepath.Dir(key)} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return nil, err
		}
	}
	s := &Store{folder: folder, key: keyfile.File{Path: key}}
	if passphrase != "" {
		s.key.Passphrase = func() (string, error) { return passphrase, nil }
	}
	return s, nil
}

// MakeSigner returns the signer of the key, which is made if there is none yet.
func (s *Store) MakeSigner() (signer *dpop.Signer, made bool, err error) {
	key, err := s.key.Load()
	if errors.Is(err, fs.ErrNotExist) {
		key, err = s.key.Create("ES256")
		made = err == nil
		if errors.Is(err, fs.ErrExist) { // another process was faster
			key, err = s.key.Load()
		}
	}
	if err != nil {
		return nil, false, err
	}
	signer, err = dpop.NewSigner(key, "")
	return signer, made, err
}

// Signer returns the signer of the key of a login.
func (s *Store) Signer() (*dpop.Signer, error) {
	key, err := s.key.Load()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w (%w)", ErrLoggedOut, err)
	}
	if err != nil {
		return nil, err
	}
	return dpop.NewSigner(key, "")
}

func (s *Store) forgetKey() error { return remove(s.key.Path) }

func (s *Store) path() string { return filepath.Join(s.folder, "session.json") }

// Load reads the session. The error is an [ErrLoggedOut] where there is none.
func (s *Store) Load() (*Session, error) {
	text, err := privatefile.Read(s.path(), maxSession)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrLoggedOut
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path(), err)
	}
	l := new(Session)
	if err := json.Unmarshal(text, l); err != nil {
		return nil, fmt.Errorf("%s: %w: log in again", s.path(), err)
	}
	return l, nil
}

// Save writes the session, whole or not at all.
func (s *Store) Save(l *Session) error {
	text, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	return privatefile.Replace(s.path(), text)
}

func (s *Store) forget() error { return remove(s.path()) }

// remove removes a file, if it is there.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// lock keeps other processes from changing the session until unlock is called.
func (s *Store) lock(ctx context.Context) (unlock func(), err error) {
	l := flock.New(filepath.Join(s.folder, "lock"), flock.SetPermissions(0o600))
	if _, err := l.TryLockContext(ctx, 50*time.Millisecond); err != nil {
		return nil, fmt.Errorf("another run holds %s: %w", l.Path(), err)
	}
	return func() { _ = l.Close() }, nil // the file stays, for the next
}
