package main

import (
	"crypto"
	"crypto/rand"
	"errors"
	"io/fs"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/dpop/keyfile"
	"github.com/senderlock/senderlock/examples/internal/story"
)

// newSigner returns the signer of the key in a file, or of a new key.
func newSigner(file string) (*dpop.Signer, error) {
	key, err := loadOrMake(file)
	if err != nil {
		return nil, err
	}
	return dpop.NewSigner(key, "")
}

func loadOrMake(file string) (crypto.Signer, error) {
	if file == "" {
		return story.NewKey()
	}
	f := keyfile.File{Path: file}
	key, err := f.Create("ES256")
	if errors.Is(err, fs.ErrExist) {
		return f.Load()
	}
	return key, err
}

// newCookieKey makes a key for cookies that are not to outlive this run.
func newCookieKey() []byte {
	key := make([]byte, sealKeySize)
	_, _ = rand.Read(key) // never fails
	return key
}
