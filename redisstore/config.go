package redisstore

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/revocation"
)

// The settings of a zero [Config].
const (
	DefaultNamespace = "senderlock"
	DefaultTimeout   = 500 * time.Millisecond
	DefaultMaxSkew   = 5 * time.Second
	// DefaultWindow covers what a dpop.Verifier accepts without other settings: proofs with a nonce for two periods of a
	// minute, and its Skew.
	DefaultWindow = 2*time.Minute + dpop.DefaultSkew
)

// Fallback says what an instance does while it cannot reach Redis.
type Fallback string

// The ways to get by.
const (
	// FallbackNone refuses every request until Redis is back: 503.
	FallbackNone Fallback = ""
	// FallbackNonce goes on with proofs that carry a nonce which counts for this instance alone, and remembers them
	// itself. It needs a load balancer that keeps a client at one instance: elsewhere the nonce is refused. It helps
	// only where revocations are not asked from the same Redis, because without an answer to that no request is
	// accepted.
	FallbackNonce Fallback = "nonce"
)

// Config holds the settings of a [Store]. Addresses are enough for a single server on a private network.
type Config struct {
	// Addresses are "host:port": of the one server, of the Sentinels if Master is set, or of some nodes of a Cluster.
	Addresses []string
	// Master is the name under which the Sentinels watch the master. Empty means that there are no Sentinels.
	Master string
	// Cluster says that the servers form a Cluster.
	Cluster bool

	// TLS encrypts the connections, those to Sentinels too. Nil means plain TCP: whoever can read or write it can undo
	// revocations and the memory of proofs.
	TLS *tls.Config
	// Username and Password are an ACL user's, who needs the keys <Namespace>:* and the commands that [Store] lists.
	// An empty Username with a Password is the user named default.
	Username, Password string
	// SentinelUsername and SentinelPassword are for the Sentinels.
	SentinelUsername, SentinelPassword string
	// DB is the number of the database. A Cluster has only 0.
	DB int

	// Namespace begins the name of every key, so that several products or uses can share a server. Letters, digits and
	// "-_.:" are allowed, 64 at most. Empty means "senderlock".
	Namespace string
	// Timeout bounds each call, a new connection included. Zero means 500 ms; 5 ms to 30 s are allowed.
	Timeout time.Duration
	// MaxSkew is how far any two clocks of instances and servers may differ. An instance whose clock differs from the
	// server's by more refuses with [ErrClock]. What is remembered is kept longer for it. Zero means 5 s; a millisecond
	// is the least, ten minutes are the most.
	MaxSkew time.Duration
	// Window is for how long each claim lives at least, whatever a proof or a clock says. A dpop.Verifier must not
	// accept proofs for longer. To accept them for longer, raise Window at all instances, wait for one old Window, and
	// then raise what the verifiers accept. Zero means 130 s; a second is the least, two hours are the most.
	Window time.Duration
	// Wait is how many replicas must have a claim or a revocation before it counts, and must still follow the master
	// when it has answered a look-up; with fewer the call fails. Zero does not wait. It makes things exact if it is the
	// number of all replicas that may be promoted: see the package comment. Open refuses fewer where Sentinels say how many
	// there are.
	Wait int
	// Fallback says what happens while Redis cannot be reached. Empty refuses.
	Fallback Fallback

	// Region is the name of this region, where there are several, each with servers and a memory of proofs of its own: no
	// claim is made across. Give the same name as dpop.Nonces.Region, so that a proof counts in one; dpop.New refuses
	// another. Empty means that there is one region.
	Region string
	// Elsewhere are the servers of the other regions, each with its Region: a revocation goes to all of them, see
	// [Store.RevokeEverywhere]. They need not be reachable at the start. Namespace and Retention are those of this region,
	// whatever is set.
	Elsewhere []Config

	// Retention says how long revocations are kept; zero fields mean one hour and one minute.
	Retention revocation.Retention
	// Now is the clock. Nil means [time.Now].
	Now func() time.Time

	// What tests set: by how much Now is ahead of the server's clock, the clock that runs during suspend, how long a
	// renewal is good, how often there is one, and who is told of the changes of epochs.
	offset  func() time.Duration
	elapsed func() time.Duration
	lease   time.Duration
	renewal time.Duration
	trace   func(step)
}

// ParseURL reads settings from a URL: redis://user:password@host:6379/0, or rediss:// for TLS. Further addresses are
// added by ?addr=host:port, and other settings by master, cluster, namespace, timeout, max_skew, window, wait, fallback,
// region, and elsewhere, which is the escaped URL of another region's servers:
//
//	rediss://api:secret@10.0.0.1:26379/0?addr=10.0.0.2:26379&master=main&wait=1
//
// Errors repeat nothing of the URL but its scheme and the names of these settings: a password may stand anywhere in it.
func ParseURL(s string) (Config, error) {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" {
		return Config{}, errors.New("redisstore: the URL is malformed: give redis://user:password@host:6379/0")
	}
	c := Config{Addresses: []string{u.Host}}
	switch u.Scheme {
	case "redis", "valkey":
	case "rediss", "valkeys":
		c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	default:
		return Config{}, fmt.Errorf("redisstore: the URL begins with %q: give redis:// or rediss://", u.Scheme)
	}
	if u.Port() == "" {
		c.Addresses[0] = net.JoinHostPort(u.Hostname(), "6379")
	}
	c.Username = u.User.Username()
	c.Password, _ = u.User.Password()
	if db := strings.Trim(u.Path, "/"); db != "" {
		if c.DB, err = strconv.Atoi(db); err != nil {
			return Config{}, errors.New("redisstore: the URL's path is not the number of a database: give one, such as /0, " +
				"and write / ? # and @ in a password as %2F %3F %23 and %40")
		}
	}
	for name, values := range u.Query() {
		for _, value := range values {
			if err := c.set(name, value); err != nil {
				return Config{}, fmt.Errorf("redisstore: %w", err)
			}
		}
	}
	return c, nil
}

func (c *Config) set(name, value string) (err error) {
	switch name {
	case "addr":
		c.Addresses = append(c.Addresses, value)
	case "master":
		c.Master = value
	case "cluster":
		c.Cluster, err = strconv.ParseBool(value)
	case "namespace":
		c.Namespace = value
	case "timeout":
		c.Timeout, err = time.ParseDuration(value)
	case "max_skew":
		c.MaxSkew, err = time.ParseDuration(value)
	case "window":
		c.Window, err = time.ParseDuration(value)
	case "wait":
		c.Wait, err = strconv.Atoi(value)
	case "fallback":
		c.Fallback = Fallback(value)
	case "region":
		c.Region = value
	case "elsewhere":
		var other Config
		other, err = ParseURL(value)
		c.Elsewhere = append(c.Elsewhere, other)
	default:
		return errors.New("the URL has a setting that is unknown: it takes addr, master, cluster, namespace, timeout, " +
			"max_skew, window, wait, fallback, region and elsewhere; a password stands before the host")
	}
	if err != nil {
		return fmt.Errorf("the URL's setting %s has no value of its kind: see redisstore.ParseURL", name)
	}
	return nil
}

// Validate returns what [Open] says of the settings before it connects to anything, for programs that judge their settings
// without it.
func (c Config) Validate() error {
	if err := c.settle(); err != nil {
		return fmt.Errorf("redisstore.Config: %w", err)
	}
	return nil
}

// settle gives settings their defaults and refuses what cannot work.
func (c *Config) settle() (err error) {
	if len(c.Addresses) == 0 {
		return errors.New(`Addresses is empty: give "host:port" of the server, of the Sentinels or of some nodes`)
	}
	for i, a := range c.Addresses {
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
			return fmt.Errorf("Addresses[%d] is %q: give host:port", i, a)
		}
	}
	switch {
	case c.Cluster && c.Master != "":
		return errors.New("Cluster and Master are both set: a Cluster needs no Sentinels")
	case !c.Cluster && c.Master == "" && len(c.Addresses) > 1:
		return errors.New("Addresses has several: set Master if they are Sentinels, Cluster if they are its nodes")
	case c.Cluster && c.DB != 0:
		return fmt.Errorf("DB is %d: a Cluster has only 0", c.DB)
	case c.DB < 0:
		return fmt.Errorf("DB is %d: give 0 or more", c.DB)
	case c.Username != "" && c.Password == "":
		return errors.New("Username is set without Password: give both")
	case c.Wait < 0 || c.Wait > 100:
		return fmt.Errorf("Wait is %d: give a number of replicas, or 0", c.Wait)
	case c.Fallback != FallbackNone && c.Fallback != FallbackNonce:
		return fmt.Errorf("Fallback is %q: give %q, or nothing", c.Fallback, FallbackNonce)
	case c.Retention.Lifetime < 0 || c.Retention.Leeway < 0:
		return fmt.Errorf("Retention is %+v: give positive durations, or zero for an hour and a minute", c.Retention)
	}
	if c.Namespace == "" {
		c.Namespace = DefaultNamespace
	}
	if len(c.Namespace) > 64 || strings.ContainsFunc(c.Namespace, notAllowed) {
		return fmt.Errorf("Namespace is %q: give up to 64 letters, digits and -_.:", c.Namespace)
	}
	if c.Timeout, err = between("Timeout", c.Timeout, DefaultTimeout, 5*time.Millisecond, 30*time.Second); err != nil {
		return err
	}
	if c.MaxSkew, err = between("MaxSkew", c.MaxSkew, DefaultMaxSkew, time.Millisecond, 10*time.Minute); err != nil {
		return err
	}
	if c.Window, err = between("Window", c.Window, DefaultWindow, time.Second, 2*time.Hour); err != nil {
		return err
	}
	if c.Retention.Lifetime == 0 {
		c.Retention.Lifetime = time.Hour
	}
	if c.Retention.Leeway == 0 {
		c.Retention.Leeway = time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.offset == nil {
		c.offset = func() time.Duration { return 0 }
	}
	if c.elapsed == nil {
		c.elapsed = elapsed
	}
	if c.renewal == 0 {
		c.renewal = renewEvery
	}
	if c.lease == 0 {
		c.lease = leaseFor
	}
	return c.settleRegions()
}

func notAllowed(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.:", r)
}

func between(field string, value, zero, least, most time.Duration) (time.Duration, error) {
	if value == 0 {
		value = zero
	}
	if value < least || value > most {
		return 0, fmt.Errorf("%s is %v: give a value from %v to %v, or zero for %v", field, value, least, most, zero)
	}
	return value, nil
}

// The sizes of what each connection holds, in octets; claims are small.
const buffer = 64 << 10

// options are for the client. It sends no command twice by itself: a claim that was sent again would refuse itself.
func (c *Config) options() rueidis.ClientOption {
	return rueidis.ClientOption{
		InitAddress:         c.Addresses,
		TLSConfig:           c.TLS,
		Username:            c.Username,
		Password:            c.Password,
		SelectDB:            c.DB,
		Dialer:              net.Dialer{Timeout: c.Timeout},
		ConnWriteTimeout:    c.Timeout,
		ClientName:          "senderlock",
		ClientSetInfo:       rueidis.DisableClientSetInfo,
		ForceSingleClient:   !c.Cluster,
		ReadBufferEachConn:  buffer,
		WriteBufferEachConn: buffer,
		BlockingPoolSize:    mostLent,
		DisableRetry:        true,
		DisableCache:        true,
		Sentinel: rueidis.SentinelOption{
			MasterSet:               c.Master,
			TopologyRefreshInterval: renewEvery, // a failover that the Sentinels did not announce
			TLSConfig:               c.TLS,
			Username:                c.SentinelUsername,
			Password:                c.SentinelPassword,
			Dialer:                  net.Dialer{Timeout: c.Timeout},
		},
	}
}

// sentinelOptions are for a client of one Sentinel.
func (c *Config) sentinelOptions(address string) rueidis.ClientOption {
	return rueidis.ClientOption{
		InitAddress: []string{address}, TLSConfig: c.TLS, Username: c.SentinelUsername, Password: c.SentinelPassword,
		Dialer: net.Dialer{Timeout: c.Timeout}, ConnWriteTimeout: c.Timeout, ClientSetInfo: rueidis.DisableClientSetInfo,
		ForceSingleClient: true, DisableRetry: true, DisableCache: true,
	}
}
