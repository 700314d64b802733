package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/anynonce"
	"github.com/senderlock/senderlock/internal/explain"
	"github.com/senderlock/senderlock/internal/privatefile"
	"github.com/senderlock/senderlock/internal/setting"
	"github.com/senderlock/senderlock/mtls"
)

// explainer is one run of the command: a request, and the server whose Guard it is shown to.
type explainer struct {
	method, proofFile, certFile string
	token                       tokenFlag

	metadata                  string
	origin, issuer, audience  string
	jwks                      string
	opaque                    string
	scope, algs               string
	typeJWT, bearer, required bool
	nonceSecret               string
	lifetime                  time.Duration
	at                        string
	asJSON                    bool

	r     *http.Request
	proof *explain.JWT
	shown *explain.JWT // the token
	now   time.Time

	answer *explain.Answer // about the token

	notes []string // what was assumed
}

func explainCommand() *cobra.Command {
	var e explainer
	command := &cobra.Command{
		Use:   "explain [flags] [URL]",
		Short: "Say what is in a request, and what each check says of it",
		Long: `Says what is in a request, pasted (curl -v too) or made of URL and files, and
what each check says. Nothing is sent, but for --metadata and --jwks with a URL.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return e.run(command.Context(), command.InOrStdin(), command.OutOrStdout(), args)
		},
	}
	e.define(command.Flags())
	jsonFlag(command, &e.asJSON)
	return command
}

func (e *explainer) define(f *pflag.FlagSet) {
	f.StringVarP(&e.method, "request", "X", "GET", "the `method`, with a URL")
	f.StringVar(&e.proofFile, "proof-file", "", "the proof, in a `file`; - is stdin")
	e.token.define(f, "the access token, in a `file`; - is stdin")
	f.StringVar(&e.certFile, "cert", "", "the client's certificate, PEM, in a `file`")
	f.StringVar(&e.metadata, "metadata", "", "what the API publishes, RFC 9728: `file or URL`")
	f.StringVar(&e.origin, "origin", "", "the API's public `origin`")
	f.StringVar(&e.issuer, "issuer", "", "the issuer that it trusts, a `URL`")
	f.StringVar(&e.audience, "audience", "", "the `identifier` of the API in tokens")
	f.StringVar(&e.jwks, "jwks", "", "the issuer's keys: `file or URL`, or discover")
	f.StringVar(&e.opaque, "opaque", "", "`answer` of introspection, a file, or unknown")
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
func (e *explainer) run(ctx context.Context, stdin io.Reader, out io.Writer, args []string) error {
	if err := e.read(stdin, args); err != nil {
		return err
	}
	if err := e.settle(ctx); err != nil {
		return err
	}
	report, err := e.judge(ctx)
	if err != nil {
		return err
	}
	if e.asJSON {
		err = printJSON(out, report)
	} else {
		err = printReport(out, report)
	}
	if err != nil || report.Verdict.Accepted {
		return err
	}
	return no("")
}

// read gets the request.
func (e *explainer) read(stdin io.Reader, args []string) (err error) {
	switch {
	case len(args) == 0 && (e.proofFile != "" || e.token.path != ""):
		return errors.New("--proof-file and --token-file need the URL of the request")
	case len(args) == 0:
		e.r, err = explain.ReadRequest(stdin)
		if errors.Is(err, explain.ErrEmpty) {
			return errors.New("there is nothing on the standard input: paste a request, or give the URL and --proof-file")
		}
		if err != nil {
			return fmt.Errorf("the standard input: %w", err)
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
	_, token := explain.Presented(e.r)
	e.shown, e.proof = explain.Show(token), explain.Show(e.r.Header.Get("DPoP"))
	return nil
}

func (e *explainer) readCertificate() error {
	text, err := os.ReadFile(e.certFile)
	if err != nil {
		return err
	}
	if err := explain.WithCertificate(e.r, text); err != nil {
		return fmt.Errorf("--cert: %s: %w", e.certFile, err)
	}
	return nil
}

// settle completes the settings of the server: by flags, then by its metadata, then by what the request says.
func (e *explainer) settle(ctx context.Context) error {
	if err := e.readMetadata(ctx); err != nil {
		return err
	}
	if err := e.readAnswer(); err != nil {
		return err
	}
	if e.origin == "" {
		e.origin = e.assume("the origin", "--origin", explain.OriginOf(e.r))
	}
	if e.shown != nil && e.shown.Claims != nil {
		if e.issuer == "" {
			e.issuer = e.assume("the issuer", "--issuer", e.shown.Text("iss"))
		}
		if e.audience == "" {
			e.audience = e.assume("the audience", "--audience", e.shown.Audience())
		}
	}
	switch at, ok := e.proof.IssuedAt(); {
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

// readAnswer takes what the issuer answers about an opaque token. Nobody is asked.
func (e *explainer) readAnswer() error {
	if e.opaque == "" || e.opaque == "unknown" {
		return nil
	}
	text, err := os.ReadFile(e.opaque)
	if err != nil {
		return fmt.Errorf("--opaque: %w", err)
	}
	e.answer = explain.ReadAnswer(text)
	if e.issuer == "" && e.answer.Issuer != "" {
		e.issuer = e.assume("the issuer", "--issuer", e.answer.Issuer)
	}
	if e.audience == "" && e.answer.Audience != "" {
		e.audience = e.assume("the audience", "--audience", e.answer.Audience)
	}
	return nil
}

func (e *explainer) assume(what, flag, value string) string {
	if value != "" {
		e.notes = append(e.notes, fmt.Sprintf("%s is taken from the request: %s (%s says another)", what, value, flag))
	}
	return value
}

// readMetadata takes what the API publishes of itself (RFC 9728 §2) for what no flag says.
func (e *explainer) readMetadata(ctx context.Context) error {
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
			if known == e.shown.Text("iss") {
				e.issuer = known
			}
		}
	}
	return nil
}

// flagOf is the flag by which a step can be judged that is not.
var flagOf = map[string]string{explain.StepNonce: "--nonce-secret-file", explain.StepSignature: "--jwks"}

// judge shows the request to the server of the settings.
func (e *explainer) judge(ctx context.Context) (*explain.Report, error) {
	s := explain.Server{Need: access.Requirement{Scopes: strings.Fields(e.scope)}, Keyless: e.jwks == "", Opaque: e.opaque != "", Answer: e.answer}
	s.Config = access.Config{
		Origins: []string{e.origin}, RequireNonce: e.required, MaxTokenLifetime: e.lifetime,
		Certificates: mtls.FromTLS, InsecureAllowBearer: e.bearer, Now: e.clock,
	}
	var err error
	if s.Config.Nonces, err = e.nonces(); err != nil {
		return nil, err
	}
	if e.algs != "" {
		s.Config.Algorithms = strings.Split(e.algs, ",")
	}
	report, err := e.shownTo(ctx, s)
	if err != nil {
		return nil, err
	}
	report.Notes = e.notes
	for i := range report.Steps {
		if o := &report.Steps[i]; o.Result == explain.NotJudged {
			o.Why += ": " + cmp.Or(flagOf[o.Text], "--opaque")
		}
	}
	return report, nil
}

func (e *explainer) shownTo(ctx context.Context, s explain.Server) (*explain.Report, error) {
	if e.withoutToken() {
		return s.JudgeProof(ctx, e.r)
	}
	issuer, err := e.trusted(ctx)
	if err != nil {
		return nil, err
	}
	s.Config.Issuers = []access.Issuer{issuer}
	return s.Judge(ctx, e.r)
}

func (e *explainer) clock() time.Time { return e.now }

// withoutToken tells a request to a token endpoint, which has a proof alone.
func (e *explainer) withoutToken() bool {
	return e.r.Header["Authorization"] == nil && e.r.Header["Dpop"] != nil
}

// maxNonceSecret bounds a secret of nonces in octets.
const maxNonceSecret = 4 << 10

func (e *explainer) nonces() (dpop.Nonces, error) {
	if e.nonceSecret == "" {
		return dpop.Nonces{Secrets: [][]byte{anynonce.Secret}}, nil
	}
	secret, err := privatefile.Read(e.nonceSecret, maxNonceSecret)
	if err != nil {
		return dpop.Nonces{}, fmt.Errorf("--nonce-secret-file: %w", err)
	}
	return dpop.Nonces{Secrets: [][]byte{bytes.TrimSuffix(secret, []byte("\n"))}}, nil
}

// trusted is the issuer of the settings, with its keys if there are any.
func (e *explainer) trusted(ctx context.Context) (access.Issuer, error) {
	issuer := access.Issuer{URL: e.issuer, Audience: e.audience, AcceptTypeJWT: e.typeJWT}
	if e.jwks == "" || e.jwks == "discover" {
		return issuer, nil
	}
	var err error
	if issuer.JWKS, err = fileOrURL(ctx, e.jwks); err != nil {
		return issuer, fmt.Errorf("--jwks: %w", err)
	}
	return issuer, nil
}

// madeUp is the request that flags describe.
func madeUp(method, address, token, proof string) (*http.Request, error) {
	u, err := addressOf(address)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequest(method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	r.RequestURI = u.RequestURI()
	if token != "" && proof == "" {
		r.Header.Set("Authorization", "Bearer "+token)
	} else if token != "" {
		r.Header.Set("Authorization", "DPoP "+token)
	}
	if proof != "" {
		r.Header.Set("DPoP", proof)
	}
	return r, nil
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
	return io.ReadAll(io.LimitReader(response.Body, explain.MaxRequest))
}
