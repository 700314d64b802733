package conformance

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Profile says how exact an answer must be.
type Profile string

// The profiles.
const (
	// Base takes every answer that the RFCs leave open, such as 400 for a refused proof; a failure of a SHOULD is a
	// warning.
	Base Profile = "base"
	// Strict wants the status and the code that fit best, and what the RFCs say SHOULD be done.
	Strict Profile = "strict"
	// FAPI2 is Base with the clauses of the FAPI 2.0 Security Profile for resource servers.
	FAPI2 Profile = "fapi2"
)

// Options are the settings of a run. URL and Issuer are enough, and in process Issuer alone; every zero value is
// ready for use.
type Options struct {
	// URL is the main resource: any method, any path below it, needs a bound token. In process a path; empty
	// means "/resource".
	URL string
	// Endpoints are further resources by name, each a URL, or a path on the server of URL; see README.md. Without
	// one its cases are skipped.
	Endpoints map[string]string
	// Origin is the public origin that the server knows itself by, for all endpoints. Empty means that of each
	// endpoint's URL, in process "https://api.example.com".
	Origin string
	// Audience is what aud holds in tokens. Empty means Origin.
	Audience string
	// Issuer signs the tokens. Required unless Tokens is set.
	Issuer *Issuer
	// Tokens gets tokens from a real authorization server. The cases that need wrong tokens are then skipped.
	Tokens TokenSource
	// Claims are put into every token beside the usual ones, for servers that want more.
	Claims map[string]any

	// Profile says how exact an answer must be. Empty means Base.
	Profile Profile
	// Groups and Only choose cases by group and by ID. Empty means all.
	Groups, Only []string
	// Lacks names what the server does not claim, as README.md lists it; such cases are listed as skipped.
	Lacks []string
	// Algorithms are the accepted algorithms of proofs. Nil takes those of the server's challenge.
	Algorithms []string
	// Slow also runs the cases that wait for the clock. With Advance none of them waits.
	Slow bool

	// RootCAs are the authorities of the server's certificate. Nil means those of the system.
	RootCAs *x509.CertPool
	// InsecureTLS accepts any certificate of the server. For servers under test only.
	InsecureTLS bool
	// HTTP2 sends everything over HTTP/2, by ALPN over TLS and with prior knowledge without. What HTTP/2 cannot carry is
	// listed as skipped.
	HTTP2 bool
	// Shuffle is the seed of another order of the cases. Zero means the order of CASES.md.
	Shuffle uint64
	// Flood is how many good requests stand between a proof and its replay, in the cases that ask what a memory forgets
	// by number. Zero means 2000; negative leaves these cases out.
	Flood int
	// Timeout bounds one request. Zero means ten seconds.
	Timeout time.Duration
	// Quick is what counts as a quick answer, for the cases that ask for one. Zero means two seconds.
	Quick time.Duration
	// WarmUp is how long a server may ask for nonces only because it has just started. After that the suite takes
	// it that nonces are demanded always. Zero means 15 seconds; negative does not wait. A server that no longer
	// asks is given up to a minute until it also takes proofs that are older than its start.
	WarmUp time.Duration
	// Now is the server's clock. Nil means [time.Now].
	Now func() time.Time
	// Advance moves the server's clock. Nil waits instead.
	Advance func(time.Duration)
	// Effects counts how often the server's handlers have run. Nil does not look.
	Effects func() int64
	// Progress hears of each case as it ends. Nil hears nothing.
	Progress io.Writer
}

// endpointNames are the resources beside the main one.
var endpointNames = []string{"nonce", "scope", "fresh", "strong", "bearer", "mtls", "proxied", "certproxy"}

func (o *Options) settle(inProcess bool) error {
	if inProcess {
		o.URL, o.Origin = cmp.Or(o.URL, "/resource"), cmp.Or(o.Origin, "https://api.example.com")
	}
	if o.URL == "" {
		return errors.New(`conformance.Options: URL is empty: give the main resource, such as "http://127.0.0.1:8080/resource"`)
	}
	if (o.Issuer == nil) == (o.Tokens == nil) {
		return errors.New("conformance.Options: set one of Issuer and Tokens")
	}
	if !slices.Contains([]Profile{"", Base, Strict, FAPI2}, o.Profile) {
		return fmt.Errorf("conformance.Options: Profile is %q: give base, strict or fapi2", o.Profile)
	}
	for name := range o.Endpoints {
		if !slices.Contains(endpointNames, name) {
			return fmt.Errorf("conformance.Options: Endpoints has %q: the names are %s", name,
				strings.Join(endpointNames, ", "))
		}
	}
	if err := o.knownNames(); err != nil {
		return err
	}
	o.Profile = cmp.Or(o.Profile, Base)
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	o.Flood = cmp.Or(o.Flood, 2000)
	o.Quick = cmp.Or(o.Quick, 2*time.Second)
	o.WarmUp = cmp.Or(o.WarmUp, 15*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// knownNames refuses names that no case has: a misspelt one would ask nothing, or skip nothing.
func (o *Options) knownNames() error {
	all := names()
	for _, names := range []struct {
		field  string
		given  []string
		known  map[string]bool
		listed string
	}{
		{"Groups", o.Groups, all.groups, "the groups are " + sorted(all.groups)},
		{"Only", o.Only, all.ids, "CASES.md lists the IDs of the cases, and so does --list"},
		{"Lacks", o.Lacks, all.claims, "the names are " + sorted(all.claims)},
	} {
		for _, name := range names.given {
			if !names.known[name] {
				return fmt.Errorf("conformance.Options: %s has %q: %s", names.field, name, names.listed)
			}
		}
	}
	return nil
}

// names are those that the cases have.
var names = sync.OnceValue(func() (n struct{ groups, ids, claims map[string]bool }) {
	n.groups, n.ids, n.claims = map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, c := range questions() {
		n.groups[c.Group], n.ids[c.ID] = true, true
	}
	for _, name := range Claims() {
		n.claims[name] = true
	}
	return n
})

func sorted(names map[string]bool) string {
	return strings.Join(slices.Sorted(maps.Keys(names)), ", ")
}

// endpoint is a resource of the server.
type endpoint struct {
	*url.URL
	origin string // by which the server knows it
}

// resolve makes absolute URLs of the endpoints.
func (o *Options) resolve() (map[string]endpoint, error) {
	main, err := url.Parse(o.URL)
	if err != nil || main.Host == "" || main.Scheme != "http" && main.Scheme != "https" {
		return nil, fmt.Errorf("conformance.Options: URL is %q: give an http or https URL", o.URL)
	}
	all := map[string]endpoint{}
	add := func(name string, u *url.URL) {
		all[name] = endpoint{u, strings.TrimRight(cmp.Or(o.Origin, u.Scheme+"://"+u.Host), "/")}
	}
	add("", main)
	o.Audience = cmp.Or(o.Audience, all[""].origin)
	for name, text := range o.Endpoints {
		u, err := main.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("conformance.Options: Endpoints[%s] is %q: give a URL or a path", name, text)
		}
		add(name, u)
	}
	return all, nil
}
