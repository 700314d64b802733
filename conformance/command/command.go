// Package command is the suite as a command: its flags, and what it prints. Two programs are made of it,
// senderlock-conformance and "senderlock conformance". Of what is exported here, only the flags are promised to stay.
package command

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/senderlock/senderlock/conformance"
)

// settings are the flags that are no options of the suite.
type settings struct {
	issuerURL         string
	issuer, ca        string
	issuerCert        string
	issuerKey         string
	issuerCA          string
	explain           string
	junit, json, html string
	list, wait, quiet bool
	offset            time.Duration
	client            conformance.ClientCredentials
	secretFile        string
	endpoints         map[string]string
	groups, only      string
	lacks, algorithms string
	profile           string
}

// The exit codes.
const (
	ok     = 0
	failed = 1
	unable = 2
)

// Main does what the arguments say and returns the exit code: 0 when nothing failed, 1 when something did, and 2 when
// the server could not be asked.
func Main(ctx context.Context, name string, args []string, in io.Reader, out, errs io.Writer) int {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(errs)
	c := New(flags)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return ok
	case err != nil:
		return unable
	case flags.NArg() > 0:
		_, _ = fmt.Fprintf(errs, "%q is no flag: flags begin with a dash, lists have commas and no spaces\n", flags.Arg(0))
		return unable
	}
	passed, err := c.Run(ctx, in, out, errs)
	switch {
	case err != nil:
		_, _ = fmt.Fprintln(errs, err)
		return unable
	case !passed:
		return failed
	}
	return ok
}

// Command is one run of the suite, as its flags say.
type Command struct {
	options  conformance.Options
	settings settings
}

// New makes a Command whose flags are added to flags, and read when these have been parsed.
func New(flags *flag.FlagSet) *Command {
	c := new(Command)
	define(flags, &c.options, &c.settings)
	return c
}

// Run asks the server and prints the report to out, and progress to errs. It reports whether nothing failed; the error
// says why the server could not be asked.
func (c *Command) Run(ctx context.Context, in io.Reader, out, errs io.Writer) (passed bool, err error) {
	if c.settings.list {
		conformance.List(out)
		return true, nil
	}
	if c.settings.explain != "" {
		return true, conformance.Explain(out, c.settings.explain)
	}
	report, err := run(ctx, &c.options, &c.settings, in, out, errs)
	if err != nil {
		return false, err
	}
	return !report.Failed(), write(report, &c.settings, out)
}

func define(f *flag.FlagSet, o *conformance.Options, s *settings) {
	f.StringVar(&o.URL, "url", "", "the `URL` of the main resource, which needs a bound token")
	s.endpoints = map[string]string{}
	for name, text := range map[string]string{
		"nonce": "demands a nonce", "scope": "needs the scope conformance:write",
		"fresh":  "needs a login of the last five minutes",
		"strong": "needs the acr urn:conformance:strong",
		"bearer": "also takes unbound bearer tokens", "mtls": "is served over TLS that asks for client certificates",
		"certproxy": "takes this machine for a proxy that sends Client-Cert (RFC 9440)",
		"proxied":   "takes this machine for a trusted proxy",
	} {
		f.Func(name+"-url", "the `URL` of a resource that "+text, func(value string) error {
			s.endpoints[name] = value
			return nil
		})
	}
	f.StringVar(&s.issuer, "issuer", "127.0.0.1:9700", "the `address` at which the suite's own issuer listens")
	f.StringVar(&s.issuerURL, "issuer-url", "",
		"the `URL` under which the server reaches the issuer, if not its address")
	f.StringVar(&s.issuerCert, "issuer-cert", "", "the `file` with the issuer's certificate, PEM: it is then served over https")
	f.StringVar(&s.issuerKey, "issuer-key", "", "the `file` with its key, PEM, if not in that of --issuer-cert")
	f.StringVar(&s.issuerCA, "issuer-ca", "",
		"serve the issuer over https with a certificate made now, and write the authority that the server has to trust to this `file`")
	f.StringVar(&o.Origin, "origin", "", "the public origin that the server knows itself by, if not that of --url")
	f.StringVar(&o.Audience, "audience", "", "what aud holds in tokens, if not the origin")
	f.Func("claims", "further claims of every token, a JSON `object`, such as {\"scope\":\"read\"}", func(text string) error {
		return json.Unmarshal([]byte(text), &o.Claims)
	})
	f.StringVar(&s.client.TokenEndpoint, "token-endpoint", "",
		"take tokens from this https `URL` by client credentials, and not from the suite's issuer")
	f.StringVar(&s.client.ClientID, "client-id", "", "the client for --token-endpoint")
	f.StringVar(&s.secretFile, "client-secret-file", "",
		"the `file` with the client's secret; or the variable CLIENT_SECRET")
	f.StringVar(&s.client.Scope, "client-scope", "", "the scope for --token-endpoint")
	f.StringVar(&s.client.Resource, "client-resource", "", "the resource for --token-endpoint (RFC 8707)")
	f.StringVar(&s.profile, "profile", "base", "how exact the answers must be: base, strict or fapi2")
	f.StringVar(&s.groups, "group", "", "only the cases of the groups `a,b`")
	f.StringVar(&s.only, "only", "", "only the cases `a,b`")
	f.StringVar(&s.lacks, "lacks", "",
		"the server does not claim `a,b`: "+strings.Join(conformance.Claims(), ", "))
	f.StringVar(&s.algorithms, "algs", "",
		"the server accepts proofs with `a,b`, if its challenge does not say")
	f.BoolVar(&o.Slow, "slow", false, "also run the cases that wait for the clock, up to 20 minutes each")
	f.BoolVar(&o.HTTP2, "http2", false, "send everything over HTTP/2")
	f.Uint64Var(&o.Shuffle, "shuffle", 0, "ask in another order, that of this `number`")
	f.IntVar(&o.Flood, "flood", 0, "how `many` good requests stand between a proof and its replay: 0 is 2000, -1 asks none")
	f.BoolVar(&o.InsecureTLS, "insecure", false, "accept any certificate of the server")
	f.StringVar(&s.ca, "ca", "", "the `file` with the authorities of the server's certificate, PEM")
	f.DurationVar(&o.Timeout, "timeout", 10*time.Second, "for one request")
	f.DurationVar(&o.WarmUp, "warm-up", 15*time.Second, "how long a server that just started may ask for nonces")
	f.DurationVar(&s.offset, "clock", 0, "how far the server's clock is ahead of this machine's")
	f.BoolVar(&s.wait, "wait", false, "start the issuer and wait for Enter before the first request")
	f.StringVar(&s.junit, "junit", "", "write JUnit XML to this `file`")
	f.StringVar(&s.json, "json", "", "write JSON to this `file`")
	f.StringVar(&s.html, "html", "", "write a page to this `file`")
	f.BoolVar(&s.list, "list", false, "list the cases by group and RFC, and ask nobody")
	f.StringVar(&s.explain, "explain", "", "tell what one `case` asks and why, and ask nobody")
	f.BoolVar(&s.quiet, "quiet", false, "no progress")
}

func run(ctx context.Context, o *conformance.Options, s *settings, in io.Reader, out, errs io.Writer) (*conformance.Report, error) {
	o.Profile, o.Endpoints = conformance.Profile(s.profile), s.endpoints
	o.Groups, o.Only, o.Lacks, o.Algorithms = split(s.groups), split(s.only), split(s.lacks), split(s.algorithms)
	if o.URL == "" {
		return nil, errors.New("--url is missing: give the main resource, such as --url http://127.0.0.1:8080/resource")
	}
	if s.offset != 0 {
		o.Now = func() time.Time { return time.Now().Add(s.offset) }
	}
	if !s.quiet {
		o.Progress = errs
	}
	if s.ca != "" {
		pem, err := os.ReadFile(s.ca)
		if err != nil {
			return nil, err
		}
		o.RootCAs = x509.NewCertPool()
		if !o.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca %s holds no certificate in PEM", s.ca)
		}
	}
	if s.client.TokenEndpoint != "" {
		s.client.Secret = os.Getenv("CLIENT_SECRET")
		if s.secretFile != "" {
			text, err := os.ReadFile(s.secretFile)
			if err != nil {
				return nil, err
			}
			s.client.Secret = strings.TrimSpace(string(text))
		}
		o.Tokens = s.client.Token
		return conformance.RunURL(ctx, *o)
	}
	issuer, err := s.newIssuer()
	if err != nil {
		return nil, err
	}
	defer func() { _ = issuer.Close() }()
	o.Issuer = issuer
	_, _ = fmt.Fprintf(errs, "issuer %s, keys at %s/jwks, introspection at %s/introspect\n", issuer.URL(),
		issuer.URL(), issuer.URL())
	if s.wait {
		_, _ = fmt.Fprint(out, "start the server under test, then press Enter ")
		_, _ = fmt.Fscanln(in)
	}
	return conformance.RunURL(ctx, *o)
}

// newIssuer starts the suite's issuer, over https if there is a certificate for it.
func (s *settings) newIssuer() (*conformance.Issuer, error) {
	c := conformance.IssuerConfig{Address: s.issuer, URL: s.issuerURL}
	switch {
	case s.issuerCert != "" && s.issuerCA != "":
		return nil, errors.New("--issuer-cert and --issuer-ca exclude each other: give a certificate, or have one made")
	case s.issuerCert != "":
		key := s.issuerKey
		if key == "" {
			key = s.issuerCert
		}
		pair, err := tls.LoadX509KeyPair(s.issuerCert, key)
		if err != nil {
			return nil, fmt.Errorf("--issuer-cert %s: %w", s.issuerCert, err)
		}
		c.Certificate = &pair
	case s.issuerCA != "":
		made, ca, err := conformance.NewCertificate(s.issuerHosts()...)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(s.issuerCA, ca, 0o644); err != nil { // everybody may trust it
			return nil, err
		}
		c.Certificate = made
	}
	return conformance.NewIssuer(c)
}

// issuerHosts are the names under which the issuer may be reached.
func (s *settings) issuerHosts() []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if u, err := url.Parse(s.issuerURL); err == nil && u.Hostname() != "" {
		hosts = append(hosts, u.Hostname())
	}
	if host, _, err := net.SplitHostPort(s.issuer); err == nil && host != "" {
		hosts = append(hosts, host)
	}
	return hosts
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func write(r *conformance.Report, s *settings, out io.Writer) error {
	if err := r.WriteTable(out); err != nil {
		return err
	}
	for _, f := range []struct {
		name  string
		write func(io.Writer) error
	}{{s.junit, r.WriteJUnit}, {s.json, r.WriteJSON}, {s.html, r.WriteHTML}} {
		if f.name == "" {
			continue
		}
		file, err := os.Create(f.name)
		if err != nil {
			return err
		}
		if err := errors.Join(f.write(file), file.Close()); err != nil {
			return err
		}
	}
	return nil
}
