package keyset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"

	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/setting"
)

// The bounds of one fetch. The time covers metadata, redirects and key set together.
const (
	fetchTimeout = 5 * time.Second
	maxAnswer    = 1 << 20
	maxRedirects = 3
	maxHeader    = 64 << 10
)

// source is where a key set is published.
type source struct {
	client *http.Client
	own    bool // client is not the user's
	allow  scheme

	jwksURL  string // empty: discovery
	issuer   *url.URL
	name     string   // the issuer identifier as configured
	metadata []string // where its metadata may be, in the order of trying
	ofMany   bool     // the metadata is that of many tenants
}

func transportOf(c *http.Client) http.RoundTripper {
	if c == nil {
		return nil
	}
	return c.Transport
}

func newSource(c Config) (*source, error) {
	s := &source{own: c.HTTPClient == nil, jwksURL: c.JWKSURL, name: c.Issuer, ofMany: c.MetadataURL != ""}
	switch {
	case c.FoundAtRunTime:
		s.allow = httpsAlone
	case c.InsecureAllowHTTP:
		s.allow = anyHTTP
	}
	s.client = s.limited(c.HTTPClient)
	if c.FoundAtRunTime && !c.InsecurePrivateAddresses {
		transport, err := publicly(transportOf(c.HTTPClient))
		if err != nil {
			return nil, err
		}
		s.client.Transport, s.own = transport, true
	}
	if c.JWKSURL != "" {
		if _, err := parseURL(c.JWKSURL, s.allow); err != nil {
			return nil, fmt.Errorf("JWKSURL: %w: give the https URL of the issuer's key set", err)
		}
		return s, nil
	}
	u, err := parseURL(c.Issuer, s.allow)
	if err == nil && strings.Contains(c.Issuer, "?") {
		err = errors.New("a query") // RFC 8414 §2
	}
	if err != nil {
		return nil, fmt.Errorf("issuer identifier: %w: give an https URL, or set JWKSURL or JWKS", err)
	}
	s.issuer = u
	if s.ofMany {
		if _, err := parseURL(c.MetadataURL, s.allow); err != nil {
			return nil, fmt.Errorf("MetadataURL: %w: give the https URL of the metadata", err)
		}
		s.metadata = []string{c.MetadataURL}
		return s, nil
	}
	origin, path := u.Scheme+"://"+u.Host, strings.TrimSuffix(u.EscapedPath(), "/")
	s.metadata = []string{
		origin + "/.well-known/oauth-authorization-server" + path,
		origin + path + "/.well-known/openid-configuration",
	}
	if c.OpenIDFirst {
		slices.Reverse(s.metadata)
	}
	return s, nil
}

// limited returns a copy of c, or a client of our own, that follows only the redirects we permit.
func (s *source) limited(c *http.Client) *http.Client {
	var client http.Client
	if c != nil {
		client = *c
	} else {
		client.Transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			MaxResponseHeaderBytes: maxHeader,
		}
	}
	theirs := client.CheckRedirect
	client.CheckRedirect = func(next *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return ErrRedirect.With(fmt.Sprintf("at most %d redirects", maxRedirects), next.URL.Redacted())
		}
		if next.URL.Scheme != via[0].URL.Scheme {
			return ErrRedirect.With("the scheme "+via[0].URL.Scheme, next.URL.Redacted())
		}
		if err := permitted(next.URL, s.allow); err != nil {
			return ErrRedirect.With("a permitted URL", next.URL.Redacted()).Because(err)
		}
		if theirs != nil {
			return theirs(next, via)
		}
		return nil
	}
	return &client
}

// fetch returns the key set as it is published now.
func (s *source) fetch(ctx context.Context) (*document, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	if s.own {
		// The next fetch is minutes away. This also ends dials and handshakes that outlive their request.
		defer s.client.CloseIdleConnections()
	}
	location := s.jwksURL
	if location == "" {
		var err error
		if location, err = s.discover(ctx); err != nil {
			return nil, err
		}
	}
	return s.get(ctx, location)
}

// discover returns the jwks_uri of the first usable metadata document.
func (s *source) discover(ctx context.Context) (string, error) {
	var failures []error
	for i, location := range s.metadata {
		uri, err := s.tryMetadata(ctx, location, len(s.metadata)-i)
		if err == nil {
			return uri, nil
		}
		failures = append(failures, err)
	}
	return "", errors.Join(failures...)
}

// tryMetadata reads the first of so many places that are left. One that does not answer leaves the others their share
// of the time.
func (s *source) tryMetadata(ctx context.Context, location string, left int) (string, error) {
	deadline, _ := ctx.Deadline()
	ctx, cancel := context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
	defer cancel()
	return s.readMetadata(ctx, location)
}

func (s *source) readMetadata(ctx context.Context, location string) (string, error) {
	answer, err := s.get(ctx, location)
	if err != nil {
		return "", err
	}
	var metadata struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := jose.Object(answer.body, &metadata); err != nil {
		return "", ErrMetadata.Because(err)
	}
	// RFC 8414 §3.3; without it one tenant of a host could speak for another.
	if !s.speaksFor(metadata.Issuer) {
		return "", ErrMetadata.With("issuer "+s.name, metadata.Issuer)
	}
	u, err := parseURL(metadata.JWKSURI, s.allow)
	if err == nil && u.Scheme != "https" && s.issuer.Scheme == "https" && s.allow != anyHTTP {
		err = errors.New("http, named over https")
	}
	if err != nil {
		return "", ErrMetadata.With("a permitted jwks_uri", metadata.JWKSURI).Because(err)
	}
	return metadata.JWKSURI, nil
}

// placeholder is what stands in the place of a tenant.
var placeholder = regexp.MustCompile(`\{[A-Za-z0-9_-]+\}`)

// speaksFor reports whether said, of metadata or of a key, names the issuer: in what is published for many tenants also
// by one placeholder, for one segment of a path or one label of a host.
func (s *source) speaksFor(said string) bool {
	if said == s.name {
		return true
	}
	at := placeholder.FindAllStringIndex(said, 2)
	if !s.ofMany || len(at) != 1 {
		return false
	}
	tenant, ok := strings.CutPrefix(s.name, said[:at[0][0]])
	if ok {
		tenant, ok = strings.CutSuffix(tenant, said[at[0][1]:])
	}
	return ok && tenant != "" && !strings.ContainsFunc(tenant, notOfATenant)
}

func notOfATenant(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

// document is what an issuer publishes.
type document struct {
	body   []byte
	header http.Header
}

// byteOrderMark is what some editors put before a text. RFC 8259 §8.1 lets a reader ignore it.
var byteOrderMark = []byte("\ufeff")

func (s *source) get(ctx context.Context, location string) (*document, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, location, nil)
	if err != nil {
		return nil, ErrFetch.Because(err)
	}
	request.Header.Set("Accept", "application/json, application/jwk-set+json")
	response, err := s.client.Do(request)
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // the wrapper quotes a redirect's Location, password and all
	}
	if err != nil {
		return nil, ErrFetch.With("200 from "+setting.Address(location), "").Because(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, ErrFetch.With("200 from "+setting.Address(location), response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, ErrFetch.Because(err)
	}
	if len(body) > maxAnswer {
		return nil, ErrTooLarge.With(fmt.Sprintf("at most %d octets from %s", maxAnswer, setting.Address(location)), "more")
	}
	return &document{bytes.TrimPrefix(body, byteOrderMark), response.Header}, nil
}

// lifetime returns for how long the document may be used without asking again (RFC 9111 §5.2.2), and false when it
// does not say.
func (d *document) lifetime() (time.Duration, bool) {
	// It is older than structured fields, but what issuers send is one, once in lower case.
	field := strings.ToLower(strings.Join(d.header.Values("Cache-Control"), ","))
	directives, err := httpsfv.UnmarshalDictionary([]string{field})
	if err != nil {
		return 0, false
	}
	for _, name := range []string{"no-store", "no-cache"} {
		if _, ok := directives.Get(name); ok {
			return 0, true
		}
	}
	member, _ := directives.Get("max-age")
	if item, ok := member.(httpsfv.Item); ok {
		seconds, ok := item.Value.(int64)
		return time.Duration(min(seconds, maxSeconds)) * time.Second, ok
	}
	return 0, false
}

// maxSeconds keeps a duration from overflowing; a year is more than anything here waits.
const maxSeconds = 365 * 24 * 60 * 60
