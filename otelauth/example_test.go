package otelauth_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/otelauth"
	"github.com/senderlock/senderlock/senderlocktest"
)

// A Guard whose decisions are counted. The zero Config takes the global providers; here it is a reader of metrics, in
// whose place a program has an exporter.
func ExampleNew() {
	reader := metric.NewManualReader()
	observer, err := otelauth.New(otelauth.Config{MeterProvider: metric.NewMeterProvider(metric.WithReader(reader))})
	if err != nil {
		log.Fatal(err)
	}
	clock := senderlocktest.NewClock()
	issuer := senderlocktest.NewIssuer(clock)
	defer issuer.Close()
	client := senderlocktest.NewClient(clock)
	config := senderlocktest.Config(issuer, clock)
	config.Observer = observer
	guard, err := access.New(config)
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()

	r := client.Sign(httptest.NewRequest("GET", senderlocktest.Origin, nil), issuer.Token(senderlocktest.Token{Client: client}))
	for range 2 { // the second is a replay
		_, _ = guard.Check(r)
	}
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		log.Fatal(err)
	}
	for _, m := range all.ScopeMetrics[0].Metrics {
		if sum, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == "senderlock.decisions" {
			for _, point := range sum.DataPoints {
				reason, _ := point.Attributes.Value("reason")
				fmt.Printf("%s: %d for %q\n", m.Name, point.Value, reason.AsString())
			}
		}
	}
	// Unordered output:
	// senderlock.decisions: 1 for ""
	// senderlock.decisions: 1 for "proof_replayed"
}
