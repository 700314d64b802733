package senderlocktest

import (
	"log/slog"

	"github.com/senderlock/senderlock/access"
)

// Origin is the public origin of the API of [Config], and the audience of tokens.
const Origin = "https://api.example.com"

// Config returns good settings for an API at [Origin] that trusts an issuer, under a clock. It accepts proofs at once,
// as a server that has been up for long, remembers few keys and tokens, since tests make many Guards, and logs nothing; change
// what the test is about.
func Config(issuer *Issuer, clock *Clock) access.Config {
	return access.Config{
		Origins:               []string{Origin},
		Issuers:               []access.Issuer{{URL: issuer.URL(), Audience: Origin}},
		InsecureForgetAtStart: true,
		KnownKeys:             1000,
		KnownTokens:           1000,
		Log:                   slog.New(slog.DiscardHandler),
		Now:                   clock.Now,
	}
}
