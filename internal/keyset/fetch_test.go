package keyset_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/keyset"
	"github.com/senderlock/senderlock/internal/poptest"
)

// discovered is a set found through the metadata of a test issuer.
func discovered(t testing.TB, i *poptest.IssuerServer) *keyset.Set {
	t.Helper()
	return open(t, keyset.Config{Issuer: i.URL(), HTTPClient: i.Client()})
}

// metadata answers with an issuer's metadata.
func metadata(issuer, jwksURI string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": issuer, "jwks_uri": jwksURI})
	}
}

func TestDiscovery(t *testing.T) {
	const openID, oauth = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"
	for _, c := range []struct {
		name   string
		path   string // of the issuer
		serve  string // where its metadata is; empty for the server's own two documents
		before func(*poptest.IssuerServer)
	}{
		{name: "RFC 8414"},
		{name: "OpenID Connect, the other answers 500", before: func(i *poptest.IssuerServer) {
			i.LimitTo(poptest.MetadataPath)
			i.SetFailing(true)
		}},
		{name: "OpenID Connect, the other is a page", before: func(i *poptest.IssuerServer) {
			i.LimitTo(poptest.MetadataPath)
			i.SetRedirect("/page")
			i.Handle("/page", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "<html>")
			}))
		}},
		{name: "RFC 8414 with a path", path: "/tenant/a", serve: oauth + "/tenant/a"},
		{name: "OpenID Connect with a path", path: "/tenant/a", serve: "/tenant/a" + openID},
		{name: "RFC 8414 with a path and a trailing slash", path: "/tenant/", serve: oauth + "/tenant"},
		{name: "OpenID Connect with a path and a trailing slash", path: "/tenant/", serve: "/tenant" + openID},
		{name: "trailing slash only", path: "/", before: func(i *poptest.IssuerServer) {
			i.SetMetadata(map[string]any{"issuer": i.URL() + "/"})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := poptest.NewIssuerServer(t)
			if c.serve != "" {
				i.Handle(c.serve, metadata(i.URL()+c.path, i.URL()+poptest.JWKSPath))
			}
			if c.before != nil {
				c.before(i)
			}
			s := open(t, keyset.Config{Issuer: i.URL() + c.path, HTTPClient: i.Client()})
			found(t, s, poptest.KeyID, "ES256", poptest.IssuerKey())
		})
	}
}

func TestMetadataIsRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change map[string]any
	}{
		{"another issuer", map[string]any{"issuer": "https://login.example.com"}},
		{"no issuer", map[string]any{"issuer": nil}},
		{"issuer not a string", map[string]any{"issuer": 1}},
		{"no jwks_uri", map[string]any{"jwks_uri": nil}},
		{"relative jwks_uri", map[string]any{"jwks_uri": "/jwks"}},
		{"jwks_uri over http", map[string]any{"jwks_uri": "http://login.example.com/jwks"}},
		{"jwks_uri of a file", map[string]any{"jwks_uri": "file:///etc/passwd"}},
		{"jwks_uri with a user name", map[string]any{"jwks_uri": "https://a:b@login.example.com/jwks"}},
		{"jwks_uri with a fragment", map[string]any{"jwks_uri": "https://login.example.com/jwks#a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := poptest.NewIssuerServer(t)
			i.SetMetadata(c.change)
			refused(t, discovered(t, i), poptest.KeyID, "ES256", keyset.ErrUnavailable, keyset.ErrMetadata)
		})
	}
	for _, c := range []struct {
		name   string
		change func(url string) string
	}{
		{"a trailing slash more", func(url string) string { return url + "/" }},
		{"in another case", strings.ToUpper},
		{"with white space", func(url string) string { return url + " " }},
	} {
		t.Run("issuer "+c.name, func(t *testing.T) {
			i := poptest.NewIssuerServer(t)
			i.SetMetadata(map[string]any{"issuer": c.change(i.URL())})
			refused(t, discovered(t, i), poptest.KeyID, "ES256", keyset.ErrUnavailable, keyset.ErrMetadata)
		})
	}
	t.Run("issuer a trailing slash less", func(t *testing.T) {
		i := poptest.NewIssuerServer(t)
		s := open(t, keyset.Config{Issuer: i.URL() + "/", HTTPClient: i.Client()})
		refused(t, s, poptest.KeyID, "ES256", keyset.ErrUnavailable, keyset.ErrMetadata)
	})
	t.Run("https metadata that leads to loopback http", func(t *testing.T) {
		i, plain := poptest.NewIssuerServer(t), poptest.NewPlainIssuerServer(t)
		i.SetMetadata(map[string]any{"jwks_uri": plain.URL() + poptest.JWKSPath})
		refused(t, discovered(t, i), poptest.KeyID, "ES256", keyset.ErrUnavailable, keyset.ErrMetadata)
		if plain.Fetches() != 0 {
			t.Fatal("keys were fetched over http")
		}
		insecure := keyset.Config{Issuer: i.URL(), HTTPClient: i.Client(), InsecureAllowHTTP: true}
		found(t, open(t, insecure), poptest.KeyID, "ES256", poptest.IssuerKey())
	})
}

func TestJWKSURL(t *testing.T) {
	i := poptest.NewIssuerServer(t)
	s := open(t, keyset.Config{JWKSURL: i.URL() + poptest.JWKSPath, HTTPClient: i.Client()})
	found(t, s, poptest.KeyID, "ES256", poptest.IssuerKey())
	if n := i.FetchesOf(poptest.MetadataPath) + i.FetchesOf(poptest.OpenIDPath); n != 0 {
		t.Fatalf("%d fetches of metadata", n)
	}
}

// Without a client of the user's, ours is used; a loopback issuer needs no TLS.
func TestOwnClient(t *testing.T) {
	i := poptest.NewPlainIssuerServer(t)
	found(t, open(t, keyset.Config{Issuer: i.URL()}), poptest.KeyID, "ES256", poptest.IssuerKey())
	// It does not trust a certificate that nobody vouches for.
	tls := poptest.NewIssuerServer(t)
	refused(t, open(t, keyset.Config{Issuer: tls.URL()}), poptest.KeyID, "ES256", keyset.ErrUnavailable, keyset.ErrFetch)
	if tls.FetchesOf(poptest.MetadataPath) != 0 {
		t.Fatal("a request went to a server without a trusted certificate")
	}
}

// Our own client leaves no connection behind.
func TestNoIdleConnection(t *testing.T) {
	closed := make(chan bool, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(only("k1", oldKey))
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- true
		}
	}
	server.Start()
	defer server.Close()
	found(t, open(t, keyset.Config{JWKSURL: server.URL}), "k1", "ES256", oldKey)
	<-closed
}

// Not even one whose TLS handshake never comes to an end.
func TestCloseEndsHandshake(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s := open(t, keyset.Config{Issuer: "https://" + listener.Addr().String()})
	go func() { _, _ = s.Keys(t.Context(), poptest.KeyID, "ES256") }()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s.Close()
	if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
}

// RS-180: each way in which the issuer can break is the server's own trouble. Nothing was ever loaded here.
func TestUnavailable(t *testing.T) {
	for _, c := range []struct {
		name    string
		breakIt func(*poptest.IssuerServer)
		cause   error
	}{
		{"down", (*poptest.IssuerServer).Close, keyset.ErrFetch},
		{"500", func(i *poptest.IssuerServer) { i.SetFailing(true) }, keyset.ErrFetch},
		{"500 for the keys", func(i *poptest.IssuerServer) {
			i.LimitTo(poptest.JWKSPath)
			i.SetFailing(true)
		}, keyset.ErrFetch},
		{"too large", func(i *poptest.IssuerServer) {
			i.LimitTo(poptest.JWKSPath)
			i.SetPadding(1 << 20)
		}, keyset.ErrTooLarge},
		{"metadata too large", func(i *poptest.IssuerServer) { i.SetPadding(1 << 20) }, keyset.ErrTooLarge},
		{"no JSON", func(i *poptest.IssuerServer) { i.SetRawJWKS([]byte("<html>")) }, keyset.ErrSet},
		{"no usable key", func(i *poptest.IssuerServer) { i.SetRawJWKS([]byte(`{"keys":[{"kty":"AKP"}]}`)) }, keyset.ErrSet},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := poptest.NewIssuerServer(t)
			c.breakIt(i)
			s := discovered(t, i)
			refused(t, s, poptest.KeyID, "ES256", keyset.ErrUnavailable, c.cause)
			refused(t, s, "", "ES256", keyset.ErrUnavailable, c.cause)
		})
	}
}

func TestSizeBelowTheCap(t *testing.T) {
	i := poptest.NewIssuerServer(t)
	i.SetPadding(1<<20 - 1000)
	found(t, discovered(t, i), poptest.KeyID, "ES256", poptest.IssuerKey())
}

func TestRedirects(t *testing.T) {
	chain := func(i *poptest.IssuerServer, hops int) string {
		for n := range hops - 1 {
			i.Handle("/hop"+string(rune('1'+n)), http.RedirectHandler("/hop"+string(rune('2'+n)), http.StatusFound))
		}
		i.Handle("/hop"+string(rune('0'+hops)), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(poptest.JWKS(map[string]*poptest.Key{poptest.KeyID: poptest.IssuerKey()}))
		}))
		return "/hop1"
	}
	plain := poptest.NewPlainIssuerServer(t)
	for _, c := range []struct {
		name     string
		start    func(testing.TB) *poptest.IssuerServer
		location func(*poptest.IssuerServer) string
		insecure bool
		cause    error
	}{
		{name: "https to https", location: func(i *poptest.IssuerServer) string { return chain(i, 1) }},
		{name: "three", location: func(i *poptest.IssuerServer) string { return chain(i, 3) }},
		{name: "http to http on loopback", start: poptest.NewPlainIssuerServer,
			location: func(*poptest.IssuerServer) string { return plain.URL() + poptest.JWKSPath }},

		{name: "four", location: func(i *poptest.IssuerServer) string { return chain(i, 4) }, cause: keyset.ErrRedirect},
		{name: "in a circle", cause: keyset.ErrRedirect,
			location: func(*poptest.IssuerServer) string { return poptest.JWKSPath }},
		{name: "https to http on loopback", cause: keyset.ErrRedirect,
			location: func(*poptest.IssuerServer) string { return plain.URL() + "/secret" }},
		{name: "https to http, http allowed", insecure: true, cause: keyset.ErrRedirect,
			location: func(*poptest.IssuerServer) string { return plain.URL() + "/secret" }},
		{name: "http to https", start: poptest.NewPlainIssuerServer, cause: keyset.ErrRedirect,
			location: func(*poptest.IssuerServer) string { return "https://login.example.com/keys" }},
		{name: "http on loopback to http elsewhere", start: poptest.NewPlainIssuerServer, cause: keyset.ErrRedirect,
			location: func(*poptest.IssuerServer) string { return "http://login.example.com/keys" }},
		{name: "to a file", cause: keyset.ErrRedirect,
			location: func(*poptest.IssuerServer) string { return "file:///etc/passwd" }},
		{name: "to a URL with a user name", cause: keyset.ErrRedirect,
			location: func(i *poptest.IssuerServer) string {
				return strings.Replace(i.URL(), "https://", "https://a:b@", 1) + "/secret"
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := poptest.NewIssuerServer
			if c.start != nil {
				start = c.start
			}
			i := start(t)
			i.LimitTo(poptest.JWKSPath)
			i.SetRedirect(c.location(i))
			s := open(t, keyset.Config{Issuer: i.URL(), HTTPClient: i.Client(), InsecureAllowHTTP: c.insecure})
			if c.cause == nil {
				found(t, s, poptest.KeyID, "ES256", poptest.IssuerKey())
				return
			}
			refused(t, s, poptest.KeyID, "ES256", keyset.ErrUnavailable, c.cause)
			if n := i.FetchesOf("/secret") + plain.FetchesOf("/secret"); n != 0 {
				t.Fatalf("a refused redirect was followed %d times", n)
			}
		})
	}
}

// The user's client is not changed, and its own rule for redirects counts too.
func TestUserClient(t *testing.T) {
	i := poptest.NewIssuerServer(t)
	client := i.Client()
	s := open(t, keyset.Config{Issuer: i.URL(), HTTPClient: client})
	if client.CheckRedirect != nil {
		t.Fatal("the user's client was changed")
	}
	found(t, s, poptest.KeyID, "ES256", poptest.IssuerKey())

	i.Handle("/moved", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("followed") }))
	i.SetRedirect("/moved")
	never := errors.New("never redirected")
	strict := *client
	strict.CheckRedirect = func(*http.Request, []*http.Request) error { return never }
	refused(t, open(t, keyset.Config{JWKSURL: i.URL() + poptest.JWKSPath, HTTPClient: &strict}),
		poptest.KeyID, "ES256", keyset.ErrUnavailable, never)
}

// RS-133: neither kid nor alg ever becomes part of a request.
func TestHeaderIsNotSent(t *testing.T) {
	var asked []string
	watch := transport(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		asked = append(asked, r.URL.String()+string(body))
		return answer(http.StatusOK, jwks(t, jwk(poptest.IssuerKey(), nil))), err
	})
	s := open(t, keyset.Config{JWKSURL: "https://login.example.com/keys", HTTPClient: &http.Client{Transport: watch}})
	refused(t, s, "../../kid?a=https://evil.example", "ES256", keyset.ErrUnknownKey)
	if len(asked) != 1 || asked[0] != "https://login.example.com/keys" {
		t.Fatalf("asked for %q", asked)
	}
}

// transport answers requests in the process, so that synctest's clock can move.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	return f(r)
}

func answer(status int, body []byte) *http.Response {
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(string(body))),
	}
}

// stuck is a body that never comes.
type stuck struct{ context.Context }

func (s stuck) Read([]byte) (int, error) { <-s.Done(); return 0, s.Err() }
func (s stuck) Close() error             { return nil }

// One fetch takes five seconds at the most, metadata included.
func TestTimeout(t *testing.T) {
	const issuer = "https://login.example.com"
	for _, c := range []struct {
		name  string
		serve transport
	}{
		{"no answer", func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}},
		{"no body", func(r *http.Request) (*http.Response, error) {
			a := answer(http.StatusOK, nil)
			a.Body = stuck{r.Context()}
			return a, nil
		}},
		{"metadata in four seconds, keys in four more", func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(4 * time.Second):
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
			if r.URL.Path == poptest.JWKSPath {
				return answer(http.StatusOK, jwks(t, jwk(poptest.IssuerKey(), nil))), nil
			}
			return answer(http.StatusOK, []byte(`{"issuer":"`+issuer+`","jwks_uri":"`+issuer+poptest.JWKSPath+`"}`)), nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, keyset.Config{Issuer: issuer, HTTPClient: &http.Client{Transport: c.serve}})
				start := time.Now()
				refused(t, s, "", "ES256", keyset.ErrUnavailable, keyset.ErrFetch, context.DeadlineExceeded)
				if took := time.Since(start); took != 5*time.Second {
					t.Fatalf("gave up after %v", took)
				}
			})
		})
	}
}

// A place that hangs leaves half of the five seconds to the next, in the order that is set.
func TestDiscoveryHangs(t *testing.T) {
	const issuer = "https://login.example.com"
	const oauth, openID = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"
	for _, c := range []struct {
		name        string
		openIDFirst bool
		hangs       string
		body        bool // it is the body that hangs
		asked       []string
		took        time.Duration
	}{
		{"nobody", false, "", false, []string{oauth}, 0},
		{"nobody, OpenID Connect first", true, "", false, []string{openID}, 0},
		{"RFC 8414", false, oauth, false, []string{oauth, openID}, 2500 * time.Millisecond},
		{"RFC 8414, in the body", false, oauth, true, []string{oauth, openID}, 2500 * time.Millisecond},
		{"RFC 8414, OpenID Connect first", true, oauth, false, []string{openID}, 0},
		{"OpenID Connect first", true, openID, false, []string{openID, oauth}, 2500 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked []string
				serve := transport(func(r *http.Request) (*http.Response, error) {
					if r.URL.Path == poptest.JWKSPath {
						return answer(http.StatusOK, jwks(t, jwk(poptest.IssuerKey(), nil))), nil
					}
					asked = append(asked, r.URL.Path)
					a := answer(http.StatusOK, []byte(`{"issuer":"`+issuer+`","jwks_uri":"`+issuer+poptest.JWKSPath+`"}`))
					if r.URL.Path == c.hangs && c.body {
						a.Body = stuck{r.Context()}
					} else if r.URL.Path == c.hangs {
						<-r.Context().Done()
						return nil, r.Context().Err()
					}
					return a, nil
				})
				s := open(t, keyset.Config{Issuer: issuer, OpenIDFirst: c.openIDFirst, HTTPClient: &http.Client{Transport: serve}})
				start := time.Now()
				found(t, s, "", "ES256", poptest.IssuerKey())
				if took := time.Since(start); took != c.took || !slices.Equal(asked, c.asked) {
					t.Errorf("asked %q, found after %v", asked, took)
				}
			})
		})
	}
}

// RFC 8259 §8.1: a byte order mark in front is skipped, one, in metadata and key set alike.
func TestByteOrderMark(t *testing.T) {
	const issuer, mark = "https://login.example.com", "\ufeff"
	for marks, want := range map[string]error{"": nil, mark: nil, mark + mark: jose.ErrJSON, " " + mark: jose.ErrJSON} {
		serve := transport(func(r *http.Request) (*http.Response, error) {
			body := jwks(t, jwk(poptest.IssuerKey(), nil))
			if r.URL.Path != poptest.JWKSPath {
				body = []byte(`{"issuer":"` + issuer + `","jwks_uri":"` + issuer + poptest.JWKSPath + `"}`)
			}
			return answer(http.StatusOK, append([]byte(marks), body...)), nil
		})
		for _, c := range []keyset.Config{{Issuer: issuer}, {JWKSURL: issuer + poptest.JWKSPath}} {
			c.HTTPClient = &http.Client{Transport: serve}
			s := open(t, c)
			if want != nil {
				refused(t, s, "", "ES256", keyset.ErrUnavailable, want)
				continue
			}
			found(t, s, "", "ES256", poptest.IssuerKey())
		}
	}
}

// A hostile issuer takes neither memory nor time: what never ends is given up, with our own client too.
func TestNeverEnding(t *testing.T) {
	for _, c := range []struct {
		name  string
		head  string // what is sent first
		again string // and then for ever
		cause error
		text  string
	}{
		{"head", "HTTP/1.1 200 OK\r\n", "X-More: " + strings.Repeat("x", 1000) + "\r\n", keyset.ErrFetch, "exceeded 65536 bytes"},
		{"line of a head", "HTTP/1.1 200 OK\r\nX-More: ", strings.Repeat("x", 1000), keyset.ErrFetch, "exceeded 65536 bytes"},
		{"status line", "HTTP/1.1 200 ", strings.Repeat("x", 1000), keyset.ErrFetch, "exceeded 65536 bytes"},
		{"interim answers", "", "HTTP/1.1 103 Early Hints\r\nLink: " + strings.Repeat("x", 1000) + "\r\n\r\n", keyset.ErrFetch, "exceeded 65536 bytes"},
		{"body", "HTTP/1.1 200 OK\r\n\r\n", strings.Repeat(" ", 1000), keyset.ErrTooLarge, "1048576"},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "3e8\r\n" + strings.Repeat(" ", 1000) + "\r\n", keyset.ErrTooLarge, "1048576"},
		{"extension of a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;", strings.Repeat("x", 1000), keyset.ErrFetch, "header line too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var sent atomic.Int64
			var serving sync.WaitGroup
			serving.Go(func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					if _, err = http.ReadRequest(bufio.NewReader(conn)); err == nil {
						_, err = conn.Write([]byte(c.head))
					}
					for err == nil {
						var n int
						n, err = conn.Write([]byte(c.again))
						sent.Add(int64(n))
					}
					conn.Close()
				}
			})
			t.Cleanup(func() { listener.Close(); serving.Wait() })
			s := open(t, keyset.Config{JWKSURL: "http://" + listener.Addr().String() + "/keys"})
			refused(t, s, "", "ES256", keyset.ErrUnavailable, c.cause)
			if _, err := s.Keys(t.Context(), "", "ES256"); !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v", err)
			}
			if n := sent.Load(); n > 16<<20 { // what the sockets hold included
				t.Errorf("%d octets were taken", n)
			}
		})
	}
}

// A redirect's password does not reach the log, though net/http quotes the Location as it came.
func TestNoPasswordInErrors(t *testing.T) {
	i := poptest.NewIssuerServer(t)
	i.SetRedirect("https://a:hidden@login.example.com/")
	s := open(t, keyset.Config{JWKSURL: i.URL() + poptest.JWKSPath, HTTPClient: i.Client()})
	_, err := s.Keys(t.Context(), "", "ES256")
	if !errors.Is(err, keyset.ErrRedirect) || strings.Contains(err.Error(), "hidden") {
		t.Fatal(err)
	}
}
