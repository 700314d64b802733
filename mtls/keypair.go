package mtls

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// KeyFiles names the files of a [KeyPair].
type KeyFiles struct {
	// Certificate is the path of a PEM file with the certificate, followed by its chain if it has one. Required.
	Certificate string
	// Key is the path of the PEM file with the private key. Required; both may be the same file.
	Key string
	// Interval is how often the files are read again at most. Zero means one second.
	Interval time.Duration
	// Log is told when a changed pair is taken or refused. Nil means [slog.Default].
	Log *slog.Logger
	// Now is the clock. Nil means [time.Now].
	Now func() time.Time
}

// KeyPair is a certificate and its private key in two files that are replaced from time to time. Its Get methods
// fit the fields of a [tls.Config] of the same names. They read the files again when the interval is over, in the
// handshake that asks; there is no goroutine to stop. If the new files are not a pair, as while they are being
// written, the last good pair stays in use, the reason is logged once per change and Err returns it.
//
// A new pair is for new connections. Tokens that are bound to the old certificate (RFC 8705 §6.3) do not work on
// them, so a client asks for new tokens. A KeyPair is safe for concurrent use.
type KeyPair struct {
	files   KeyFiles
	current atomic.Pointer[tls.Certificate]
	failure atomic.Pointer[error]

	mu   sync.Mutex // held by the one handshake that reads the files
	next time.Time
	seen [sha256.Size]byte // of what was read last, good or bad
}

// NewKeyPair reads the pair for the first time. It returns an error that names the file or the field when there is
// no usable pair.
func NewKeyPair(files KeyFiles) (*KeyPair, error) {
	if files.Certificate == "" || files.Key == "" {
		return nil, errors.New("mtls: KeyFiles.Certificate, KeyFiles.Key: give the paths of the PEM files")
	}
	if files.Interval < 0 {
		return nil, errors.New("mtls: KeyFiles.Interval: give a duration, or zero for one second")
	}
	files.Interval = cmp.Or(files.Interval, time.Second)
	if files.Log == nil {
		files.Log = slog.Default()
	}
	if files.Now == nil {
		files.Now = time.Now
	}
	k := &KeyPair{files: files}
	pair, seen, err := files.read()
	if err != nil {
		return nil, err
	}
	k.seen, k.next = seen, files.Now().Add(files.Interval)
	k.current.Store(pair)
	return k, nil
}

// GetCertificate is for [tls.Config.GetCertificate] of a server. It never fails.
func (k *KeyPair) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return k.get(), nil
}

// GetClientCertificate is for [tls.Config.GetClientCertificate] of a client. It never fails, and returns the
// certificate whichever authorities the server names: what counts for a bound token is possession.
func (k *KeyPair) GetClientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return k.get(), nil
}

// Err returns why the files as they were last read are not in use, or nil when they are.
func (k *KeyPair) Err() error {
	if err := k.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// get never waits for another handshake's reading, which may be on a disk that hangs.
func (k *KeyPair) get() *tls.Certificate {
	if k.mu.TryLock() {
		defer k.mu.Unlock()
		now := k.files.Now()
		// A clock that was set back must not stop the reading.
		if !now.Before(k.next) || now.Before(k.next.Add(-k.files.Interval)) {
			k.next = now.Add(k.files.Interval)
			k.reread()
		}
	}
	return k.current.Load()
}

// reread compares contents, because times and sizes of files can stay the same while the contents change.
func (k *KeyPair) reread() {
	pair, seen, err := k.files.read()
	if seen == k.seen {
		return
	}
	k.seen = seen
	log := k.files.Log.With("certificate", k.files.Certificate, "key", k.files.Key)
	if err != nil {
		k.failure.Store(&err)
		log.Error("changed key pair is not usable; the last good one stays in use", "error", err)
		return
	}
	k.failure.Store(nil)
	k.current.Store(pair)
	log.Info("key pair changed", "x5t#S256", (&Certificate{DER: pair.Leaf.Raw}).Thumbprint())
}

// read returns the pair, or why there is none, and a hash that is the same as long as the outcome is.
func (f *KeyFiles) read() (pair *tls.Certificate, seen [sha256.Size]byte, err error) {
	certPEM, err := os.ReadFile(f.Certificate)
	if err != nil {
		return nil, sha256.Sum256([]byte(err.Error())), fmt.Errorf("mtls: certificate: %w", err)
	}
	keyPEM, err := os.ReadFile(f.Key)
	if err != nil {
		return nil, sha256.Sum256([]byte(err.Error())), fmt.Errorf("mtls: private key: %w", err)
	}
	certSum, keySum := sha256.Sum256(certPEM), sha256.Sum256(keyPEM)
	seen = sha256.Sum256(append(certSum[:], keySum[:]...))
	parsed, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, seen, fmt.Errorf("mtls: %s and %s: %w", f.Certificate, f.Key, err)
	}
	return &parsed, seen, nil
}
