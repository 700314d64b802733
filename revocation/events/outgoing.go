package events

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/senderlock/senderlock/internal/setting"
)

// The pauses between requests of ours that fail.
const (
	firstPause   = time.Second
	longestPause = 5 * time.Minute
)

// endpoint refuses an address of the provider to which nothing may be sent.
func endpoint(address, what string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && setting.Loopback(u.Hostname())) {
		return fmt.Errorf("Endpoint is %s: give the https address at which the provider %s", setting.Address(address), what)
	}
	return nil
}

// direct is a client that follows no redirect.
func direct(c *http.Client, timeout time.Duration) (client http.Client) {
	if c != nil {
		client = *c
	}
	client.Timeout = timeout
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client
}

// retryIn is what an answer asks to wait, if it does so in seconds.
func retryIn(h http.Header) time.Duration {
	seconds, _ := strconv.Atoi(h.Get("Retry-After"))
	return time.Duration(max(0, min(seconds, 3600))) * time.Second
}

// sleep returns false if the end came first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
