package access_test

import (
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
)

// The keys come before the first token, where that is asked for.
func TestFetchKeys(t *testing.T) {
	issuer := poptest.NewIssuerServer(t)
	fetched := make(chan access.Fetch, 10)
	guard, err := access.New(access.Config{
		Origins:    []string{"https://api.example.com"},
		Issuers:    []access.Issuer{{URL: issuer.URL(), Audience: "https://api.example.com"}},
		HTTPClient: issuer.Client(),
		Observer:   access.Observer{Fetched: func(f access.Fetch) { fetched <- f }},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	guard.FetchKeys()
	guard.FetchKeys()
	if f := <-fetched; f.Err != nil || f.Issuer != issuer.URL() {
		t.Errorf("%+v", f)
	}
	select {
	case f := <-fetched:
		t.Errorf("fetched twice: %+v", f)
	default:
	}
}
