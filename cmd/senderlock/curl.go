package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/codeflow"
	"github.com/senderlock/senderlock/examples/session"
	"github.com/senderlock/senderlock/internal/setting"
	"github.com/senderlock/senderlock/internal/terminal"
	"github.com/senderlock/senderlock/mtls"
)

// curl is one run of the command: a request as curl's flags describe it, and where its token comes from.
type curl struct {
	target *url.URL
	login  login
	sender sender

	method    string
	header    http.Header
	body      body
	head      bool
	follow    bool
	authority string
	cert      certificate
	maxTime   float64

	include, silent, showError, fail, verbose bool

	output string
	stdin  io.Reader
	out    io.Writer
	said   io.Writer
}

func curlCommand() *cobra.Command {
	c := curl{header: http.Header{}}
	command := &cobra.Command{
		Use:   "curl [flags] URL",
		Short: "Send a request with token and proof, in the manner of curl",
		Long: `Sends a request with an access token and a proof for it, and again where the
server asks for a nonce. The token comes from --token-file, from the issuer by
--client-secret-file, or from a login with the browser, which is kept. With
--cert but no --key, that of --token-file is bound to the certificate alone.

Of curl's flags there are -X -d --data-raw --data-binary --json -T -H -A -i -I
-L -o -f -s -S -v -m --cacert -E --cert, with what they mean there.`,
		Args: oneURL,
	}
	command.RunE = func(command *cobra.Command, args []string) error {
		c.stdin, c.out, c.said = command.InOrStdin(), command.OutOrStdout(), command.ErrOrStderr()
		err := c.run(command.Context(), args[0])
		if c.silent && !c.showError {
			command.Root().SetErr(io.Discard)
		}
		return err
	}
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	c.login.define(own)
	own.StringVar(&c.cert.key, "cert-key", "", "the private key of --cert, in a `file`")
	command.Flags().AddFlagSet(own)
	c.define(command.Flags())
	command.SetUsageFunc(func(command *cobra.Command) error {
		_, err := fmt.Fprintf(command.OutOrStderr(), "Usage: %s\n\n%s", command.UseLine(), own.FlagUsagesWrapped(80))
		return err
	})
	return command
}

// define adds the flags of curl.
func (c *curl) define(f *pflag.FlagSet) {
	f.StringVarP(&c.method, "request", "X", "", "the `method`")
	f.FuncP("data", "d", "form `data`, or @file; several are joined by &", c.body.form)
	f.Func("data-raw", "form `data`, also if it begins with @", c.body.raw)
	f.Func("data-binary", "form `data`, or @file as it is", c.body.binary)
	f.Func("json", "JSON `data`, or @file", c.body.json)
	f.StringVarP(&c.body.upload, "upload-file", "T", "", "the `file` to PUT; - is the standard input")
	f.FuncP("header", "H", "a `field` of the request's header", c.addField)
	f.FuncP("user-agent", "A", "the `name` of this program", func(name string) error { c.header.Set("User-Agent", name); return nil })
	f.BoolVarP(&c.include, "include", "i", false, "print the answer's header too")
	f.BoolVarP(&c.head, "head", "I", false, "ask for the header alone")
	f.BoolVarP(&c.follow, "location", "L", false, "follow redirects within the API")
	f.StringVarP(&c.output, "output", "o", "", "the `file` for the answer")
	f.BoolVarP(&c.fail, "fail", "f", false, "end with 1 when the status is 400 or more")
	f.BoolVarP(&c.silent, "silent", "s", false, "say nothing")
	f.BoolVarP(&c.showError, "show-error", "S", false, "say what failed even with -s")
	f.BoolVarP(&c.verbose, "verbose", "v", false, "say what is sent and answered, without secrets")
	f.Float64VarP(&c.maxTime, "max-time", "m", 0, "how many `seconds` the whole may take")
	f.StringVarP(&c.cert.path, "cert", "E", "", "the client's certificate, PEM, in a `file`, with its key unless there is --cert-key")
	f.StringVar(&c.authority, "cacert", "", "the `file` with the authorities of the API's certificate, PEM")
}

func (c *curl) addField(field string) error {
	name, value, found := strings.Cut(field, ":")
	if !found || name == "" {
		return errors.New("write it as Name: value")
	}
	if name = http.CanonicalHeaderKey(name); name == "Authorization" || name == "Dpop" {
		return errors.New("token and proof come from this program: see --token-file")
	}
	c.header.Add(name, strings.TrimSpace(value))
	return nil
}

// run gets a token, sends the request and prints the answer.
func (c *curl) run(ctx context.Context, text string) error {
	var err error
	if c.target, err = addressOf(text); err != nil {
		return err
	}
	if c.target.Scheme == "http" && !setting.Loopback(c.target.Hostname()) {
		return fmt.Errorf("the URL is one of http://%s: use https (http is for this machine alone)", c.target.Host)
	}
	if c.login.token.path == "-" && c.body.readsStdin() {
		return errors.New("the standard input cannot be both token and body")
	}
	if err := c.cert.check(c.target); err != nil {
		return err
	}
	if c.maxTime < 0 {
		return fmt.Errorf("--max-time is %v: give a number of seconds", c.maxTime)
	}
	if c.maxTime > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(c.maxTime*float64(time.Second)))
		defer cancel()
	}
	r, err := c.request(ctx)
	if err != nil {
		return err
	}
	base, err := c.base()
	if err != nil {
		return err
	}
	api := session.OriginOf(c.target)
	if c.cert.path != "" && c.login.token.path != "" && c.login.key.path == "" {
		token, err := c.login.token.read(c.stdin)
		if err != nil {
			return err
		}
		return c.send(bearer{base, token}, func(context.Context, string) error { return nil }, r)
	}
	signer, token, err := c.login.source(ctx, appOf(c.said), api, c.stdin)
	if err != nil {
		return err
	}
	c.sender.thumbprint = signer.Thumbprint()
	transport, err := session.NewTransport(signer, api, token, base)
	if err != nil {
		return err
	}
	return c.send(transport, transport.Prime, r)
}

func (c *curl) request(ctx context.Context) (*http.Request, error) {
	method := c.method
	switch {
	case method != "":
	case c.head:
		method = http.MethodHead
	case c.body.upload != "":
		method = http.MethodPut
	case c.body.parts != nil:
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(ctx, method, c.target.String(), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "senderlock/"+release())
	if err := c.body.set(r, c.stdin); err != nil {
		return nil, err
	}
	for name, values := range c.header {
		r.Header[name] = values
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
		r.Header.Del("Host")
	}
	return r, nil
}

// base sends what the transport has completed.
func (c *curl) base() (http.RoundTripper, error) {
	base := codeflow.Bounded()
	if base.TLSClientConfig == nil {
		base.TLSClientConfig = &tls.Config{}
	}
	if c.authority != "" {
		text, err := os.ReadFile(c.authority)
		if err != nil {
			return nil, err
		}
		authorities := x509.NewCertPool()
		if !authorities.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--cacert: %s has no certificate in PEM", c.authority)
		}
		base.TLSClientConfig.RootCAs = authorities
	}
	if c.cert.path != "" {
		pair, err := c.cert.load()
		if err != nil {
			return nil, err
		}
		base.TLSClientConfig.Certificates = []tls.Certificate{pair}
		c.sender.certificate = &mtls.Certificate{DER: pair.Certificate[0]}
	}
	noted := noting{base, &c.sender}
	if c.verbose {
		return spoken{noted, c.said}, nil
	}
	return noted, nil
}

// send sends the request and prints the answer.
func (c *curl) send(transport http.RoundTripper, prime func(ctx context.Context, address string) error, r *http.Request) error {
	if r.Body != nil && r.GetBody == nil {
		// Such a body can be sent only once, so what the API wants in a proof has to be known before.
		if err := prime(r.Context(), r.URL.String()); err != nil {
			return err
		}
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if c.follow {
		client.CheckRedirect = session.SameOrigin
	}
	response, err := client.Do(r)
	if unknown := (x509.UnknownAuthorityError{}); errors.As(err, &unknown) {
		return fmt.Errorf("%w (--cacert names other authorities)", err)
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	code := dpop.ErrorCode(response) // before the body is printed, in which some say it
	refused := response.StatusCode >= 400
	if !c.fail || !refused {
		if err := c.print(response); err != nil {
			return err
		}
	}
	if to, err := response.Location(); err == nil && c.follow && response.StatusCode/100 == 3 {
		return no(fmt.Sprintf("it leads to %s, and the request is for the API alone", to))
	}
	if !refused {
		return nil
	}
	if !c.silent {
		c.explain(response, code)
	}
	if c.fail {
		return no("the API answers " + response.Status)
	}
	return nil
}

// print prints the answer: its header without control characters, its body as it came.
func (c *curl) print(response *http.Response) error {
	out := c.out
	if c.output != "" && c.output != "-" {
		file, err := os.Create(c.output)
		if err != nil {
			return err
		}
		defer file.Close()
		out = file
	}
	if c.include || c.head {
		printHead(terminal.Plain(out), "", response.Proto+" "+response.Status, response.Header)
	}
	_, err := io.Copy(out, response.Body)
	return err
}

// explain says why the API refused.
func (c *curl) explain(response *http.Response, code string) {
	fmt.Fprintln(c.said, response.Status)
	for _, challenge := range response.Header.Values("WWW-Authenticate") {
		fmt.Fprintf(c.said, "WWW-Authenticate: %s\n", challenge)
	}
	if advice := c.advice(response, code); advice != "" {
		fmt.Fprintln(c.said, advice)
	}
}

// spoken says what goes over the wire. Each attempt is one: that with the nonce which the server has asked for too.
type spoken struct {
	base http.RoundTripper
	said io.Writer
}

func (s spoken) RoundTrip(r *http.Request) (*http.Response, error) {
	header := r.Header.Clone()
	header.Set("Host", cmp.Or(r.Host, r.URL.Host))
	printHead(s.said, "> ", r.Method+" "+r.URL.RequestURI(), header)
	response, err := s.base.RoundTrip(r)
	if err == nil {
		printHead(s.said, "< ", response.Proto+" "+response.Status, response.Header)
	}
	return response, err
}

// printHead prints the beginning of a message, with an empty line behind it. Behind a prefix there are no secrets.
func printHead(out io.Writer, prefix, line string, header http.Header) {
	var text strings.Builder
	fmt.Fprintf(&text, "%s%s\n", prefix, line)
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			if prefix != "" && slices.Contains(secretFields, name) {
				value = hidden(value)
			}
			fmt.Fprintf(&text, "%s%s: %s\n", prefix, name, value)
		}
	}
	fmt.Fprintln(&text, strings.TrimSpace(prefix))
	_, _ = io.WriteString(out, text.String()) // the body follows, and its error counts
}

// secretFields are those that let somebody else be the sender, or help to.
var secretFields = []string{"Authorization", "Cookie", "Dpop", "Proxy-Authorization", "Set-Cookie"}

// hidden stands for a secret: it says which scheme there is, and how long it is.
func hidden(value string) string {
	scheme, rest, found := strings.Cut(value, " ")
	if !found || !slices.Contains([]string{"dpop", "bearer", "basic"}, strings.ToLower(scheme)) {
		return fmt.Sprintf("… (%d octets)", len(value))
	}
	return fmt.Sprintf("%s … (%d octets)", scheme, len(rest))
}
