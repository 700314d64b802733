package main

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/fetched"
	"github.com/senderlock/senderlock/internal/settings"
)

// The rules are what Prometheus takes, and each alert is raised when it should be, and not otherwise.
func TestAlertRules(t *testing.T) {
	promtool := fetched.Program(t, "promtool")
	tests := text(t, "prometheus/alerts_test.yml")
	for _, alert := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(text(t, "prometheus/alerts.yml"), -1) {
		if !strings.Contains(tests, "alertname: "+alert[1]) {
			t.Errorf("no test raises %s", alert[1])
		}
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		c := exec.CommandContext(t.Context(), promtool, args...)
		c.Dir = "prometheus"
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", args[0], err, out)
		}
	}
}

var metricName = regexp.MustCompile(`\bsenderlock_[a-z_]+`)

// The rules, the dashboard and the documentation name no metric that there is not, and the dashboard shows each there is.
func TestMetricNames(t *testing.T) {
	exist := metricsThatExist(t)
	dashboard := text(t, "grafana/senderlock.json")
	if !json.Valid([]byte(dashboard)) {
		t.Fatal("the dashboard is not JSON")
	}
	const docs = "../../docs/"
	for name, page := range map[string]string{
		"the rules": text(t, "prometheus/alerts.yml"), "the dashboard": dashboard, "their tests": text(t, "prometheus/alerts_test.yml"),
		"the README": text(t, "README.md"), "the runbook": text(t, docs+"runbook.md"), "the interface": text(t, docs+"logs-and-metrics.md"),
	} {
		for _, metric := range metricName.FindAllString(page, -1) {
			if !exist[metric] {
				t.Errorf("%s has %s, which there is not", name, metric)
			}
		}
	}
	for metric := range exist {
		if !strings.Contains(dashboard, family(metric)) {
			t.Errorf("the dashboard has no %s", metric)
		}
		if !strings.Contains(text(t, docs+"logs-and-metrics.md"), "`"+family(metric)+"`") {
			t.Errorf("docs/logs-and-metrics.md has no %s", metric)
		}
	}
}

// family is the name of a histogram without that of its part.
func family(metric string) string {
	for _, part := range []string{"_bucket", "_sum", "_count"} {
		metric = strings.TrimSuffix(metric, part)
	}
	return metric
}

// metricsThatExist are those of a running program, and those that it would have after decisions of every kind.
func metricsThatExist(t *testing.T) map[string]bool {
	t.Helper()
	a := &app{settings: &settings.Settings{}}
	memory, err := dpop.NewMemory(dpop.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	a.onClose(memory.Close)
	defer a.Close()
	registry, observer, err := a.telemetry(memory)
	if err != nil {
		t.Fatal(err)
	}
	refusal := &access.Error{Status: 401, Err: access.ErrKeyMismatch}
	for _, d := range []access.Decision{
		{}, {Refusal: refusal, Alert: "key_mismatch"}, {Would: refusal}, {Binding: access.BindingDPoP, Issuer: "https://login.example.com"},
	} {
		observer.Decided(t.Context(), d)
	}
	observer.Fetched(access.Fetch{Issuer: "https://login.example.com", Began: time.Now(), Err: errors.New("down")})
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	running := newWorld(t).start(t, nil).do(asAdmin("GET", "/metrics", ""))
	exist := map[string]bool{}
	for line := range strings.Lines(w.Body.String() + running.body) {
		if name := metricName.FindString(line); strings.HasPrefix(line, name) && name != "" {
			exist[name], exist[family(name)] = true, true
		}
	}
	if len(exist) < 10 {
		t.Fatalf("only %d metrics: %v", len(exist), exist)
	}
	return exist
}
