package otelauth_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/otelauth"
)

// kit is an observed guard, and what OpenTelemetry heard.
type kit struct {
	observer access.Observer
	*access.Guard
	issuer *poptest.IssuerServer
	reader *metric.ManualReader
	spans  *tracetest.SpanRecorder
}

func newKit(t *testing.T, changes ...func(*access.Config)) *kit {
	t.Helper()
	k := &kit{issuer: poptest.NewIssuerServer(t), reader: metric.NewManualReader(), spans: tracetest.NewSpanRecorder()}
	now := poptest.NewClock().Now
	memory, err := dpop.NewMemory(dpop.MemoryConfig{MaxEntries: 3, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	observer, err := otelauth.New(otelauth.Config{
		MeterProvider:  metric.NewMeterProvider(metric.WithReader(k.reader)),
		TracerProvider: trace.NewTracerProvider(trace.WithSpanProcessor(k.spans)),
		Replay:         memory,
	})
	if err != nil {
		t.Fatal(err)
	}
	k.observer = observer
	config := access.Config{
		Origins:    []string{poptest.Audience},
		Issuers:    []access.Issuer{{URL: k.issuer.URL(), Audience: poptest.Audience}},
		HTTPClient: k.issuer.Client(), Replay: memory, InsecureForgetAtStart: true,
		Log: slog.New(slog.DiscardHandler), Observer: observer, Now: now,
	}
	for _, change := range changes {
		change(&config)
	}
	if k.Guard, err = access.New(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = k.Close(), memory.Close() })
	return k
}

// ask sends a request with a good proof, for a route.
func (k *kit) ask(token string, demands ...access.Requirement) {
	r := httptest.NewRequest("GET", poptest.URL, nil)
	r.Pattern = "/accounts"
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", poptest.Proof{Token: token}.String())
	_, _ = k.Check(r, demands...)
}

func (k *kit) bound() string {
	return k.issuer.Token(poptest.Token{JKT: poptest.ClientKey().Thumbprint()})
}

// points are the values of all metrics, by name and attributes; of histograms the counts.
func (k *kit) points(t *testing.T) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := k.reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	found := map[string]int64{}
	name := func(name string, set attribute.Set) string {
		return name + " " + strings.ReplaceAll(set.Encoded(attribute.DefaultEncoder()), k.issuer.URL(), "ISSUER")
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					found[name(m.Name, p.Attributes)] = p.Value
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					found[name(m.Name, p.Attributes)] = p.Value
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					found[name(m.Name, p.Attributes)] = int64(p.Count)
				}
			}
		}
	}
	return found
}

func TestMetrics(t *testing.T) {
	k := newKit(t)
	k.ask(k.bound())
	k.ask(k.bound(), access.Requirement{Scopes: []string{"b"}})
	k.ask("nonsense")
	k.ask(k.bound())
	k.ask(k.bound()) // one more than the replay memory holds
	got := k.points(t)
	want := map[string]int64{
		"senderlock.decisions binding=DPoP,outcome=accepted,reason=,route=/accounts":                      2,
		"senderlock.decisions binding=DPoP,outcome=refused,reason=scope_missing,route=/accounts":          1,
		"senderlock.decisions binding=none,outcome=refused,reason=token_jws_malformed,route=/accounts":    1,
		"senderlock.decisions binding=DPoP,outcome=unavailable,reason=replay_memory_full,route=/accounts": 1,
		"senderlock.decision.duration outcome=accepted":                                                   2,
		"senderlock.decision.duration outcome=refused":                                                    2,
		"senderlock.decision.duration outcome=unavailable":                                                1,
		"senderlock.tokens known=false":                                                                   4,
		"senderlock.replay.entries ":                                                                      3,
		"senderlock.replay.capacity ":                                                                     3,
		"senderlock.key_fetches issuer=ISSUER,reason=":                                                    1,
		"senderlock.key_fetch.duration issuer=ISSUER":                                                     1,
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %d, want %d", name, got[name], value)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("besides: %v", got)
	}
}

// Each request with a stolen token counts, and each that stricter demands would have refused.
func TestMetricsOfARollout(t *testing.T) {
	k := newKit(t, func(c *access.Config) {
		c.ReportOnly = &access.ReportOnly{Requirement: access.Requirement{Nonce: true}}
	})
	stolen := k.bound()
	for range 2 {
		r := httptest.NewRequest("GET", poptest.URL, nil)
		r.Pattern = "/accounts"
		r.Header.Set("Authorization", "Bearer "+stolen)
		_, _ = k.Check(r)
	}
	k.ask(k.bound())
	r := httptest.NewRequest("GET", poptest.URL, nil)
	k.UnprotectedShadow(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
	got := k.points(t)
	for name, want := range map[string]int64{
		"senderlock.alerts kind=bound_token_as_bearer,route=/accounts":                                   2,
		"senderlock.would_be binding=DPoP,outcome=challenged,reason=nonce_missing,route=/accounts":       1,
		"senderlock.would_be binding=none,outcome=refused,reason=credentials_missing,route=":             1,
		"senderlock.decisions binding=none,outcome=shadowed,reason=,route=":                              1,
		"senderlock.decisions binding=DPoP,outcome=accepted,reason=,route=/accounts":                     1,
		"senderlock.decisions binding=none,outcome=refused,reason=bound_token_as_bearer,route=/accounts": 2,
	} {
		if got[name] != want {
			t.Errorf("%s is %d, want %d; all: %v", name, got[name], want, got)
		}
	}
}

func TestSpans(t *testing.T) {
	k := newKit(t)
	k.issuer.SetFailing(true)
	token := k.bound()
	k.ask(token)
	ended := k.spans.Ended()
	if len(ended) != 2 {
		t.Fatalf("%d spans", len(ended))
	}
	for i, name := range []string{"senderlock.key_fetch", "senderlock.decision"} {
		span := ended[i]
		if span.Name() != name || span.Status().Code != codes.Error || span.StartTime() != poptest.Now {
			t.Errorf("%s, %v, from %v", span.Name(), span.Status(), span.StartTime())
		}
		if text := fmt.Sprint(span.Attributes()); strings.Contains(text, token) || strings.Contains(text, "eyJ") {
			t.Errorf("a token or a proof is in %s", text)
		}
	}
}

// A decision that was never begun has a span nevertheless, of now.
func TestSpanAfterClose(t *testing.T) {
	k := newKit(t)
	_ = k.Close()
	k.ask(k.bound())
	ended := k.spans.Ended()
	if len(ended) != 1 || time.Since(ended[0].StartTime()) > time.Hour {
		t.Errorf("%d spans", len(ended))
	}
}

// The span is a child of the request's own.
func TestSpanHasAParent(t *testing.T) {
	k := newKit(t)
	provider := trace.NewTracerProvider()
	ctx, parent := provider.Tracer("test").Start(context.Background(), "request")
	k.observer.Decided(ctx, access.Decision{Began: poptest.Now})
	if ended := k.spans.Ended(); len(ended) != 1 || ended[0].Parent().SpanID() != parent.SpanContext().SpanID() {
		t.Error("no parent")
	}
}
