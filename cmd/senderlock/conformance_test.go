package main_test

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/senderlock/senderlock/access"
)

// The suite is that of senderlock-conformance, with its exit codes.
func TestConformance(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String() // for the suite's issuer
	_ = listener.Close()
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	careless := httptest.NewServer(answer)
	defer careless.Close()
	careful := httptest.NewUnstartedServer(nil)
	defer careful.Close()
	origin := "http://" + careful.Listener.Addr().String()
	guard, err := access.New(access.Config{
		Origins: []string{origin}, Issuers: []access.Issuer{{URL: "http://" + address, Audience: origin}},
		InsecureForgetAtStart: true, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = guard.Close() }()
	careful.Config.Handler = guard.Handler(answer)
	careful.Start()
	flags := []string{"conformance", "--issuer", address, "--group", "ath", "--url"}
	expect(t, "", outcome{out: "0 failed", said: "issuer http://" + address}, append(flags, origin+"/resource")...)
	expect(t, "", outcome{out: "42 failed", said: "issuer http://" + address, status: 1}, append(flags, careless.URL+"/resource")...)
}

func TestConformanceTells(t *testing.T) {
	expect(t, "", outcome{out: "RFC 9449"}, "conformance", "--list")
	for said, args := range map[string][]string{
		"senderlock conformance: --url is missing":         nil,
		"senderlock conformance: unknown flag: --fast":     {"--fast"},
		`unknown command "x" for "senderlock conformance"`: {"x"},
		`invalid argument "x" for "--flood" flag`:          {"--flood", "x"},
		"there is no case":                                 {"--explain", "no-such-case"},
	} {
		expect(t, "", outcome{said: said, status: 2}, append([]string{"conformance"}, args...)...)
	}
}
