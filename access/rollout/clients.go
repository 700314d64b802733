// Package rollout sums up, by client, what stricter demands would refuse: of those that [access.Config].ReportOnly tries,
// and of the Guard itself where an [access.Guard.UnprotectedShadow] looks on. It tells when the demands can be put in
// force: when nobody would be refused any more. It carries no RFC of its own.
package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/setting"
)

const (
	defaultMaxClients = 1000
	defaultEvery      = time.Minute
	defaultKeep       = 30 * 24 * time.Hour

	// maxReasons is how many reasons of one client are told apart. Those of policies are the application's own.
	maxReasons = 16
	// Others is where clients beyond [Config].MaxClients, and reasons beyond sixteen of a client, are counted together.
	Others = "others"

	storeLimit = 10 * time.Second
	attempts   = 10 // to swap what other instances swap too
)

// Client is what came of the requests of one client that were let on.
type Client struct {
	// Issuer and Client are those of its tokens. Both are empty for requests without a valid token, which a shadow lets on
	// too; Client alone is [Others] where clients are counted together.
	Issuer string `json:"issuer"`
	Client string `json:"client"`

	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"last_seen"`
	Requests  int64     `json:"requests"`
	// Refused would be, and Challenged would be asked for a nonce and come again. Undecided are those of which our own
	// trouble kept us from knowing.
	Refused    int64 `json:"refused"`
	Challenged int64 `json:"challenged"`
	Undecided  int64 `json:"undecided"`
	// Reasons counts why, by the stable names of the causes.
	Reasons map[string]int64 `json:"reasons,omitempty"`
}

// Share is how much of the requests would be refused, from 0 to 1.
func (c Client) Share() float64 { return float64(c.Refused) / float64(max(c.Requests, 1)) }

// Config holds the settings of [Clients]. The zero Config keeps a thousand clients in this process.
type Config struct {
	// MaxClients is how many clients are told apart; the others are counted together. Zero means 1000; 100,000 are the most.
	MaxClients int
	// Keep is for how long a client is listed that does not come any more. Zero means 30 days; an hour is the least.
	Keep time.Duration
	// Store keeps the summary for longer than the process lives, and brings those of several instances together: [File],
	// or the one of package redisstore. Nil keeps it in the process.
	Store Store
	// Every is the time between two visits to Store: how much a crash loses. Zero means a minute; a second is the least.
	Every time.Duration
	// Log hears at Error that Store failed; what was counted then waits for the next visit. Nil means [slog.Default].
	Log *slog.Logger
	// Now is the clock. Nil means [time.Now].
	Now func() time.Time
}

// Clients is the summary. Give [Clients.Observe] what the Guard's Observer hears. Its methods are safe for concurrent use.
// Close it when the server has stopped, so that Store gets the rest.
type Clients struct {
	config Config
	stop   context.CancelFunc
	ended  sync.WaitGroup

	mu   sync.Mutex
	kept table     // of Store, when it was visited last; without one there is none
	news table     // counted since
	tidy time.Time // when news was last rid of who does not come any more

	visit sync.Mutex // one at a time
}

// New checks the settings, and reads what Store keeps. Its error names the field and what to put there, or is that of
// Store.
func New(ctx context.Context, config Config) (*Clients, error) {
	c := &Clients{config: config, kept: table{}, news: table{}}
	if err := c.config.settle(); err != nil {
		return nil, fmt.Errorf("rollout.Config: %w", err)
	}
	if c.config.Store == nil {
		return c, nil
	}
	if err := c.Flush(ctx); err != nil {
		return nil, fmt.Errorf("rollout: %w", err)
	}
	ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	c.ended.Go(func() { c.visits(ctx) })
	return c, nil
}

func (c *Config) settle() error {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return errors.Join(
		setting.Between("MaxClients", &c.MaxClients, defaultMaxClients, 1, 100_000),
		setting.Between("Keep", &c.Keep, defaultKeep, time.Hour, 366*24*time.Hour),
		setting.Between("Every", &c.Every, defaultEvery, time.Second, time.Hour),
		setting.Made("Store", c.Store),
	)
}

// Observe returns an Observer that counts decisions, and tells next everything: Config.Observer of the Guard.
func (c *Clients) Observe(next access.Observer) access.Observer {
	tell := next.Decided
	next.Decided = func(ctx context.Context, d access.Decision) {
		c.count(d)
		if tell != nil {
			tell(ctx, d)
		}
	}
	return next
}

// count counts a request that was let on: of one that was refused, the refusal has told already.
func (c *Clients) count(d access.Decision) {
	would := d.WouldBe()
	if would == "" {
		return
	}
	now := c.config.Now()
	one := Client{Issuer: d.Issuer, Client: d.ClientID, FirstSeen: now, LastSeen: now, Requests: 1}
	switch would {
	case access.Refused:
		one.Refused = 1
	case access.Challenged:
		one.Challenged = 1
	case access.Unavailable:
		one.Undecided = 1
	}
	if d.Would != nil {
		one.Reasons = map[string]int64{cmp.Or(d.Would.Reason(), Others): 1}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.tidy) >= c.config.Every { // without Store, or while it fails, nothing else does
		c.news.drop(now.Add(-c.config.Keep))
		c.tidy = now
	}
	c.news.add(one, c.config.MaxClients)
}

// List returns the summary: who would be refused most comes first.
func (c *Clients) List() []Client {
	c.mu.Lock()
	all, news := c.kept.clone(), c.news.clone()
	c.mu.Unlock()
	c.join(all, news)
	return all.list()
}

// Flush brings what was counted to Store, and takes from there what other instances counted. Its error is that of Store.
func (c *Clients) Flush(ctx context.Context) error {
	if c.config.Store == nil {
		return nil
	}
	c.visit.Lock()
	defer c.visit.Unlock()
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	c.mu.Lock()
	news := c.news
	c.news = table{}
	c.mu.Unlock()
	all, err := c.swap(ctx, news)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.news.merge(news, c.config.MaxClients)
		return err
	}
	c.kept = all
	return nil
}

// swap adds to what is kept. It begins anew where another instance was faster.
func (c *Clients) swap(ctx context.Context, news table) (table, error) {
	for range attempts {
		old, err := c.config.Store.Load(ctx)
		if err != nil {
			return nil, err
		}
		all, err := decode(old)
		if err != nil {
			return nil, err
		}
		c.join(all, news)
		if len(news) == 0 {
			return all, nil
		}
		if swapped, err := c.config.Store.Swap(ctx, old, all.encode()); err != nil || swapped {
			return all, err
		}
	}
	return nil, errors.New("other instances changed the summary each time")
}

// join adds what is new to all. Who does not come any more has no room in either.
func (c *Clients) join(all, news table) {
	since := c.config.Now().Add(-c.config.Keep)
	all.drop(since)
	news.drop(since)
	all.merge(news, c.config.MaxClients)
}

// visits visits Store until the end.
func (c *Clients) visits(ctx context.Context) {
	next := time.NewTicker(c.config.Every)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		if err := c.Flush(ctx); err != nil && ctx.Err() == nil {
			c.config.Log.Error("the summary of clients was not kept", "cause", err.Error())
		}
	}
}

// Close brings the rest to Store, whose error it returns. It may be called more than once. Store is the caller's to close.
func (c *Clients) Close() error {
	if c.stop != nil {
		c.stop()
		c.ended.Wait()
	}
	return c.Flush(context.Background())
}

// id is under what a client is counted.
type id struct{ issuer, client string }

func (c *Client) id() id { return id{c.Issuer, c.Client} }

// table holds clients.
type table map[id]*Client

// add counts a client. Where there is no room it is counted with the others.
func (t table) add(c Client, most int) {
	known, others := t[c.id()], t[id{client: Others}]
	if apart := len(t); known == nil && (apart > most || apart == most && others == nil) {
		c.Issuer, c.Client = "", Others
		known = others
	}
	if known == nil {
		c.Reasons = maps.Clone(c.Reasons)
		t[c.id()] = &c
		return
	}
	if c.FirstSeen.Before(known.FirstSeen) {
		known.FirstSeen = c.FirstSeen
	}
	if c.LastSeen.After(known.LastSeen) {
		known.LastSeen = c.LastSeen
	}
	known.Requests += c.Requests
	known.Refused += c.Refused
	known.Challenged += c.Challenged
	known.Undecided += c.Undecided
	for reason, n := range c.Reasons {
		if known.Reasons == nil {
			known.Reasons = map[string]int64{}
		}
		if _, ok := known.Reasons[reason]; !ok && len(known.Reasons) >= maxReasons {
			reason = Others
		}
		known.Reasons[reason] += n
	}
}

func (t table) merge(other table, most int) {
	for _, c := range other {
		t.add(*c, most)
	}
}

func (t table) clone() table {
	all := make(table, len(t))
	for id, c := range t {
		copied := *c
		copied.Reasons = maps.Clone(c.Reasons)
		all[id] = &copied
	}
	return all
}

// drop forgets who has not come since.
func (t table) drop(since time.Time) {
	maps.DeleteFunc(t, func(_ id, c *Client) bool { return c.LastSeen.Before(since) })
}

func (t table) list() []Client {
	list := make([]Client, 0, len(t))
	for _, c := range t {
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b Client) int {
		return cmp.Or(cmp.Compare(b.Share(), a.Share()), cmp.Compare(b.Refused, a.Refused),
			cmp.Compare(a.Issuer, b.Issuer), cmp.Compare(a.Client, b.Client))
	})
	return list
}
