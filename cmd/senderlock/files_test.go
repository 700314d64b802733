package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func text(t *testing.T, path ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// The image is for a user without rights, and of the module's version of Go.
func TestGatewayDockerfile(t *testing.T) {
	file := text(t, "Dockerfile")
	if !strings.Contains(file, "\nUSER 65532:65532\n") || !strings.Contains(file, "distroless/static") {
		t.Errorf("not as expected:\n%s", file)
	}
	if version := regexp.MustCompile(`golang:([0-9.]+)`).FindStringSubmatch(file)[1]; !strings.Contains(text(t, "go.mod"), "\ngo "+version) {
		t.Error("the image is of another Go version than the module")
	}
}

// The unit leaves the program time to end, and reads settings anew.
func TestGatewayUnit(t *testing.T) {
	unit := text(t, "systemd", "senderlock-gateway.service")
	for _, want := range []string{"DynamicUser=yes", "NoNewPrivileges=yes", "ProtectSystem=strict", "TimeoutStopSec=60\n", "ExecReload=/bin/kill -HUP $MAINPID\n"} {
		if !strings.Contains(unit, want) {
			t.Errorf("no %s", want)
		}
	}
}

// docs/gateway.md explains each setting that only a gateway has, and its file of settings is in order.
func TestGatewayPage(t *testing.T) {
	page := text(t, "..", "..", "docs", "gateway.md")
	for _, name := range []string{"UPSTREAM", "ROUTES", "UPSTREAM_AUTHORIZATION", "UPSTREAM_TIMEOUT", "MAX_BODY", "CORS_ORIGIN", "GATEWAY_NAME", "GATEWAY_KEY_FILE", "FORWARD_AUTH"} {
		if !strings.Contains(page, "| `"+name+"` |") {
			t.Errorf("%s is not in the table", name)
		}
	}
	_, rest, _ := strings.Cut(page, "\n```yaml\n")
	yaml, _, _ := strings.Cut(rest, "\n```\n")
	_, rest, _ = strings.Cut(page, "\n```text\n")
	routes, _, _ := strings.Cut(rest, "\n```\n")
	for route := range strings.Lines(routes) {
		yaml += "\n  - " + strings.TrimSuffix(route, "\n")
	}
	yaml = strings.Replace(yaml, "  - GET /orders/{id} scopes=orders:read\n  - GET /status public\n", "", 1)
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := run(t, "", "gateway", "--config", file, "--check-config"); got.status != 0 {
		t.Errorf("%s\nin\n%s", got.said, yaml)
	}
}
