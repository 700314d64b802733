package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/setting"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/reason"
)

// explain is one run of the command: a request, and the server whose Guard it is shown to.
type explain struct {
	method, proofFile, certFile string
	token                       tokenFlag

	metadata                  string
	origin, issuer, audience  string
	jwks                      string
	scope, algs               string
	typeJWT, bearer, required bool
	nonceSecret               string
	lifetime                  time.Duration
	at                        string
	asJSON                    bool

	r       *http.Request
	proof   *shownJWT
	shown   *shownJWT // the token
	now     time.Time
	notes   []string // what was assumed
	keyless bool
}

func explainCommand() *cobra.Command {
	var e explain
	command := &cobra.Command{
		Use:   "explain [flags] [URL]",
		Short: "Say what is in a request, and what each check says of it",
		Long: `Says what is in a request, pasted as it goes over the wire or as curl -v shows
it, or made of URL, --proof-file and --token-file, and what each check says.
Nothing is sent anywhere, but for a --metadata or --jwks that asks for it.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return e.run(command.Context(), command.InOrStdin(), command.OutOrStdout(), args)
		},
	}
	e.define(command.Flags())
	jsonFlag(command, &e.asJSON)
	return command
}

func (e *explain) define(f *pflag.FlagSet) {
	f.StringVarP(&e.method, "request", "X", "GET", "the `method`, with a URL")
	f.StringVar(&e.proofFile, "proof-file", "", "the proof, in a `file`; - is stdin")
	e.token.define(f, "the access token, in a `file`; - is stdin")
	f.StringVar(&e.certFile, "cert", "", "the client's certificate, PEM, in a `file`")
	f.StringVar(&e.metadata, "metadata", "", "what the API publishes, RFC 9728: `file or URL`")
	f.StringVar(&e.origin, "origin", "", "the API's public `origin`")
	f.StringVar(&e.issuer, "issuer", "", "the issuer that it trusts, a `URL`")
	f.StringVar(&e.audience, "audience", "", "the `identifier` of the API in tokens")
	f.StringVar(&e.jwks, "jwks", "", "the issuer's keys: `file or URL`, or discover")
	f.StringVar(&e.scope, "scope", "", "the `scopes` that the route demands")
	f.StringVar(&e.algs, "algs", "", "the `algorithms` of proofs, with commas")
	f.BoolVar(&e.typeJWT, "accept-jwt", false, "tokens of typ JWT are accepted")
	f.BoolVar(&e.bearer, "allow-bearer", false, "unbound tokens are accepted")
	f.BoolVar(&e.required, "require-nonce", false, "a nonce is demanded")
	f.StringVar(&e.nonceSecret, "nonce-secret-file", "", "the `file` with the secret of nonces")
	f.DurationVar(&e.lifetime, "max-lifetime", access.DefaultMaxTokenLifetime, "of tokens")
	f.StringVar(&e.at, "at", "", "the `time` of the request, RFC 3339, or iat")
}

// run reads the request, shows it to a Guard with the server's settings, and prints what came of it.
func (e *explain) run(ctx context.Context, stdin io.Reader, out io.Writer, args []string) error {
	if err := e.read(stdin, args); err != nil {
		return err
	}
	if err := e.settle(ctx); err != nil {
		return err
	}
	refusal, err := e.decide(ctx)
	if err != nil {
		return err
	}
	report := e.report(refusal)
	if e.asJSON {
		err = printJSON(out, report)
	} else {
		err = report.print(out)
	}
	if err != nil || refusal == nil {
		return err
	}
	return no("")
}

// read gets the request.
func (e *explain) read(stdin io.Reader, args []string) (err error) {
	switch {
	case len(args) == 0 && (e.proofFile != "" || e.token.path != ""):
		return errors.New("--proof-file and --token-file need the URL of the request")
	case len(args) == 0:
		if e.r, err = readRequest(stdin); err != nil {
			return err
		}
	case e.proofFile == "" && e.token.path == "":
		return errors.New("a URL needs --proof-file, --token-file or both; a whole request comes without a URL")
	case e.proofFile == "-" && e.token.path == "-":
		return errors.New("the standard input cannot be both token and proof")
	default:
		proof, err := (&tokenFlag{e.proofFile}).read(stdin)
		if err != nil {
			return fmt.Errorf("--proof-file: %w", err)
		}
		token, err := e.token.read(stdin)
		if err != nil {
			return err
		}
		if e.r, err = madeUp(e.method, args[0], token, proof); err != nil {
			return err
		}
	}
	if e.certFile != "" {
		if err := e.readCertificate(); err != nil {
			return err
		}
	}
	_, token := presented(e.r)
	e.shown, e.proof = show(token), show(e.r.Header.Get("DPoP"))
	return nil
}

func (e *explain) readCertificate() error {
	text, err := os.ReadFile(e.certFile)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return fmt.Errorf("--cert: %s has no certificate in PEM", e.certFile)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Errorf("--cert: %w", err)
	}
	e.r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{certificate}}
	return nil
}

// settle completes the settings of the server: by flags, then by its metadata, then by what the request says.
func (e *explain) settle(ctx context.Context) error {
	if err := e.readMetadata(ctx); err != nil {
		return err
	}
	if e.origin == "" {
		e.origin = e.assume("the origin", "--origin", originOf(e.r))
	}
	if e.shown != nil && e.shown.Claims != nil {
		if e.issuer == "" {
			e.issuer = e.assume("the issuer", "--issuer", e.shown.text("iss"))
		}
		if e.audience == "" {
			e.audience = e.assume("the audience", "--audience", e.shown.audience())
		}
	}
	switch at, ok := e.proof.issuedAt(); {
	case e.at == "":
		e.now = time.Now()
	case e.at == "iat" && !ok:
		return errors.New("--at is iat, and the request has no proof that says when it was made")
	case e.at == "iat":
		e.now = at
	default:
		var err error
		if e.now, err = time.Parse(time.RFC3339, e.at); err != nil {
			return fmt.Errorf("--at is %q: give a time such as 2026-01-31T12:00:00Z, or iat for that of the proof", e.at)
		}
	}
	return nil
}

func (e *explain) assume(what, flag, value string) string {
	if value != "" {
		e.notes = append(e.notes, fmt.Sprintf("%s is taken from the request: %s (%s says another)", what, value, flag))
	}
	return value
}

// readMetadata takes what the API publishes of itself (RFC 9728 §2) for what no flag says.
func (e *explain) readMetadata(ctx context.Context) error {
	if e.metadata == "" {
		return nil
	}
	text, err := fileOrURL(ctx, e.metadata)
	if err != nil {
		return fmt.Errorf("--metadata: %w", err)
	}
	var m struct {
		Resource             string   `json:"resource"`
		AuthorizationServers []string `json:"authorization_servers"`
		DPoPAlgorithms       []string `json:"dpop_signing_alg_values_supported"`
	}
	if err := json.Unmarshal(text, &m); err != nil || m.Resource == "" {
		return errors.New("--metadata: that is not the metadata of a protected resource (RFC 9728)")
	}
	resource, err := addressOf(m.Resource)
	if err != nil {
		return errors.New("--metadata: resource is not an address")
	}
	for _, field := range []struct {
		flag  *string
		value string
	}{
		{&e.origin, resource.Scheme + "://" + resource.Host}, {&e.audience, m.Resource},
		{&e.algs, strings.Join(m.DPoPAlgorithms, ",")},
	} {
		if *field.flag == "" {
			*field.flag = field.value
		}
	}
	if e.issuer == "" && len(m.AuthorizationServers) > 0 {
		e.issuer = m.AuthorizationServers[0]
		for _, known := range m.AuthorizationServers {
			if known == e.shown.text("iss") {
				e.issuer = known
			}
		}
	}
	return nil
}

// decide is the Guard's decision, or of a request without a token that of the Verifier.
func (e *explain) decide(ctx context.Context) (refusal error, err error) {
	r := e.r.WithContext(ctx)
	nonces, err := e.nonces()
	if err != nil {
		return nil, err
	}
	var algs []string
	if e.algs != "" {
		algs = strings.Split(e.algs, ",")
	}
	if e.withoutToken() {
		verifier, err := dpop.New(dpop.Config{
			Origins: []string{e.origin}, Algorithms: algs, RequireNonce: e.required, Nonces: nonces,
			InsecureForgetAtStart: true, Now: e.clock,
		})
		if err != nil {
			return nil, err
		}
		defer verifier.Close()
		_, refusal = verifier.Verify(r, "")
		return refusal, nil
	}
	config := access.Config{
		Origins: []string{e.origin}, Algorithms: algs, RequireNonce: e.required, Nonces: nonces, MaxTokenLifetime: e.lifetime,
		Certificates: mtls.FromTLS, InsecureForgetAtStart: true, InsecureAllowBearer: e.bearer,
		Log: slog.New(slog.DiscardHandler), Now: e.clock, Wrap: e.wrap,
	}
	issuer, err := e.trusted(ctx)
	if err != nil {
		return nil, err
	}
	config.Issuers = []access.Issuer{issuer}
	guard, err := access.New(config)
	if err != nil {
		return nil, err
	}
	defer guard.Close()
	_, refusal = guard.Check(r, access.Requirement{Scopes: strings.Fields(e.scope)})
	if told, ok := errors.AsType[*access.Error](refusal); ok && told.Status == http.StatusServiceUnavailable {
		return nil, fmt.Errorf("it could not be decided: %w", told.Err)
	}
	return refusal, nil
}

func (e *explain) clock() time.Time { return e.now }

// withoutToken tells a request to a token endpoint, which has a proof alone.
func (e *explain) withoutToken() bool {
	return e.r.Header["Authorization"] == nil && e.r.Header["Dpop"] != nil
}

func (e *explain) nonces() (dpop.Nonces, error) {
	if e.nonceSecret == "" {
		return dpop.Nonces{InsecureTrustAny: true}, nil
	}
	secret, err := os.ReadFile(e.nonceSecret)
	if err != nil {
		return dpop.Nonces{}, err
	}
	return dpop.Nonces{Secrets: [][]byte{bytes.TrimSuffix(secret, []byte("\n"))}}, nil
}

// trusted is the issuer of the settings. Without its keys a key stands in that verifies nothing.
func (e *explain) trusted(ctx context.Context) (issuer access.Issuer, err error) {
	issuer = access.Issuer{URL: e.issuer, Audience: e.audience, AcceptTypeJWT: e.typeJWT}
	switch e.jwks {
	case "":
	case "discover":
		return issuer, nil
	default:
		if issuer.JWKS, err = fileOrURL(ctx, e.jwks); err != nil {
			err = fmt.Errorf("--jwks: %w", err)
		}
		return issuer, err
	}
	e.keyless = true
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return issuer, err
	}
	signer, err := dpop.NewSigner(key, "")
	if err != nil {
		return issuer, err
	}
	issuer.JWKS = fmt.Appendf(nil, `{"keys":[%s]}`, signer.PublicJWK())
	if issuer.URL == "" {
		issuer.URL, issuer.Audience = "https://issuer.invalid", "https://api.invalid" // of a token that names none
	}
	return issuer, nil
}

// wrap lets a token pass whose signature alone cannot be judged, because there are no keys.
func (e *explain) wrap(validator access.Validator) access.Validator {
	if !e.keyless {
		return validator
	}
	return unsigned{validator}
}

type unsigned struct{ access.Validator }

func (u unsigned) ValidateToken(ctx context.Context, token string) (*access.Token, error) {
	t, err := u.Validator.ValidateToken(ctx, token)
	switch reason.Of(err) {
	case "token_key_unknown", "token_signature_invalid", "token_key_alg_mismatch":
		_, rest, _ := strings.Cut(token, ".")
		payload, _, _ := strings.Cut(rest, ".")
		claims, err := base64.RawURLEncoding.DecodeString(payload)
		if err != nil {
			return nil, err
		}
		return access.NewToken(json.RawMessage(claims))
	}
	return t, err
}

// originOf is the origin that a request seems to be made to.
func originOf(r *http.Request) string {
	if u, err := url.Parse(r.RequestURI); err == nil && u.Host != "" {
		return u.Scheme + "://" + u.Host
	}
	if r.URL.Scheme != "" {
		return r.URL.Scheme + "://" + r.Host
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	if setting.Loopback(host) {
		return "http://" + r.Host
	}
	return "https://" + r.Host
}

// fileOrURL reads a document that the user has named.
func fileOrURL(ctx context.Context, name string) ([]byte, error) {
	if !strings.HasPrefix(name, "https://") && !strings.HasPrefix(name, "http://") {
		return os.ReadFile(name)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, name, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", setting.Address(name), response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, maxPasted))
}
