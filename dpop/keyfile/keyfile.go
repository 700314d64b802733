// Package keyfile keeps the private key of a client on disk, as PEM (PKCS#8, RFC 5958) or JWK (RFC 7517): in a file
// that nobody else can read, written whole or not at all, and encrypted with a passphrase if wanted (age,
// https://age-encryption.org/v1). A key in a PKCS#11 token, a TPM or a platform's keystore is safer and needs no
// file; package dpop takes it as it is.
//
// It is a package of its own so that servers, which have no such keys, do not depend on age.
package keyfile

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/senderlock/senderlock/internal/privatefile"
)

// The causes for which a file is refused. A file that is missing, or in the way of [File.Create], is told by
// [io/fs.ErrNotExist] and [io/fs.ErrExist].
var (
	ErrExposed    = privatefile.ErrExposed // others than the owner have access to the file
	ErrPassphrase = errors.New("the passphrase does not fit the key file")
	ErrFormat     = errors.New("not a private key in PEM (PKCS#8) or JWK")
)

// maxSize bounds what is read, in octets; an encrypted RSA key of 16384 bits takes a third of it.
const maxSize = 64 << 10

// workFactor is the cost of trying one passphrase, as a power of two; age's own default, about a second.
var workFactor = 18

// Format is how a key is written.
type Format int

// The formats. Reading recognises each.
const (
	PEM Format = iota // PKCS#8
	JWK
)

var errPath = errors.New("keyfile: Path is empty: give that of the key file")

// File is a private key at rest. Its methods may be used by several processes at once: a reader sees the old key
// or the new one.
type File struct {
	// Path is where the file is; its folder must exist. Required.
	Path string
	// Format is used for writing. Zero means PEM.
	Format Format
	// Passphrase is asked for the passphrase that encrypts the file, each time one is needed. Nil means that the
	// file is not encrypted. A file that is not as this says is refused, so that a plain key cannot take the place
	// of an encrypted one. Age's cipher is not one of FIPS 140: with GODEBUG=fips140=only an encrypted file can
	// neither be written nor read.
	Passphrase func() (string, error)
}

// Create makes a key for a JWS algorithm and stores it. Empty means ES256; RSA keys have 3072 bits. A file that
// exists is left alone: the error is then an [io/fs.ErrExist], also if another process was faster.
func (f File) Create(alg string) (crypto.Signer, error) {
	key, err := generate(alg)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	if err := f.save(key, privatefile.Create); err != nil {
		return nil, err
	}
	return key, nil
}

// Store writes a key, in place of the one that is there. Keys that cannot leave their hardware are refused.
func (f File) Store(key crypto.Signer) error { return f.save(key, privatefile.Replace) }

// Load reads the key. It returns [ErrExposed] for a file that group or others have any access to, [ErrPassphrase]
// for one that is encrypted and no or another passphrase is given, or the reverse, and [ErrFormat]. On Windows
// access is not checked: it depends on more than the file's mode.
func (f File) Load() (crypto.Signer, error) {
	if f.Path == "" {
		return nil, errPath
	}
	key, err := f.load()
	if err != nil {
		return nil, fmt.Errorf("keyfile: %s: %w", f.Path, err)
	}
	return key, nil
}

func (f File) load() (crypto.Signer, error) {
	raw, err := privatefile.Read(f.Path, maxSize)
	if errors.Is(err, privatefile.ErrTooLarge) {
		err = fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if err != nil {
		return nil, err
	}
	if raw, err = f.decrypt(raw); err != nil {
		return nil, err
	}
	return decode(raw)
}

const ageIntro = "age-encryption.org/"

func (f File) decrypt(raw []byte) ([]byte, error) {
	armored := bytes.HasPrefix(raw, []byte(armor.Header))
	switch encrypted := armored || bytes.HasPrefix(raw, []byte(ageIntro)); {
	case !encrypted && f.Passphrase == nil:
		return raw, nil
	case !encrypted:
		return nil, fmt.Errorf("%w: the file is not encrypted: store the key again, or give no passphrase", ErrPassphrase)
	case f.Passphrase == nil:
		return nil, fmt.Errorf("%w: the file is encrypted: give its passphrase", ErrPassphrase)
	}
	passphrase, err := f.Passphrase()
	if err != nil {
		return nil, err
	}
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPassphrase, err)
	}
	var src io.Reader = bytes.NewReader(raw)
	if armored {
		src = armor.NewReader(src)
	}
	plain, err := age.Decrypt(src, identity)
	if errors.Is(err, age.ErrIncorrectIdentity) {
		return nil, fmt.Errorf("%w: it is wrong, or the file is encrypted to something else", ErrPassphrase)
	}
	if err == nil {
		raw, err = io.ReadAll(plain)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return raw, nil
}

func (f File) encrypt(plain []byte) ([]byte, error) {
	if f.Passphrase == nil {
		return plain, nil
	}
	passphrase, err := f.Passphrase()
	if err != nil {
		return nil, err
	}
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPassphrase, err)
	}
	recipient.SetWorkFactor(workFactor)
	var out bytes.Buffer
	text := armor.NewWriter(&out)
	w, err := age.Encrypt(text, recipient)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := errors.Join(w.Close(), text.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// save writes a key, by Create or Replace of package privatefile.
func (f File) save(key crypto.Signer, write func(path string, content []byte) error) error {
	if f.Path == "" {
		return errPath
	}
	raw, err := encode(key, f.Format)
	if err != nil {
		return fmt.Errorf("keyfile: %w", err)
	}
	if raw, err = f.encrypt(raw); err == nil {
		err = write(f.Path, raw)
	}
	if err != nil {
		return fmt.Errorf("keyfile: %s: %w", f.Path, err)
	}
	return nil
}
