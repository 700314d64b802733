package access

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sync/singleflight"

	"github.com/senderlock/senderlock/internal/cache"
	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/keyset"
	"github.com/senderlock/senderlock/internal/setting"
	"github.com/senderlock/senderlock/reason"
)

const defaultIntrospectionTimeout = 5 * time.Second

// The bounds of one answer, in octets, of how many are kept with [IntrospectionConfig.CacheFor], and of connections.
const (
	maxIntrospectionAnswer    = 256 << 10
	introspectionCacheEntries = 20_000
	introspectionConnections  = 2 * maxQuestions // no question waits for the connection of another

	// maxQuestions is how many questions are open at once: about tokens that were good a while ago, and about others.
	maxQuestions = 256
	// inactiveFor is for how long it is remembered that the server does not know a token.
	inactiveFor = 10 * time.Second
	// goodFor is for how long it is remembered that a token was good.
	goodFor = time.Hour
)

// errBusy means that as many questions are open as may be.
var errBusy = &reason.Trouble{
	Name: "introspection_busy", Part: "introspection", Text: "access: too many questions to the authorization server are open",
}

// IntrospectionConfig holds the settings of an [Introspection].
type IntrospectionConfig struct {
	// Endpoint is the address of introspection at the authorization server. Required.
	Endpoint string
	// Issuer is the identifier of the authorization server. The claim iss of an answer, where there is one, equals
	// it; without one it is taken as said. Required.
	Issuer string
	// Audience is the identifier of this resource server, which the claim aud of an answer contains. Required.
	Audience string
	// AcceptNoAudience accepts answers without aud, which many servers give. Every active token of the server is then
	// good here, unless the server answers by who is asking.
	AcceptNoAudience bool
	// TokenLifetime is for how long the server's tokens live, for answers without iat: it is then taken to be exp
	// less this. Without it, answers with neither iat nor nbf are refused, and where tokens can be taken back
	// ([Config].Revocation) those without iat. Set it only if all of the server's tokens live no longer.
	TokenLifetime time.Duration

	// ClientID is this resource server's name at the authorization server. Required, unless AccessToken is set without
	// SignedAnswers.
	ClientID string
	// ClientSecret authenticates this resource server, in the Authorization field (client_secret_basic).
	ClientSecret string
	// SecretInBody sends ClientSecret in the body (client_secret_post).
	SecretInBody bool
	// Key authenticates this resource server in place of ClientSecret (private_key_jwt, RFC 7523).
	Key crypto.Signer
	// KeyAlgorithm is the JWS algorithm of Key, one of those that [dpop.Algorithms] lists. Required with Key.
	KeyAlgorithm string
	// KeyID is the kid of Key. Empty sends none.
	KeyID string
	// KeyAudience is the audience of the assertions made with Key. Empty means Issuer.
	KeyAudience string
	// Certificate authenticates this resource server in place of ClientSecret, by mutual TLS (RFC 8705 §2): that of an
	// [mtls.KeyPair] is read again when it is renewed. It is for the connections of HTTPClient too, whose Transport is nil
	// or an *http.Transport then.
	Certificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
	// AccessToken authenticates this resource server in place of ClientSecret, by an access token of its own that it sends
	// as a bearer (RFC 7662 §2.1). It is called for each question, at once too, so it keeps the token while that is good.
	// Its error is our own trouble.
	AccessToken func(context.Context) (string, error)

	// SignedAnswers demands that answers are JWTs signed by the issuer (RFC 9701). Its keys are found as those of an
	// [Issuer]: by JWKSURL, as JWKS, or by discovery.
	SignedAnswers bool
	// JWKSURL is the address of the issuer's keys, for SignedAnswers.
	JWKSURL string
	// JWKS is the issuer's key set as JSON, if it never changes, for SignedAnswers.
	JWKS []byte

	// CacheFor keeps an answer about an active token for so long, and no longer than until its exp. A token that is
	// taken back at the server is then accepted here for as long. Zero asks every time; five minutes is the most.
	CacheFor time.Duration
	// MaxSize is the largest token in octets that is asked about. Zero means 16 KiB.
	MaxSize int
	// Timeout is for how long a question may take. Zero means five seconds; a minute is the most.
	Timeout time.Duration
	// HTTPClient asks. It is copied and keeps its Transport; no redirect is followed. Nil means one of ours, with
	// 512 connections at most, 256 of them for tokens that were good a while ago, so that a flood of tokens does not become
	// one of the authorization server. One of yours that has fewer lets a flood hold up the others.
	HTTPClient *http.Client
	// InsecureAllowHTTP permits an Endpoint on http that is not on this machine.
	InsecureAllowHTTP bool
	// Log hears of keys that cannot be fetched. Nil means [slog.Default].
	Log *slog.Logger
	// Now is the clock. Nil means [time.Now].
	Now func() time.Time
}

// Introspection is a [Validator] that asks the authorization server about each token (RFC 7662): for opaque tokens,
// and for JWTs that only their issuer may judge. Make one with [NewIntrospection]; its methods are safe for concurrent
// use. Close it when done.
//
// A token's cnf is honoured as that of a JWT, whatever token_type the answer gives: a token that is bound and called
// Bearer is still held to its binding. No proof is sent to the server; the Guard judges it. The answer has to carry
// exp; see TokenLifetime for iat.
//
// Whoever sends a token makes it ask. So the open questions are bounded, and beyond that a request is answered with 503
// at once; a token that the server does not know is not asked about again for ten seconds; and tokens that were good a
// while ago have a bound of their own, so that a flood of others does not touch them.
type Introspection struct {
	config IntrospectionConfig // complete
	client http.Client
	// asking counts the open questions: about strangers, and about tokens that were good before.
	asking   [2]atomic.Int64
	inactive *cache.Cache[time.Time] // until when a token is known to be inactive
	good     *cache.Cache[struct{}]  // tokens that were active when last asked about
	keys     *keyset.Set
	answers  *cache.Cache[answer]
	flight   singleflight.Group
}

// answer is what the server said of an active token.
type answer struct {
	token *Token
	until time.Time
}

// NewIntrospection checks the settings. Its error names the field and what to put there. It asks nothing of the network.
func NewIntrospection(config IntrospectionConfig) (*Introspection, error) {
	i := &Introspection{config: config}
	if err := i.settle(); err != nil {
		_ = i.Close()
		return nil, fmt.Errorf("access.IntrospectionConfig: %w", err)
	}
	return i, nil
}

func (i *Introspection) settle() (err error) {
	if i.config.Now == nil {
		i.config.Now = time.Now
	}
	endpoint, err := url.Parse(i.config.Endpoint)
	switch {
	case err != nil || endpoint.Host == "" || endpoint.User != nil || endpoint.Fragment != "":
		return fmt.Errorf("Endpoint is %s: give the address of introspection, such as %q", setting.Address(i.config.Endpoint), "https://login.example.com/introspect")
	case endpoint.Scheme != "https" && (endpoint.Scheme != "http" || !i.config.InsecureAllowHTTP && !setting.Loopback(endpoint.Hostname())):
		return fmt.Errorf("Endpoint is %s: tokens are sent there, so give an https address, or set InsecureAllowHTTP to send them in the clear", setting.Address(i.config.Endpoint))
	case i.config.Issuer == "":
		return errors.New(`Issuer is empty: give the identifier of the authorization server, such as "https://login.example.com"`)
	case i.config.Audience == "":
		return errors.New(`Audience is empty: give the identifier of this resource server, such as "https://api.example.com"`)
	case i.config.TokenLifetime < 0:
		return fmt.Errorf("TokenLifetime is %v: give for how long tokens live, or zero to demand iat", i.config.TokenLifetime)
	case !i.config.SignedAnswers && (i.config.JWKSURL != "" || i.config.JWKS != nil):
		return errors.New("JWKSURL or JWKS is set without SignedAnswers: no signature would be asked for; set SignedAnswers, or leave them empty")
	}
	if err := i.settleClient(); err != nil {
		return err
	}
	if err := setting.Between("Timeout", &i.config.Timeout, defaultIntrospectionTimeout, time.Millisecond, time.Minute); err != nil {
		return err
	}
	if err := setting.Between("MaxSize", &i.config.MaxSize, defaultMaxTokenSize, 512, 1<<20); err != nil {
		return err
	}
	if err := setting.Between("CacheFor", &i.config.CacheFor, 0, 0, 5*time.Minute); err != nil {
		return err
	}
	i.client = http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxConnsPerHost: introspectionConnections, MaxIdleConnsPerHost: 64,
		IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
	}}
	if i.config.HTTPClient != nil {
		i.client = *i.config.HTTPClient
	}
	if i.config.Certificate != nil {
		if err := i.settleCertificate(endpoint.Scheme); err != nil {
			return err
		}
	}
	// Another address would get the token, and our credentials with it.
	i.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if i.inactive, err = cache.New[time.Time](introspectionCacheEntries); err != nil {
		return err
	}
	if i.good, err = cache.New[struct{}](introspectionCacheEntries); err != nil {
		return err
	}
	if i.config.CacheFor > 0 {
		if i.answers, err = cache.New[answer](introspectionCacheEntries); err != nil {
			return err
		}
	}
	if i.config.SignedAnswers {
		i.keys, err = keyset.New(keyset.Config{
			Issuer: i.config.Issuer, JWKSURL: i.config.JWKSURL, JWKS: i.config.JWKS,
			HTTPClient: i.config.HTTPClient, InsecureAllowHTTP: i.config.InsecureAllowHTTP, Now: i.config.Now, Log: i.config.Log,
		})
	}
	return err
}

func (i *Introspection) settleClient() error {
	ways := 0
	for _, set := range []bool{
		i.config.ClientSecret != "", i.config.Key != nil, i.config.Certificate != nil, i.config.AccessToken != nil,
	} {
		if set {
			ways++
		}
	}
	switch {
	case i.config.ClientID == "" && (i.config.AccessToken == nil || i.config.SignedAnswers):
		return errors.New("ClientID is empty: give this resource server's name at the authorization server")
	case ways == 0 || i.config.SecretInBody && i.config.ClientSecret == "":
		return errors.New("ClientSecret, Key, Certificate and AccessToken are empty: give one of them; the endpoint answers nobody else (RFC 7662 §2.1)")
	case ways > 1:
		return errors.New("two of ClientSecret, Key, Certificate and AccessToken are set: give one way to authenticate")
	case i.config.Key == nil && (i.config.KeyAlgorithm != "" || i.config.KeyID != "" || i.config.KeyAudience != ""):
		return errors.New("Key is nil beside KeyAlgorithm, KeyID or KeyAudience: give the key")
	case i.config.Key == nil:
		return nil
	}
	if i.config.KeyAudience == "" {
		i.config.KeyAudience = i.config.Issuer
	}
	if _, err := i.assertion(); err != nil {
		return fmt.Errorf("Key does not sign with KeyAlgorithm %q: %w", i.config.KeyAlgorithm, err)
	}
	return nil
}

// settleCertificate makes the client show the certificate.
func (i *Introspection) settleCertificate(scheme string) error {
	if scheme != "https" {
		return errors.New("Certificate is set and Endpoint is not https: no certificate would be shown")
	}
	var transport *http.Transport
	switch theirs := i.client.Transport.(type) {
	case nil:
		transport = http.DefaultTransport.(*http.Transport).Clone()
	case *http.Transport:
		transport = theirs.Clone()
	default:
		return errors.New("Certificate is set and HTTPClient has a Transport of another kind: give an *http.Transport, or let it show the certificate")
	}
	if transport.TLSClientConfig == nil {
		transport.TLSClientConfig = &tls.Config{}
	}
	transport.TLSClientConfig.GetClientCertificate = i.config.Certificate
	i.client.Transport = transport
	return nil
}

// Close releases what NewIntrospection made. It may be called more than once.
func (i *Introspection) Close() error {
	if i.inactive != nil {
		i.inactive.Close()
	}
	if i.good != nil {
		i.good.Close()
	}
	if i.answers != nil {
		i.answers.Close()
	}
	if i.config.HTTPClient == nil || i.config.Certificate != nil {
		i.client.CloseIdleConnections()
	}
	if i.keys != nil {
		return i.keys.Close()
	}
	return nil
}

// Issuers returns the identifier of the authorization server.
func (i *Introspection) Issuers() []string { return []string{i.config.Issuer} }

// ValidateToken asks the authorization server about a token. Requests with one token at the same time share one
// question. The errors are the causes of this package, [ErrTokenInactive] for what the server does not know, and
// [ErrUnavailable] when it does not answer as it should; that our own credentials are refused there is among them.
func (i *Introspection) ValidateToken(ctx context.Context, token string) (*Token, error) {
	// Anybody may send a token, and the authorization server would get up to three times its size.
	if err := sized(token, i.config.MaxSize); err != nil {
		return nil, err
	}
	key := jose.Hash(token)
	if i.answers != nil {
		if a, ok := i.answers.Get(key); ok && i.config.Now().Before(a.until) {
			return a.token, nil
		}
	}
	if until, ok := i.inactive.Get(key); ok && i.config.Now().Before(until) {
		return nil, ErrTokenInactive
	}
	// Not in the context of this request: others wait for the answer too.
	question := i.flight.DoChan(key, func() (any, error) {
		alone, cancel := context.WithTimeout(context.WithoutCancel(ctx), i.config.Timeout)
		defer cancel()
		var t *Token
		err := guarded("HTTPClient or Key", func() (err error) { // here nobody else would catch it
			t, err = i.introspect(alone, key, token)
			return err
		})
		i.learn(key, err)
		return t, err
	})
	got, err := await(ctx, question, i.config.Timeout, errIntrospection)
	t, _ := got.(*Token)
	return t, err
}

// learn remembers which tokens the server knows.
func (i *Introspection) learn(key string, err error) {
	switch {
	case err == nil:
		i.good.Add(key, struct{}{}, goodFor)
	case errors.Is(err, ErrTokenInactive):
		i.inactive.Add(key, i.config.Now().Add(inactiveFor), inactiveFor)
	}
}

// introspect asks the server, reads its answer and keeps it.
func (i *Introspection) introspect(ctx context.Context, key, token string) (t *Token, err error) {
	_, known := i.good.Get(key)
	open := &i.asking[map[bool]int{false: 0, true: 1}[known]]
	if open.Add(1) > maxQuestions {
		open.Add(-1)
		return nil, errBusy
	}
	defer open.Add(-1)
	body, err := i.post(ctx, token)
	if err == nil && i.config.SignedAnswers {
		body, err = i.open(ctx, body)
	}
	if errors.Is(err, ErrTokenInactive) {
		return nil, err
	}
	if err != nil {
		return nil, errIntrospection.Because(fmt.Errorf("introspection: %w", err))
	}
	if t, err = i.readAnswer(body); err != nil {
		return nil, err
	}
	if i.answers != nil {
		until := i.config.Now().Add(i.config.CacheFor)
		if t.Expiry.Before(until) {
			until = t.Expiry
		}
		i.answers.Add(key, answer{t, until}, until.Sub(i.config.Now()))
	}
	return t, nil
}

// readAnswer makes a token of an answer (RFC 7662 §2.2).
func (i *Introspection) readAnswer(body jsontext.Value) (*Token, error) {
	var said struct {
		Active    *bool  `json:"active"`
		TokenType string `json:"token_type"`
	}
	if err := jose.Object(body, &said); err != nil {
		return nil, errIntrospection.Because(fmt.Errorf("introspection: %w", err))
	}
	switch {
	case said.Active == nil:
		return nil, errIntrospection.Because(errors.New("introspection: the answer has no active"))
	case !*said.Active:
		return nil, ErrTokenInactive
	}
	var claims claimSet
	if err := jose.Object(body, &claims); err != nil {
		return nil, tokenCause(err)
	}
	switch {
	case claims.Issuer != "" && claims.Issuer != i.config.Issuer:
		return nil, ErrTokenIssuer.With(i.config.Issuer, claims.Issuer)
	case len(claims.Audience) == 0 && !i.config.AcceptNoAudience,
		len(claims.Audience) > 0 && !slices.Contains(claims.Audience, i.config.Audience):
		return nil, ErrTokenAudience.With(i.config.Audience, strings.Join(claims.Audience, " "))
	}
	t, err := claims.token(body)
	if err != nil {
		return nil, tokenCause(err)
	}
	// A token that is bound, but to we know not what, must not pass as one that is not bound at all.
	if strings.EqualFold(said.TokenType, string(schemeDPoP)) && t.Confirmation.JKT == "" {
		return nil, ErrConfirmation.With("cnf.jkt beside token_type DPoP", "")
	}
	t.Issuer = i.config.Issuer
	if t.IssuedAt.IsZero() && i.config.TokenLifetime > 0 && !t.Expiry.IsZero() {
		t.IssuedAt = t.Expiry.Add(-i.config.TokenLifetime)
	}
	return t, nil
}

const (
	jsonType   = "application/json"
	signedType = "application/token-introspection+jwt" // RFC 9701 §4
)

// post sends the question and returns the body of the answer.
func (i *Introspection) post(ctx context.Context, token string) ([]byte, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	authorization, err := i.authenticate(ctx, form)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, i.config.Endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	want := jsonType
	if i.config.SignedAnswers {
		want = signedType
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", want)
	response, err := i.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden { // RFC 7662 §2.3
		return nil, fmt.Errorf("%s refuses %s, with %s", setting.Address(i.config.Endpoint), i.credentials(), response.Status)
	}
	if response.StatusCode == http.StatusBadRequest && i.notAToken(response) {
		return nil, ErrTokenInactive.With("a token that the authorization server issues", "another form")
	}
	if got, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); response.StatusCode != http.StatusOK || got != want {
		return nil, fmt.Errorf("%s answers %s with %q, want 200 with %q", setting.Address(i.config.Endpoint), response.Status, got, want)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxIntrospectionAnswer+1))
	if len(body) > maxIntrospectionAnswer {
		err = fmt.Errorf("%s answers with more than %d octets", setting.Address(i.config.Endpoint), maxIntrospectionAnswer)
	}
	return body, err
}

// notAToken reports whether a 400 of the server says that the token, and nothing else, is at fault: some servers answer
// so for what is no token of theirs (RFC 7009 §2.2.1). Every other 400 is about our question, or about us.
func (i *Introspection) notAToken(response *http.Response) bool {
	if response.Header.Values("WWW-Authenticate") != nil {
		return false
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxIntrospectionAnswer))
	var said struct {
		Error string `json:"error"`
	}
	if err != nil || jose.Object(text, &said) != nil {
		return false
	}
	switch said.Error {
	case "unsupported_token_type":
		return true
	case "invalid_token": // may be our own, where we ask by one (RFC 6750 §3.1)
		return i.config.AccessToken == nil
	default:
		return false
	}
}

// credentials says for the log by what we ask.
func (i *Introspection) credentials() string {
	if i.config.AccessToken != nil {
		return "our access token"
	}
	return fmt.Sprintf("our credentials, those of client %q", i.config.ClientID)
}
