// Package otelauth tells OpenTelemetry what is decided about requests: metrics of decisions by outcome and reason, of
// their duration, of known tokens, of stolen ones, of what stricter demands would refuse, of the replay memory and of
// fetches of keys; and a span for each decision and fetch.
// [New] makes an [access.Observer] for [access.Config].
//
// Nothing secret and nothing that a client chooses freely becomes an attribute, so a hostile client can neither read
// nor multiply time series. It carries no RFC of its own, and the packages below do without it.
package otelauth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/reason"
)

const scope = "github.com/senderlock/senderlock/otelauth"

// Config says where telemetry goes. The zero Config takes the global providers and tells nothing of a replay memory.
type Config struct {
	// MeterProvider takes metrics. Nil means [otel.GetMeterProvider].
	MeterProvider metric.MeterProvider
	// TracerProvider takes spans. Nil means [otel.GetTracerProvider].
	TracerProvider trace.TracerProvider
	// Replay is the replay memory, a *dpop.Memory, whose entries and capacity are told as long as the MeterProvider
	// lives. Nil: none.
	Replay Replay
}

// Replay is what is asked of a replay memory. A *dpop.Memory is one.
type Replay interface {
	Len() int // entries that are held
	Cap() int // entries that can be held at once
}

// telemetry holds the instruments.
type telemetry struct {
	tracer    trace.Tracer
	decisions metric.Int64Counter
	took      metric.Float64Histogram
	tokens    metric.Int64Counter
	alerts    metric.Int64Counter
	wouldBe   metric.Int64Counter
	fetches   metric.Int64Counter
	fetchTook metric.Float64Histogram
}

// The upper bounds of durations in seconds: a good request takes some 0.1 ms, one that waits for an issuer 5 s at most.
var (
	decisionBounds = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}
	fetchBounds    = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}
)

// New makes the instruments and returns the observer that feeds them. Its error is that of the MeterProvider.
//
//	senderlock.decisions          counter, by outcome, reason, route and binding
//	senderlock.decision.duration  histogram, by outcome, in seconds
//	senderlock.tokens             counter of valid tokens, by known: whether they were, from an earlier request
//	senderlock.alerts             counter of requests with a bound token and without its sender, by kind and route
//	senderlock.would_be           counter of requests that were let on and would not have been, by outcome, reason, route
//	                              and binding: see [access.Config].ReportOnly and [access.Guard.UnprotectedShadow]
//	senderlock.replay.entries     gauge
//	senderlock.replay.capacity    gauge
//	senderlock.key_fetches        counter, by issuer and reason, which is empty for a success
//	senderlock.key_fetch.duration histogram, by issuer, in seconds
func New(c Config) (access.Observer, error) {
	if c.MeterProvider == nil {
		c.MeterProvider = otel.GetMeterProvider()
	}
	if c.TracerProvider == nil {
		c.TracerProvider = otel.GetTracerProvider()
	}
	t := &telemetry{tracer: c.TracerProvider.Tracer(scope)}
	meter := c.MeterProvider.Meter(scope)
	if err := errors.Join(t.instruments(meter), replay(meter, c.Replay)); err != nil {
		return access.Observer{}, fmt.Errorf("otelauth: %w", err)
	}
	return access.Observer{Decided: t.decided, Fetched: t.fetched}, nil
}

func (t *telemetry) instruments(meter metric.Meter) error {
	var errs [7]error
	t.decisions, errs[0] = meter.Int64Counter("senderlock.decisions",
		metric.WithDescription("Decisions about requests"), metric.WithUnit("{decision}"))
	t.took, errs[1] = meter.Float64Histogram("senderlock.decision.duration",
		metric.WithDescription("What a decision took, without the handler"), metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(decisionBounds...))
	t.tokens, errs[2] = meter.Int64Counter("senderlock.tokens",
		metric.WithDescription("Requests with a valid token"), metric.WithUnit("{request}"))
	t.fetches, errs[3] = meter.Int64Counter("senderlock.key_fetches",
		metric.WithDescription("Attempts to fetch an issuer's keys"), metric.WithUnit("{fetch}"))
	t.fetchTook, errs[4] = meter.Float64Histogram("senderlock.key_fetch.duration",
		metric.WithDescription("What a fetch of an issuer's keys took"), metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(fetchBounds...))
	t.alerts, errs[5] = meter.Int64Counter("senderlock.alerts",
		metric.WithDescription("Requests with a bound token and without its sender"), metric.WithUnit("{request}"))
	t.wouldBe, errs[6] = meter.Int64Counter("senderlock.would_be",
		metric.WithDescription("Requests that were let on, and would not have been"), metric.WithUnit("{request}"))
	return errors.Join(errs[:]...)
}

// replay tells of the replay memory when metrics are collected.
func replay(meter metric.Meter, memory Replay) error {
	if memory == nil {
		return nil
	}
	_, err := meter.Int64ObservableGauge("senderlock.replay.entries",
		metric.WithDescription("Proofs that are remembered"), metric.WithUnit("{proof}"),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(memory.Len()))
			return nil
		}))
	_, err2 := meter.Int64ObservableGauge("senderlock.replay.capacity",
		metric.WithDescription("Proofs that can be remembered at once; beyond it requests are answered with 503"), metric.WithUnit("{proof}"),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(memory.Cap()))
			return nil
		}))
	return errors.Join(err, err2)
}

func (t *telemetry) decided(ctx context.Context, d access.Decision) {
	outcome, reason := attribute.String("outcome", string(d.Outcome())), attribute.String("reason", d.Reason())
	route := attribute.String("route", d.Route)
	t.decisions.Add(ctx, 1, metric.WithAttributes(outcome, reason, route, attribute.String("binding", d.Binding.String())))
	t.took.Record(ctx, d.Duration.Seconds(), metric.WithAttributes(outcome))
	if d.Issuer != "" {
		t.tokens.Add(ctx, 1, metric.WithAttributes(attribute.Bool("known", d.TokenKnown)))
	}
	if d.Alert != "" {
		t.alerts.Add(ctx, 1, metric.WithAttributes(attribute.String("kind", d.Alert), route))
	}
	if d.Would != nil {
		t.wouldBe.Add(ctx, 1, metric.WithAttributes(attribute.String("outcome", string(d.WouldBe())),
			attribute.String("reason", d.Would.Reason()), route, attribute.String("binding", d.Binding.String())))
	}

	began := d.Began
	if began.IsZero() { // not even begun, as after Close
		began = time.Now()
	}
	_, span := t.tracer.Start(ctx, "senderlock.decision", trace.WithTimestamp(began), trace.WithAttributes(
		outcome, reason, route, attribute.Bool("token_known", d.TokenKnown),
		attribute.String("issuer", d.Issuer), attribute.String("client", d.ClientID), attribute.String("thumbprint", d.Thumbprint)))
	if d.Outcome() == access.Unavailable {
		span.SetStatus(codes.Error, d.Reason())
	}
	span.End(trace.WithTimestamp(began.Add(d.Duration)))
}

func (t *telemetry) fetched(f access.Fetch) {
	ctx := context.Background() // a fetch is for many requests
	issuer, why := attribute.String("issuer", f.Issuer), attribute.String("reason", reason.Of(f.Err))
	t.fetches.Add(ctx, 1, metric.WithAttributes(issuer, why))
	t.fetchTook.Record(ctx, f.Duration.Seconds(), metric.WithAttributes(issuer))
	_, span := t.tracer.Start(ctx, "senderlock.key_fetch", trace.WithTimestamp(f.Began), trace.WithAttributes(issuer, why))
	if f.Err != nil {
		span.SetStatus(codes.Error, reason.Of(f.Err))
	}
	span.End(trace.WithTimestamp(f.Began.Add(f.Duration)))
}
