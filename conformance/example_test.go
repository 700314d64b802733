package conformance_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/conformance"
)

// A handler is asked in process. It trusts the suite's issuer; in a test of yours, leave Groups out and let each of
// Failures be an error.
func ExampleRun() {
	issuer, err := conformance.NewIssuer(conformance.IssuerConfig{Address: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	defer issuer.Close()
	guard, err := access.New(access.Config{
		Origins:               []string{"https://api.example.com"},
		Issuers:               []access.Issuer{{URL: issuer.URL(), Audience: "https://api.example.com"}},
		InsecureForgetAtStart: true, // else the suite waits until the server has run for ten seconds
		Log:                   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()
	handler := http.NewServeMux()
	handler.Handle("/resource", guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "the accounts")
	})))

	report, err := conformance.Run(context.Background(), handler, conformance.Options{
		Issuer: issuer, WarmUp: -1, Groups: []string{"binding"},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, failure := range report.Failures() {
		fmt.Println(failure)
	}
	fmt.Println("failed:", report.Failed())
	// Output:
	// failed: false
}
