package conformance_test

import (
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/conformance"
	"github.com/senderlock/senderlock/internal/mutant"
)

// planted is a defect, and the case that finds it.
type planted struct {
	name, finds string
	config      func(*testing.T) defects // nil: the usual wiring
}

// mutants are the defects that the edits below plant in copies of the sources. All are built in at once, each
// behind a switch, so one build serves them all.
var mutants = []planted{
	{name: "two DPoP fields: the first counts", finds: "field-twice-good-first"},
	{name: "a proof of any size", finds: "proof-huge"},
	{name: "typ is not looked at", finds: "typ-jwt"},
	{name: "the list of algorithms is not looked at", finds: "alg-RS256-not-offered", config: onlyES256},
	{name: "jti may be missing", finds: "claim-no-jti"},
	{name: "claims of any type", finds: "claim-number-jti"},
	{name: "htm in any case", finds: "htm-get-on-GET"},
	{name: "htm is not looked at", finds: "htm-POST-on-GET"},
	{name: "htu is not looked at", finds: "htu-path"},
	{name: "ath is not compared", finds: "ath-other"},
	{name: "ath may be missing", finds: "ath-missing"},
	{name: "nonces are not looked at", finds: "nonce-bad-random"},
	{name: "old proofs pass", finds: "iat-hour-old"},
	{name: "proofs from the future pass", finds: "iat-hour-ahead"},
	{name: "no clock may be ahead", finds: "iat-ok-4-ahead"},
	{name: "a used proof passes", finds: "replay-same"},
	{name: "the claim comes before the checks", finds: "replay-unburned-htu"},
	{name: "one key uses up another's jti", finds: "replay-two-keys"},
	{name: "a jti is remembered with its iat", finds: "replay-new-iat"},
	{name: "the proof's signature is not verified", finds: "signature-other-key"},
	{name: "parts behind the third are ignored", finds: "form-parts-four"},
	{name: "base64 padding passes", finds: "base64-header-pad"},
	{name: "stray bits pass", finds: "base64-signature-stray"},
	{name: "the standard alphabet passes", finds: "base64-payload-standard"},
	{name: "brackets of any depth", finds: "deep"},
	{name: "the last of two members counts", finds: "claim-duplicate-htm-first"},
	{name: "invalid UTF-8 passes", finds: "utf-invalid-payload"},
	{name: "names in any case", finds: "claim-case-htm"},
	{name: "crit is ignored", finds: "crit-unknown"},
	{name: "an empty crit is ignored", finds: "crit-empty"},
	{name: "iat may be a string", finds: "claim-string-iat"},
	{name: "iat must be whole", finds: "iat-ok-fraction"},
	{name: "private keys pass", finds: "private-ec"},
	{name: "use is not looked at", finds: "key-use-enc"},
	{name: "key_ops is not looked at", finds: "key-ops-encrypt"},
	{name: "key_ops must be verify alone", finds: "key-extra-ops-both"},
	{name: "short RSA keys pass", finds: "key-rsa-1024"},
	{name: "the key's own alg is not looked at", finds: "key-alg-other"},
	{name: "the query counts", finds: "htu-ok-query"},
	{name: "paths in any case", finds: "htu-path-case"},
	{name: "a trailing slash does not matter", finds: "htu-trailing-slash"},
	{name: "an encoded slash is a slash", finds: "path-not-slash-raw"},
	{name: "two slashes are one", finds: "path-not-double"},
	{name: "the host's case matters", finds: "htu-ok-host-upper"},
	{name: "the default port matters", finds: "htu-ok-default-port"},
	{name: "encoded letters matter", finds: "path-tilde-encoded"},
	{name: "dot segments in htu stay", finds: "htu-ok-dots"},
	{name: "the host is not compared", finds: "htu-host"},
	{name: "the scheme is not compared", finds: "htu-scheme"},
	{name: "htu may be the beginning of the path", finds: "path-not-parent"},
	{name: "matrix parameters do not matter", finds: "path-not-matrix"},
	{name: "any Host is ours", finds: "host-other"},
	{name: "forwarding fields from anybody count", finds: "forwarded-ignored-X-Forwarded-Host"},
	{name: "the first of two forwarded hosts counts", finds: "proxied-twice"},
	{name: "dot segments in the target are removed", finds: "path-dots-encoded"},
	{name: "the MAC of a nonce is not verified", finds: "nonce-altered"},
	{name: "a nonce never ends", finds: "nonce-expired"},
	{name: "a nonce ends after ten seconds", finds: "nonce-previous"},
	{name: "a nonce is good once", finds: "nonce-many"},
	{name: "two Authorization fields: the first counts", finds: "auth-twice"},
	{name: "the scheme's case matters", finds: "auth-scheme-dpop"},
	{name: "one space behind the scheme", finds: "auth-two-spaces"},
	{name: "any text is a token", finds: "auth-word"},
	{name: "a token in the query as well passes", finds: "query-token-twice"},
	{name: "a bound token is good under Bearer", finds: "bearer-bound"},
	{name: "the key is not compared", finds: "binding-other-key"},
	{name: "an unbound token is good under DPoP", finds: "bearer-unbound-dpop"},
	{name: "the certificate is not compared", finds: "mtls-other"},
	{name: "the certificate may be missing", finds: "mtls-both-no-certificate"},
	{name: "unbound tokens pass", finds: "auth-bearer-unbound"},
	{name: "a cnf that is not understood is none", finds: "bearer-cnf-kid"},
	{name: "expired tokens pass", finds: "token-expired"},
	{name: "tokens without exp pass", finds: "token-exp-missing"},
	{name: "nbf is not looked at", finds: "token-nbf-future"},
	{name: "a longer scope is enough", finds: "scope-longer"},
	{name: "scopes are not looked at", finds: "scope-missing"},
	{name: "auth_time is not looked at", finds: "stepup-old"},
	{name: "a token without auth_time is fresh", finds: "stepup-no-time"},
	{name: "acr is not looked at", finds: "stepup-weak"},
	{name: "the route's nonce is not demanded", finds: "nonce-missing"},
	{name: "a slash behind the issuer does not matter", finds: "token-iss-slash", config: onlyJWT},
	{name: "aud is not looked at", finds: "token-aud-other"},
	{name: "a longer audience is ours", finds: "token-aud-prefix"},
	{name: "typ of tokens is not looked at", finds: "token-typ-jwt"},
	{name: "the token's signature is not verified", finds: "token-signature-flip"},
	{name: "keys that cannot be had are no hindrance", finds: "issuer-down"},
	{name: "our own trouble is 500", finds: "issuer-down"},
	{name: "malformed credentials are 401", finds: "challenge-request-400"},
	{name: "a missing scope is 401", finds: "scope-missing"},
	{name: "challenges have no algs", finds: "challenge-algs"},
	{name: "an error without credentials", finds: "challenge-no-error"},
	{name: "the cause is told to the client", finds: "challenge-repeated-htu"},
	{name: "the error stands on every challenge", finds: "challenge-error-on-bearer"},
	{name: "a nonce is demanded but not given", finds: "nonce-retry"},
	{name: "a nonce may be stored", finds: "nonce-no-store"},
	{name: "browsers may not read the challenge", finds: "challenge-expose"},
	{name: "the scope is not named", finds: "scope-named"},
	{name: "every refusal is invalid_request", finds: "challenge-bad-code"},
	{name: "keys of small order pass", finds: "key-okp-small-order-fits"},
	{name: "a login that has not been is fresh", finds: "stepup-ahead"},
	{name: "introspection's active is not looked at", finds: "introspection-inactive"},
	{name: "introspection's aud is not looked at", finds: "introspection-aud"},
	{name: "introspection's iss is not looked at", finds: "introspection-iss"},
	{name: "introspection: a longer iss is ours", finds: "introspection-iss-longer"},
	{name: "token_type DPoP without cnf is a bearer token", finds: "introspection-type-bearer"},
	{name: "lifetimes of ten minutes are too long", finds: "token-lifetime-14"},
}

func onlyES256(*testing.T) defects {
	return defects{config: algorithms("ES256")}
}

// onlyJWT does not ask anybody about tokens of issuers that are not known.
func onlyJWT(*testing.T) defects {
	return defects{config: func(c *access.Config) { c.Tokens = nil }}
}

var edits = []mutant.Edit{
	{"dpop/proof.go", `case len(fields) > 1:`, `case len(fields) > 1 && !on("two DPoP fields: the first counts"):`},
	{"dpop/proof.go", `case len(fields[0]) > v.config.MaxSize:`,
		`case len(fields[0]) > v.config.MaxSize && !on("a proof of any size"):`},
	{"dpop/proof.go", `case h.Type != "dpop+jwt":`, `case h.Type != "dpop+jwt" && !on("typ is not looked at"):`},
	{"dpop/proof.go", `case !v.allowed(h.Algorithm):`,
		`case !v.allowed(h.Algorithm) && !on("the list of algorithms is not looked at"):`},
	{"dpop/proof.go", `if required.text.value == "" {`,
		`if required.text.value == "" && !(on("jti may be missing") && required.name == "jti") {`},
	{"dpop/proof.go", `	value, err := jose.ReadString(d)`, `	read := jose.ReadString
	if on("claims of any type") {
		read = func(d *jsontext.Decoder) (string, error) {
			token, err := d.ReadToken()
			return token.String(), err
		}
	}
	value, err := read(d)`},
	{"dpop/verify.go", `	"slices"`, `	"slices"
	"strings"`},
	{"dpop/verify.go", `if p.claims.Method.value != r.Method {`,
		`if p.claims.Method.value != r.Method && !on("htm is not looked at") && !(on("htm in any case") && strings.EqualFold(p.claims.Method.value, r.Method)) {`},
	{"dpop/verify.go", `if !at.named(p.claims.Target.value) {`,
		`if !at.named(p.claims.Target.value) && !on("htu is not looked at") {`},
	{"dpop/verify.go", `if token == "" {`, `if token == "" || on("ath may be missing") && !p.claims.TokenHash.set {`},
	{"dpop/verify.go", `[]byte(p.claims.TokenHash.value)) != 1 {`,
		`[]byte(p.claims.TokenHash.value)) != 1 && !on("ath is not compared") {`},
	{"dpop/verify.go", `	if !p.claims.Nonce.set {`, `	if !p.claims.Nonce.set || on("nonces are not looked at") {`},
	{"dpop/proof.go", `return !p.stamp.until.IsZero() }`,
		`return !p.stamp.until.IsZero() || p.claims.Nonce.set && on("nonces are not looked at") }`},
	{"dpop/verify.go", `	if p.HasNonce() {
		p.until = p.stamp.until`, `	if p.HasNonce() && !on("nonces are not looked at") {
		p.until = p.stamp.until`},
	{"dpop/verify.go", `case p.issued.Before(earliest):`,
		`case p.issued.Before(earliest) && !on("old proofs pass"):`},
	{"dpop/verify.go", `case p.issued.After(latest):`,
		`case p.issued.After(latest) && !on("proofs from the future pass") || on("no clock may be ahead") && p.issued.After(now):`},
	{"dpop/verify.go", `p.until = p.issued.Add(v.config.MaxAge).Add(1) // the last instant itself is still good`, `p.until = p.issued.Add(v.config.MaxAge).Add(1)
	if on("old proofs pass") {
		p.until = now.Add(v.config.MaxAge)
	}`},
	{"internal/jose/key.go", `if smallOrder[[ed25519.PublicKeySize]byte(x)] {`,
		`if smallOrder[[ed25519.PublicKeySize]byte(x)] && !on("keys of small order pass") {`},
	{"access/grant.go", `case age < -g.config.Leeway:`, `case age < -g.config.Leeway && !on("a login that has not been is fresh"):`},
	{"dpop/memory.go", `slot := max(slotOf(expiry), slotOf(now.Add(m.Window())))`,
		`slot := max(slotOf(expiry), slotOf(now.Add(m.Window())))
		if on("proofs are remembered for ten seconds") {
			slot = slotOf(now.Add(10 * time.Second))
		}
		if on("a future proof is remembered too briefly") {
			slot = slotOf(now.Add(DefaultMaxAge))
		}`},
	{"dpop/verify.go", `	case !fresh:`,
		`	case !fresh && !on("a used proof passes") && !on("the claim comes before the checks"):`},
	{"dpop/verify.go", `	if err := v.compare(p, r, token); err != nil {`,
		`	if on("the claim comes before the checks") {
		key := NewReplayKey(v.config.Namespace, p.Thumbprint(), p.claims.ID.value)
		if fresh, err := v.config.Replay.Claim(r.Context(), key, v.config.Now().Add(v.config.MaxAge)); err != nil || !fresh {
			return nil, ErrReplayed
		}
	}
	if err := v.compare(p, r, token); err != nil {`},
	{"dpop/verify.go", `	return NewReplayKey(v.config.Namespace, p.Thumbprint(), p.claims.ID.value)`,
		`	return NewReplayKey(v.config.Namespace, either("one key uses up another's jti", "", p.Thumbprint()),
		either("a jti is remembered with its iat", p.claims.ID.value+string(p.claims.IssuedAt), p.claims.ID.value))`},
	{"dpop/proof.go", `if err := p.header.key.VerifyBy(p.tables, p.header.alg, p.compact); err != nil {`,
		`if err := p.header.key.VerifyBy(p.tables, p.header.alg, p.compact); err != nil && !on("the proof's signature is not verified") {`},
	{"internal/jose/jws.go", `	if header == "" || payload == ""`, `	if on("parts behind the third are ignored") {
		signature, _, _ = strings.Cut(signature, ".")
	}
	if header == "" || payload == ""`},
	{"internal/jose/jws.go", `	b, err := strictBase64.DecodeString(part)`, `	if on("base64 padding passes") {
		part = strings.TrimRight(part, "=")
	}
	if on("the standard alphabet passes") {
		part = strings.NewReplacer("+", "-", "/", "_").Replace(part)
	}
	encoding := strictBase64
	if on("stray bits pass") {
		encoding = base64.RawURLEncoding
	}
	b, err := encoding.DecodeString(part)`},
	{"internal/jose/jws.go", `if crowded(raw) {`, `if crowded(raw) && !on("brackets of any depth") {`},
	{"internal/jose/members.go", `d.Reset(&d.text)`, `d.Reset(&d.text, jsontext.AllowDuplicateNames(on("the last of two members counts")),
		jsontext.AllowInvalidUTF8(on("invalid UTF-8 passes")))`},
	{"internal/jose/members.go", `member(name); into`, `member(either("names in any case", bytes.ToLower(name), name)); into`},
	{"internal/jose/jws.go", `case h.Critical != nil:`,
		`case h.Critical != nil && !on("crit is ignored") && !(on("an empty crit is ignored") && string(h.Critical) == "[]"):`},
	{"internal/jose/jws.go", `	if v.Kind() != jsontext.KindNumber`, `	if on("iat may be a string") {
		v = jsontext.Value(strings.Trim(string(v), "\""))
	}
	if on("iat must be whole") && strings.ContainsAny(string(v), ".eE") {
		return time.Time{}, ErrJSON
	}
	if v.Kind() != jsontext.KindNumber`},
	{"internal/jose/key.go", `if j.Private {`, `if bool(j.Private) && !on("private keys pass") {`},
	{"internal/jose/key.go", `if !saysNothing(j.Use) && `, `if !saysNothing(j.Use) && !on("use is not looked at") && `},
	{"internal/jose/key.go", `if !slices.Contains(ops, "verify") {`,
		`if !slices.Contains(ops, "verify") && !on("key_ops is not looked at") || on("key_ops must be verify alone") && len(ops) > 1 {`},
	{"internal/jose/key.go", `bits < MinRSABits || bits > maxBits {`,
		`bits < MinRSABits && !on("short RSA keys pass") || bits > maxBits {`},
	{"internal/jose/verify.go", `if k.alg != "" && k.alg != alg`,
		`if !on("the key's own alg is not looked at") && k.alg != "" && k.alg != alg`},
	{"dpop/uri.go", `	if end := strings.IndexAny(s, "?#"); end >= 0 {`,
		`	if end := strings.IndexAny(s, "?#"); end >= 0 && !on("the query counts") {`},
	{"dpop/uri.go", `	return strings.TrimPrefix(target, u.origin) == u.path`, `	if on("the host is not compared") {
		_, _, rest, _ := splitURI(target)
		return rest == u.path
	}
	if on("the scheme is not compared") {
		_, host, rest, _ := splitURI(target)
		_, own, _, _ := splitURI(u.origin)
		return rest == u.path && host == own
	}
	path, ok := strings.CutPrefix(target, u.origin)
	switch {
	case on("paths in any case"):
		return ok && strings.EqualFold(path, u.path)
	case on("a trailing slash does not matter"):
		return ok && strings.TrimRight(path, "/") == strings.TrimRight(u.path, "/")
	case on("an encoded slash is a slash"):
		return ok && strings.ReplaceAll(path, "%2F", "/") == strings.ReplaceAll(u.path, "%2F", "/")
	case on("two slashes are one"):
		return ok && strings.ReplaceAll(path, "//", "/") == strings.ReplaceAll(u.path, "//", "/")
	case on("htu may be the beginning of the path"):
		return ok && strings.HasPrefix(path, u.path)
	case on("matrix parameters do not matter"):
		path, _, _ = strings.Cut(path, ";")
		return ok && path == u.path
	}
	return strings.TrimPrefix(target, u.origin) == u.path`},
	{"dpop/uri.go", `return strings.ToLower(host), nil`,
		`return either("the host's case matters", host, strings.ToLower(host)), nil`},
	{"dpop/uri.go", `if port == "" || port == defaultPort(scheme) {`,
		`if port == "" || port == defaultPort(scheme) && !on("the default port matters") {`},
	{"dpop/uri.go", `if octets[c] == literal || !encoded`,
		`if octets[c] == literal && !(encoded && on("encoded letters matter")) || !encoded`},
	{"dpop/uri.go", `clean := removeDotSegments(path)`, `clean := path
	if !on("dot segments in htu stay") {
		clean = removeDotSegments(path)
	}`},
	{"dpop/origins.go", `	if public == nil {`, `	if public == nil && on("any Host is ours") {
		return location{joinOrigin("https", host, port), noPrefix, path}, nil
	}
	if public == nil {`},
	{"dpop/origins.go", `if !o.proxies.Believes(r) {`,
		`if !o.proxies.Believes(r) && !on("forwarding fields from anybody count") {`},
	{"dpop/forwarded.go", `if len(values) != 1 || values[0] == "" {`,
		`if len(values) != 1 && !on("the first of two forwarded hosts counts") || values[0] == "" {`},
	{"dpop/origins.go", `	if err != nil || hasDotSegments(path)`,
		`	if on("dot segments in the target are removed") {
		path = removeDotSegments(path)
	}
	if err != nil || hasDotSegments(path)`},
	{"dpop/nonce.go", `s.ours(message, mac, true); !local {`,
		`s.ours(message, mac, true); !local && !on("the MAC of a nonce is not verified") {`},
	{"dpop/nonce.go", `	if !now.Before(until) {`, `	if on("a nonce never ends") {
		until = now.Add(time.Hour)
	}
	if on("a nonce ends after ten seconds") {
		until = issued.Add(10 * time.Second)
	}
	if on("a nonce is good once") && mutant.Again(nonce) {
		return stamp{}, ErrNonceOld
	}
	if !now.Before(until) {`},
	{"access/credentials.go", `case len(fields) > 1:`,
		`case len(fields) > 1 && !on("two Authorization fields: the first counts"):`},
	{"access/credentials.go", `case strings.EqualFold(name, string(schemeDPoP)):`,
		`case strings.EqualFold(name, string(schemeDPoP)) && !(on("the scheme's case matters") && name != "DPoP"):`},
	{"access/credentials.go", `c.token = strings.TrimLeft(rest, " ")`,
		`c.token = either("one space behind the scheme", rest, strings.TrimLeft(rest, " "))`},
	{"access/credentials.go", `!challenge.IsToken68(c.token) {`,
		`!challenge.IsToken68(c.token) && !on("any text is a token") {`},
	{"access/credentials.go", `if tokenInQuery(r.URL) {`,
		`if tokenInQuery(r.URL) && !on("a token in the query as well passes") {`},
	{"access/guard.go", `	var b Binding
`, `	var b Binding
	if on("a bound token is good under Bearer") && used == schemeBearer {
		cnf.JKT = ""
	}
	if on("the certificate may be missing") && cert == nil {
		cnf.X5tS256 = ""
	}
`},
	{"access/guard.go", `proof.Thumbprint() != cnf.JKT:`,
		`proof.Thumbprint() != cnf.JKT && !on("the key is not compared"):`},
	{"access/guard.go", `	case used == schemeDPoP:
`, `	case used == schemeDPoP && !on("an unbound token is good under DPoP"):
`},
	{"access/guard.go", `!cert.Matches(cnf.X5tS256):`,
		`!cert.Matches(cnf.X5tS256) && !on("the certificate is not compared"):`},
	{"access/bearer.go", `	if g.config.InsecureAllowBearer {`,
		`	if g.config.InsecureAllowBearer || on("unbound tokens pass") {`},
	{"access/guard.go", `token.within(grant.lifetime)`,
		`token.within(map[bool]time.Duration{true: 10 * time.Minute, false: grant.lifetime}[on("lifetimes of ten minutes are too long")])`},
	{"access/token.go", `if cnf.JKT == nil && cnf.X5tS256 == nil {`,
		`if on("a cnf that is not understood is none") && cnf.JKT == nil && cnf.X5tS256 == nil {
		return Confirmation{}, nil
	}
	if cnf.JKT == nil && cnf.X5tS256 == nil {`},
	{"access/token.go", `	if t.Expiry.IsZero() {`, `	if t.Expiry.IsZero() && on("tokens without exp pass") {
		return nil
	}
	if t.Expiry.IsZero() {`},
	{"access/token.go", `!now.Before(end) {`, `!now.Before(end) && !on("expired tokens pass") {`},
	{"access/token.go", `early > 0 {`, `early > 0 && !on("nbf is not looked at") {`},
	{"access/token.go", `return !slices.Contains(t.Scopes, s) })`,
		`return !slices.Contains(t.Scopes, s) && !on("scopes are not looked at") &&
		!(on("a longer scope is enough") && strings.Contains(strings.Join(t.Scopes, " "), s)) })`},
	{"access/grant.go", `if q.MaxAuthAge > 0 {`,
		`if q.MaxAuthAge > 0 && !on("auth_time is not looked at") && !(on("a token without auth_time is fresh") && grant.AuthTime.IsZero()) {`},
	{"access/grant.go", `if len(q.ACRValues) > 0 && `, `if len(q.ACRValues) > 0 && !on("acr is not looked at") && `},
	{"access/grant.go", `if q.Nonce && !grant.hasNonce {`,
		`if q.Nonce && !grant.hasNonce && !on("the route's nonce is not demanded") {`},
	{"access/jwt.go", `from, ok := j.issuers[iss]`,
		`from, ok := j.issuers[either("a slash behind the issuer does not matter", strings.TrimRight(iss, "/"), iss)]`},
	{"access/jwt.go", `if !slices.ContainsFunc(i.audiences, func(a string) bool { return slices.Contains(claims.Audience, a) }) {`,
		`if !slices.ContainsFunc(i.audiences, func(a string) bool { return slices.Contains(claims.Audience, a) }) && !on("aud is not looked at") &&
		!(on("a longer audience is ours") && strings.HasPrefix(strings.Join(claims.Audience, " "), i.Audience)) {`},
	{"access/jwt.go", `case typ == "at+jwt" ||`, `case on("typ of tokens is not looked at") || typ == "at+jwt" ||`},
	{"internal/keyset/keyset.go", `		case err == nil:
			return key, nil`,
		`		case err == nil || on("the token's signature is not verified"):
			return key, nil`},
	{"access/jwt.go", `	case errors.Is(err, keyset.ErrUnavailable):
`, `	case on("keys that cannot be had are no hindrance") && err != nil:
		return nil, nil
	case errors.Is(err, keyset.ErrUnavailable):
`},
	{"access/error.go", `Status: http.StatusServiceUnavailable, Description:`,
		`Status: map[bool]int{true: 500, false: 503}[on("our own trouble is 500")], Description:`},
	{"access/error.go", `case code == CodeInvalidRequest:`,
		`case code == CodeInvalidRequest && !on("malformed credentials are 401"):`},
	{"access/error.go", `case code == CodeInsufficientScope:`,
		`case code == CodeInsufficientScope && !on("a missing scope is 401"):`},
	{"access/error.go", `	e.challenges = g.challenges(used, e)
	return e`, `	if on("the cause is told to the client") {
		e.Description = err.Error()
	}
	if on("every refusal is invalid_request") && e.Code != "" {
		e.Code = CodeInvalidRequest
	}
	e.challenges = g.challenges(used, e)
	return e`},
	{"access/introspection.go", `case !*said.Active:`,
		`case !*said.Active && !on("introspection's active is not looked at"):`},
	{"access/introspection.go", `len(claims.Audience) > 0 && !slices.Contains(`,
		`len(claims.Audience) > 0 && !on("introspection's aud is not looked at") && !slices.Contains(`},
	{"access/introspection.go", `case claims.Issuer != "" && claims.Issuer != i.config.Issuer:`,
		`case claims.Issuer != "" && claims.Issuer != i.config.Issuer && !on("introspection's iss is not looked at") &&
		!(on("introspection: a longer iss is ours") && strings.HasPrefix(claims.Issuer, i.config.Issuer)):`},
	{"access/introspection.go", `strings.EqualFold(said.TokenType, string(schemeDPoP)) && `,
		`strings.EqualFold(said.TokenType, string(schemeDPoP)) && !on("token_type DPoP without cnf is a bearer token") && `},
	{"access/challenge.go", `parameter{"algs", strings.Join(g.proofs.Algorithms(), " ")}`,
		`parameter{either("challenges have no algs", "a", "algs"), strings.Join(g.proofs.Algorithms(), " ")}`},
	{"access/challenge.go", `if list[i].scheme == used {`,
		`if list[i].scheme == used || on("the error stands on every challenge") {`},
	{"access/challenge.go", `if e.Scope != "" {`, `if e.Scope != "" && !on("the scope is not named") {`},
	{"access/guard.go", `if errors.Is(err, ErrNoCredentials) || errors.Is(err, ErrScheme) {`,
		`if !on("an error without credentials") && (errors.Is(err, ErrNoCredentials) || errors.Is(err, ErrScheme)) {`},
	{"access/error.go", `	if e.Nonce != "" {`, `	if e.Nonce != "" && !on("a nonce is demanded but not given") {`},
	{"access/error.go", `	h["Cache-Control"] = []string{"no-store"}`, `	if !on("a nonce may be stored") {
		h["Cache-Control"] = []string{"no-store"}
	}`},
	{"access/error.go", `if len(e.challenges) > 0 {`,
		`if len(e.challenges) > 0 && !on("browsers may not read the challenge") {`},
}

// Every planted defect is found by the case that is named beside it.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the module once more")
	}
	var names []string
	for _, m := range mutants {
		names = append(names, m.name)
	}
	binary := mutant.Build(t, names, edits)
	if out, err := mutant.Run(t, binary, "", "^TestMutantsInside$"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestMutantsInside asks each mutant the one case that must find it.
func TestMutantsInside(t *testing.T) {
	if !mutant.Inside() {
		t.Skip("TestMutants runs it")
	}
	var usual []planted // their cases pass together without the defects
	for _, m := range mutants {
		if m.config == nil {
			usual = append(usual, m)
		}
	}
	t.Run("none", func(t *testing.T) { pass(t, usual...) })
	for _, m := range mutants {
		// Each in a test of its own, so that its server is closed before the next: the caches of all of them together
		// take more memory than a machine has.
		t.Run(m.name, func(t *testing.T) {
			mutant.Set("")
			if m.config != nil {
				pass(t, m)
			}
			mutant.Set(m.name)
			if got := outcome(t, m); got != conformance.Fail {
				t.Errorf("%s does not find %q: %s", m.finds, m.name, got)
			}
		})
	}
}

// pass wants the cases of one wiring to pass.
func pass(t *testing.T, ms ...planted) {
	t.Helper()
	for i, got := range outcomes(t, ms...) {
		if got != conformance.Pass {
			t.Errorf("%s: without %q the outcome is %s", ms[i].finds, ms[i].name, got)
		}
	}
}

func outcome(t *testing.T, m planted) conformance.Outcome {
	t.Helper()
	return outcomes(t, m)[0]
}

// outcomes are those of the cases that find defects of one wiring.
func outcomes(t *testing.T, ms ...planted) []conformance.Outcome {
	t.Helper()
	var d defects
	if ms[0].config != nil {
		d = ms[0].config(t)
	}
	s := newSubject(t, newIssuer(t), d)
	options, all := s.options(), make([]conformance.Outcome, len(ms))
	for _, m := range ms {
		options.Only = append(options.Only, m.finds)
	}
	report, err := conformance.Run(t.Context(), s, options)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range ms {
		for _, r := range report.Results {
			if r.ID == m.finds {
				all[i] = r.Outcome
			}
		}
		if all[i] == "" {
			t.Errorf("%s: there is no case %s", m.name, m.finds)
		}
	}
	return all
}
