package redisstore_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/internal/redistest"
	"github.com/senderlock/senderlock/reason"
	"github.com/senderlock/senderlock/redisstore"
	"github.com/senderlock/senderlock/revocation"
)

// refusesToOpen expects an error that contains all the words.
func refusesToOpen(t *testing.T, c redisstore.Config, words ...string) error {
	t.Helper()
	if c.Timeout == 0 {
		c.Timeout = patient
	}
	s, err := redisstore.Open(t.Context(), c)
	if err == nil {
		_ = s.Close()
		t.Fatalf("opened; want an error with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error is %q; want %q in it", err, w)
		}
	}
	return err
}

func TestSettings(t *testing.T) {
	at := []string{"127.0.0.1:1"}
	for name, c := range map[string]struct {
		config redisstore.Config
		want   string
	}{
		"no address":       {redisstore.Config{}, "Addresses is empty"},
		"no port":          {redisstore.Config{Addresses: []string{"redis"}}, `Addresses[0] is "redis": give host:port`},
		"several":          {redisstore.Config{Addresses: []string{"a:1", "b:2"}}, "set Master"},
		"both":             {redisstore.Config{Addresses: at, Master: "main", Cluster: true}, "Cluster and Master"},
		"DB of a Cluster":  {redisstore.Config{Addresses: at, Cluster: true, DB: 1}, "DB is 1: a Cluster has only 0"},
		"negative DB":      {redisstore.Config{Addresses: at, DB: -1}, "DB is -1"},
		"no password":      {redisstore.Config{Addresses: at, Username: "api"}, "Username is set without Password"},
		"namespace":        {redisstore.Config{Addresses: at, Namespace: "a{b}"}, `Namespace is "a{b}"`},
		"long namespace":   {redisstore.Config{Addresses: at, Namespace: strings.Repeat("x", 65)}, "up to 64 letters"},
		"short time-out":   {redisstore.Config{Addresses: at, Timeout: time.Millisecond}, "Timeout is 1ms: give a value from 5ms to 30s"},
		"long time-out":    {redisstore.Config{Addresses: at, Timeout: time.Minute}, "Timeout is 1m0s"},
		"negative skew":    {redisstore.Config{Addresses: at, MaxSkew: -1}, "MaxSkew is -1ns"},
		"short Window":     {redisstore.Config{Addresses: at, Window: time.Millisecond}, "Window is 1ms: give a value from 1s to 2h0m0s, or zero for 2m10s"},
		"negative Wait":    {redisstore.Config{Addresses: at, Wait: -1}, "Wait is -1"},
		"unknown Fallback": {redisstore.Config{Addresses: at, Fallback: "open"}, `Fallback is "open": give "nonce"`},
		"Retention":        {redisstore.Config{Addresses: at, Retention: revocation.Retention{Leeway: -1}}, "Retention is"},
	} {
		t.Run(name, func(t *testing.T) {
			refusesToOpen(t, c.config, "redisstore.Config: ", c.want)
			if err := c.config.Validate(); err == nil || !strings.Contains(err.Error(), "redisstore.Config: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("without opening it: %v", err)
			}
		})
	}
	if err := (redisstore.Config{Addresses: at}).Validate(); err != nil {
		t.Error(err)
	}
}

// A server without TLS waits for more of what it takes for a command.
func TestTLSToAPlainPort(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	refusesToOpen(t, redisstore.Config{
		Addresses: []string{listener.Addr().String()}, TLS: &tls.Config{}, Timeout: 50 * time.Millisecond,
	}, "no answer in time, as from a port without TLS")
}

func TestParseURL(t *testing.T) {
	c, err := redisstore.ParseURL("rediss://api:s%20cret@a.example:7000/3?addr=b.example:7001&wait=2&timeout=1s&max_skew=2s&window=5m" +
		"&namespace=shop&fallback=nonce&master=main&cluster=false&region=west&elsewhere=redis%3A%2F%2Fc.example%3Fregion%3Deast")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Addresses) != 2 || c.Addresses[0] != "a.example:7000" || c.Addresses[1] != "b.example:7001" || c.TLS == nil ||
		c.Username != "api" || c.Password != "s cret" || c.DB != 3 || c.Wait != 2 || c.Timeout != time.Second ||
		c.MaxSkew != 2*time.Second || c.Window != 5*time.Minute || c.Namespace != "shop" || c.Fallback != redisstore.FallbackNonce || c.Master != "main" || c.Cluster ||
		c.Region != "west" || len(c.Elsewhere) != 1 || c.Elsewhere[0].Region != "east" || c.Elsewhere[0].Addresses[0] != "c.example:6379" {
		t.Errorf("got %+v", c)
	}
	if c, err = redisstore.ParseURL("redis://localhost"); err != nil || c.Addresses[0] != "localhost:6379" || c.TLS != nil {
		t.Errorf("got %+v, %v", c, err)
	}
	for bad, want := range map[string]string{
		"":                               "malformed",
		"localhost:6379":                 "malformed",
		"redis://":                       "malformed",
		"redis://u:hunter2@h:port":       "malformed",
		"redis://u:hunter2@h\x7f":        "malformed",
		"http://hunter2@localhost":       `begins with "http"`,
		"redis://u:hunter2@h/x":          "the URL's path",
		"redis://u:hunter2@h/1/2":        "the URL's path",
		"redis://u:123/hunter2@h:6379/0": "the URL's path",
		"redis://u:hunter2@h?wait=x":     "setting wait",
		"redis://h?wait=hunter2":         "setting wait",
		"redis://h?elsewhere=hunter2":    "setting elsewhere",
		"redis://h?cluster=hunter2":      "setting cluster",
		"redis://h?timeout=hunter2":      "setting timeout",
		"redis://h?max_skew=hunter2":     "setting max_skew",
		"redis://h?password=hunter2":     "setting that is unknown",
		"redis://u:12?hunter2@h:6379":    "setting that is unknown",
		"redis://u:hunter2@h?nonsense=1": "setting that is unknown",
	} {
		if _, err := redisstore.ParseURL(bad); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v, want %q and no password", bad, err, want)
		}
	}
	if _, err := redisstore.OpenURL(t.Context(), "redis://h?cluster=maybe"); err == nil {
		t.Error("OpenURL took nonsense")
	}
}

func TestOpenURL(t *testing.T) {
	server := redistest.Start(t)
	s, err := redisstore.OpenURL(t.Context(), "redis://"+server.Addr+"/2?namespace=shop")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mustClaim(t, s, "a")
	if keys := server.Do("EVAL", "redis.call('SELECT', 2) return redis.call('KEYS', '*')", "0"); !strings.Contains(keys, "shop:p:") {
		t.Errorf("database 2 holds %q", keys)
	}
}

func mustClaim(t testing.TB, s *redisstore.Store, name string) {
	t.Helper()
	if ok, err := claim(s, name); !ok || err != nil {
		t.Fatalf("Claim(%s) = %t, %v", name, ok, err)
	}
}

func claim(s *redisstore.Store, name string) (bool, error) {
	return s.Claim(context.Background(), dpop.NewReplayKey("", "", name), time.Now().Add(time.Minute))
}

func TestServerMustBeFit(t *testing.T) {
	t.Parallel()
	t.Run("nobody there", func(t *testing.T) {
		refusesToOpen(t, redisstore.Config{Addresses: []string{"127.0.0.1:1"}}, "connecting to [127.0.0.1:1]")
	})
	for _, policy := range []string{"allkeys-lru", "volatile-lru", "allkeys-random", "volatile-ttl", "allkeys-lfu"} {
		t.Run(policy, func(t *testing.T) {
			s := redistest.Start(t, "--maxmemory-policy", policy)
			err := refusesToOpen(t, redisstore.Config{Addresses: []string{s.Addr}}, "set maxmemory-policy to noeviction", policy)
			if !errors.Is(err, redisstore.ErrEviction) {
				t.Errorf("got %v", err)
			}
		})
	}
	master := redistest.Start(t)
	t.Run("a replica", func(t *testing.T) {
		refusesToOpen(t, redisstore.Config{Addresses: []string{redistest.Replica(t, master).Addr}}, "no master answers")
	})
	t.Run("a Sentinel", func(t *testing.T) {
		refusesToOpen(t, redisstore.Config{Addresses: redistest.Sentinels(t, master, 1, 0)}, "this is a Sentinel: set Master")
	})
	t.Run("a node of a Cluster", func(t *testing.T) {
		s := redistest.Start(t, "--cluster-enabled", "yes")
		refusesToOpen(t, redisstore.Config{Addresses: []string{s.Addr}}, "set Cluster")
	})
	t.Run("not a Cluster", func(t *testing.T) {
		refusesToOpen(t, redisstore.Config{Addresses: []string{master.Addr}, Cluster: true})
	})
	t.Run("a password that is missing", func(t *testing.T) {
		s := redistest.Start(t, "--requirepass", "secret")
		refusesToOpen(t, redisstore.Config{Addresses: []string{s.Addr}}, "NOAUTH")
		refusesToOpen(t, redisstore.Config{Addresses: []string{s.Addr}, Password: "wrong"}, "WRONGPASS")
		openOn(t, s, func(c *redisstore.Config) { c.Password = "secret" })
	})
	t.Run("no replica to wait for", func(t *testing.T) {
		master.GiveUp(t)
		err := refusesToOpen(t, redisstore.Config{Addresses: []string{master.Addr}, Wait: 7})
		if !errors.Is(err, redisstore.ErrReplicas) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a user who may not see INFO", func(t *testing.T) {
		s := redistest.Start(t)
		s.Must("ACL", "SETUSER", "api", "on", ">secret", "~*", "+@all", "-info")
		refusesToOpen(t, redisstore.Config{Addresses: []string{s.Addr}, Username: "api", Password: "secret"}, "info")
	})
}

// A policy that is changed later is noticed too.
func TestEvictionSetLater(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openOn(t, server)
	mustClaim(t, s, "before")
	server.Must("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	redistest.Wait(t, "claims are refused", func() bool {
		_, err := claim(s, time.Now().String())
		return errors.Is(err, redisstore.ErrEviction)
	})
	if _, err := s.Revoked(t.Context(), tokenOf("alice")); !errors.Is(err, redisstore.ErrEviction) {
		t.Errorf("Revoked = %v", err)
	}
	server.Must("CONFIG", "SET", "maxmemory-policy", "noeviction")
	redistest.Wait(t, "claims are made again", func() bool {
		ok, _ := claim(s, time.Now().String())
		return ok
	})
}

func tokenOf(subject string) revocation.Token {
	now := time.Now()
	return revocation.Token{
		Issuer: poptest.Issuer, ID: "token of " + subject, Subject: subject, Client: "app",
		IssuedAt: now, Expiry: now.Add(5 * time.Minute),
	}
}

// minimal are the rights that the doc comment of Store names.
const minimal = "+info +eval +evalsha +time +get +set +mget +select +wait +cluster|slots +cluster|shards +cluster|info " +
	"+asking +del +zadd +zrem +zrange +pexpire +scan"

// allow makes the user api, with those rights on the keys of shop.
func allow(s *redistest.Server) {
	s.Must(append([]string{"ACL", "SETUSER", "api", "on", ">secret", "~shop:*", "-@all"}, strings.Fields(minimal)...)...)
}

// TLS with a certificate of a private authority, and a user who may do what is documented and nothing else.
func TestTLSAndUser(t *testing.T) {
	dir, port := t.TempDir(), redistest.FreePort(t)
	write := func(name string, content []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	ca := poptest.NewCA(t)
	cert, key := poptest.PEM(t, ca.Issue(t, "redis"))
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate.Raw})
	server := redistest.Start(t, "--tls-port", port, "--tls-auth-clients", "no", "--tls-cert-file", write("cert", cert),
		"--tls-key-file", write("key", key), "--tls-ca-cert-file", write("ca", root))
	allow(server)
	c := redisstore.Config{
		Addresses: []string{"localhost:" + port}, TLS: &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS12},
		Username: "api", Password: "secret", Namespace: "shop",
	}
	works(t, open(t, c))
	c.DB = 1
	works(t, open(t, c))
	c.Namespace = "other"
	refusesToOpen(t, c, "NOPERM")
	c.TLS = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	refusesToOpen(t, c, "certificate")
	c.TLS = nil
	refusesToOpen(t, c)
}

// The same rights are enough in a Cluster.
func TestUserOfACluster(t *testing.T) {
	t.Parallel()
	nodes, addresses := redistest.Cluster(t, 3)
	for _, n := range nodes {
		allow(n)
	}
	works(t, open(t, redisstore.Config{
		Addresses: addresses, Cluster: true, Username: "api", Password: "secret", Namespace: "shop",
	}))
}

// works tries everything that a store does.
func works(t *testing.T, s *redisstore.Store) {
	t.Helper()
	for i := range 20 {
		name := fmt.Sprint(i)
		mustClaim(t, s, name)
		if ok, err := claim(s, name); ok || err != nil {
			t.Fatalf("second Claim = %t, %v", ok, err)
		}
		e := revocation.Entry{Issuer: poptest.Issuer, By: revocation.BySubject, Value: name}
		if err := s.Revoke(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if e, err := s.Revoked(t.Context(), tokenOf(name)); e == nil || err != nil {
			t.Fatalf("Revoked = %v, %v", e, err)
		}
		if err := s.Record(t.Context(), tokenOf(name), "192.0.2.1"); err != nil {
			t.Fatal(err)
		}
		if uses, err := s.Uses(t.Context(), poptest.Issuer, name); len(uses) != 1 || err != nil {
			t.Fatalf("Uses = %v, %v", uses, err)
		} else if found, err := s.Search(t.Context(), revocation.Search{Issuer: poptest.Issuer, By: revocation.ByToken, Value: uses[0].ID}); found.Total != 1 || err != nil {
			t.Fatalf("Search = %v, %v", found, err)
		} else if err := s.Forget(t.Context(), uses[0]); err != nil {
			t.Fatal(err)
		}
		if err := s.Lift(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if e, err := s.Revoked(t.Context(), tokenOf(name)); e != nil || err != nil {
			t.Fatalf("Revoked = %v, %v after Lift", e, err)
		}
		if e, err := s.Revoked(t.Context(), tokenOf("nobody")); e != nil || err != nil {
			t.Fatalf("Revoked = %v, %v", e, err)
		}
	}
}

// What makes a server unfit has a name for logs and metrics, and is our own trouble whatever wraps it.
func TestReasons(t *testing.T) {
	for want, err := range map[string]error{
		"redis_eviction": redisstore.ErrEviction, "redis_replicas": redisstore.ErrReplicas,
		"redis_damaged": redisstore.ErrDamaged, "redis_clock": redisstore.ErrClock,
	} {
		err = dpop.ErrStore.Because(fmt.Errorf("call: %w", err))
		if got := reason.Of(err); got != want || reason.IsRefusal(err) {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
