package mtls_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/mtls"
)

// files is a certificate file and a key file, and what was logged about them.
type files struct {
	mtls.KeyFiles
	t     *testing.T
	clock *poptest.Clock
	log   *bytes.Buffer
}

func newFiles(t *testing.T, first tls.Certificate) *files {
	t.Helper()
	dir, clock, log := t.TempDir(), poptest.NewClock(), &bytes.Buffer{}
	f := &files{t: t, clock: clock, log: log, KeyFiles: mtls.KeyFiles{
		Certificate: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"),
		Log: slog.New(slog.NewTextHandler(log, nil)), Now: clock.Now,
	}}
	f.writeCert(first)
	f.writeKey(first)
	return f
}

func (f *files) writeCert(c tls.Certificate) {
	cert, _ := poptest.PEM(f.t, c)
	f.write(f.Certificate, cert)
}
func (f *files) writeKey(c tls.Certificate) { _, key := poptest.PEM(f.t, c); f.write(f.Key, key) }

func (f *files) write(path string, text []byte) {
	f.t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *files) remove(path string) {
	f.t.Helper()
	if err := os.Remove(path); err != nil {
		f.t.Fatal(err)
	}
}

func TestKeyPairRotates(t *testing.T) {
	a, b, c := poptest.SelfSigned(t, "a"), poptest.SelfSigned(t, "b"), poptest.SelfSigned(t, "c")
	f := newFiles(t, a)
	k, err := mtls.NewKeyPair(f.KeyFiles)
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name   string
		change func()
		after  time.Duration
		want   tls.Certificate
		err    string // part of Err
		log    string // part of the one line that is logged
	}{
		{"nothing changed", func() {}, time.Second, a, "", ""},
		{"both changed, too early", func() { f.writeCert(b); f.writeKey(b) }, time.Second - 1, a, "", ""},
		{"both changed", func() {}, 1, b, "", "key pair changed"},
		{"nothing changed again", func() {}, time.Second, b, "", ""},
		{"certificate of another key", func() { f.writeCert(c) }, time.Second, b, "does not match", "not usable"},
		{"the same, not said twice", func() {}, time.Second, b, "does not match", ""},
		{"the key follows", func() { f.writeKey(c) }, time.Second, c, "", "key pair changed"},
		{"half a certificate", func() {
			cert, _ := poptest.PEM(t, a)
			f.write(f.Certificate, cert[:len(cert)/2])
		}, time.Second, c, f.Certificate, "not usable"},
		{"empty key", func() { f.write(f.Key, nil) }, time.Second, c, f.Certificate, "not usable"},
		{"key gone", func() { f.remove(f.Key) }, time.Second, c, f.Key, "not usable"},
		{"key still gone", func() {}, time.Second, c, f.Key, ""},
		{"certificate gone too", func() { f.remove(f.Certificate) }, time.Second, c, f.Certificate, "not usable"},
		{"the last good pair again", func() { f.writeCert(c); f.writeKey(c) }, time.Second, c, "", "key pair changed"},
		{"same size and time, other contents", func() { f.writeSameTimes(a) }, time.Second, a, "", "key pair changed"},
		{"clock set back", func() { f.writeCert(b); f.writeKey(b) }, -time.Hour, b, "", "key pair changed"},
	}
	for _, s := range steps {
		f.log.Reset()
		s.change()
		f.clock.Advance(s.after)
		server, err := k.GetCertificate(nil)
		client, err2 := k.GetClientCertificate(nil)
		if err != nil || err2 != nil || !server.Leaf.Equal(s.want.Leaf) || client != server {
			t.Errorf("%s: certificate of %s, want %s", s.name, subject(server.Leaf), subject(s.want.Leaf))
		}
		if err := k.Err(); (err == nil) != (s.err == "") || err != nil && !strings.Contains(err.Error(), s.err) {
			t.Errorf("%s: Err = %v, want %q", s.name, err, s.err)
		}
		logged := f.log.String()
		if strings.Count(logged, "\n") > 1 || (logged == "") != (s.log == "") || !strings.Contains(logged, s.log) {
			t.Errorf("%s: logged %q, want one line with %q", s.name, logged, s.log)
		}
		if strings.Contains(logged, "PRIVATE KEY") {
			t.Errorf("%s: key logged", s.name)
		}
	}
}

// writeSameTimes replaces both files without changing their times.
func (f *files) writeSameTimes(c tls.Certificate) {
	for path, write := range map[string]func(tls.Certificate){f.Certificate: f.writeCert, f.Key: f.writeKey} {
		before, err := os.Stat(path)
		if err != nil {
			f.t.Fatal(err)
		}
		write(c)
		if err := os.Chtimes(path, before.ModTime(), before.ModTime()); err != nil {
			f.t.Fatal(err)
		}
	}
}

func TestNewKeyPairNamesTheFault(t *testing.T) {
	a, b := poptest.SelfSigned(t, "a"), poptest.SelfSigned(t, "b")
	cases := []struct {
		name   string
		change func(*files)
		want   func(*files) string
	}{
		{"certificate missing", func(f *files) { f.remove(f.Certificate) }, func(f *files) string { return f.Certificate }},
		{"key missing", func(f *files) { f.remove(f.Key) }, func(f *files) string { return f.Key }},
		{"key of another certificate", func(f *files) { f.writeKey(b) }, func(f *files) string { return f.Key }},
		{"no path of the certificate", func(f *files) { f.Certificate = "" },
			func(*files) string { return "KeyFiles.Certificate" }},
		{"no path of the key", func(f *files) { f.Key = "" }, func(*files) string { return "KeyFiles.Key" }},
		{"negative interval", func(f *files) { f.Interval = -1 }, func(*files) string { return "KeyFiles.Interval" }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := newFiles(t, a)
			c.change(f)
			k, err := mtls.NewKeyPair(f.KeyFiles)
			if err == nil || k != nil || !strings.Contains(err.Error(), c.want(f)) {
				t.Errorf("error = %v, want one that names %s", err, c.want(f))
			}
		})
	}
}

// RS-091: after a rotation on either side, new connections carry the new certificates.
func TestKeyPairOverTLS(t *testing.T) {
	ca := poptest.NewCA(t)
	serverFiles := newFiles(t, ca.Issue(t, "server 1"))
	first, second := poptest.SelfSigned(t, "client 1"), poptest.SelfSigned(t, "client 2")
	clientFiles := newFiles(t, first)
	serverPair, err := mtls.NewKeyPair(serverFiles.KeyFiles)
	if err != nil {
		t.Fatal(err)
	}
	clientPair, err := mtls.NewKeyPair(clientFiles.KeyFiles)
	if err != nil {
		t.Fatal(err)
	}
	s := server(t, mtls.FromTLS, &tls.Config{GetCertificate: serverPair.GetCertificate})
	cl := client(t, s)
	var seen *x509.Certificate
	*tlsConfig(cl) = tls.Config{
		RootCAs: ca.Pool(), ServerName: "localhost",
		GetClientCertificate: clientPair.GetClientCertificate,
		VerifyConnection:     func(c tls.ConnectionState) error { seen = c.PeerCertificates[0]; return nil },
	}

	if got, _ := get(t, cl, s.URL); got != thumbprint(first.Leaf) || seen.Subject.CommonName != "server 1" {
		t.Errorf("before: client %s, server %s", got, subject(seen))
	}
	next := ca.Issue(t, "server 2")
	serverFiles.writeCert(next)
	serverFiles.writeKey(next)
	clientFiles.writeCert(second)
	clientFiles.writeKey(second)
	serverFiles.clock.Advance(time.Second)
	clientFiles.clock.Advance(time.Second)
	if got, _ := get(t, cl, s.URL); got != thumbprint(second.Leaf) || seen.Subject.CommonName != "server 2" {
		t.Errorf("after: client %s, server %s", got, subject(seen))
	}
}

// Handshakes at the same time never get half of one pair and half of another.
func TestKeyPairIsSafeForConcurrentUse(t *testing.T) {
	pairs := []tls.Certificate{poptest.SelfSigned(t, "a"), poptest.SelfSigned(t, "b")}
	f := newFiles(t, pairs[0])
	f.Interval, f.Log = 1, slog.New(slog.DiscardHandler)
	k, err := mtls.NewKeyPair(f.KeyFiles)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				c, err := k.GetCertificate(nil)
				if err != nil {
					t.Error(err)
					return
				}
				key := c.PrivateKey.(*ecdsa.PrivateKey)
				if !key.PublicKey.Equal(c.Leaf.PublicKey) {
					t.Error("certificate and key are of different pairs")
				}
				k.Err()
				f.clock.Advance(2)
			}
		})
	}
	for i := range 20 {
		f.writeCert(pairs[i%2])
		f.writeKey(pairs[i%2])
	}
	wg.Wait()
}

// Without a clock and a log of their own, files are read by the system's clock, and their faults go to the default log.
func TestKeyFilesWithDefaults(t *testing.T) {
	first := poptest.SelfSigned(t, "first")
	f := newFiles(t, first)
	f.Log, f.Now, f.Interval = nil, nil, 1
	pair, err := mtls.NewKeyPair(f.KeyFiles)
	if err != nil {
		t.Fatal(err)
	}
	f.remove(f.Certificate)
	for pair.Err() == nil { // until the clock has moved on
		if got, err := pair.GetCertificate(nil); err != nil || !got.Leaf.Equal(first.Leaf) {
			t.Fatalf("%v, %v", got, err)
		}
	}
}
