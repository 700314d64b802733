package main

import (
	"net/http"
	"time"

	"github.com/senderlock/senderlock/access"
)

// step is the API at one time of the rollout.
type step struct {
	name string
	// settings are those of the Guard beyond Origins and Issuers.
	settings func(*access.Config)
	// shadow says that somebody else protects the API, and the Guard looks on.
	shadow bool
}

// steps are the five.
func steps() []step {
	legacy := access.Bearer{Clients: []string{"first"}, Until: time.Now().Add(24 * time.Hour)}
	ended := legacy
	ended.Until = time.Now()
	return []step{
		{name: "1. The Guard looks on.", shadow: true, settings: func(*access.Config) {}},
		{name: "2. It takes over; bearer tokens of the first client are named, with an end.", settings: func(c *access.Config) {
			c.Bearer, c.ReportOnly = []access.Bearer{legacy}, &access.ReportOnly{Bound: true}
		}},
		{name: "3. The first client learns to prove itself.", settings: func(c *access.Config) {
			c.Bearer, c.ReportOnly = []access.Bearer{legacy}, &access.ReportOnly{Bound: true}
		}},
		{name: "4. The end of bearer tokens; a nonce is tried.", settings: func(c *access.Config) {
			c.Bearer, c.ReportOnly = []access.Bearer{ended}, &access.ReportOnly{Requirement: access.Requirement{Nonce: true}}
		}},
		{name: "5. The nonce is in force.", settings: func(c *access.Config) { c.RequireNonce = true }},
	}
}

// handler is the API in a step, as you would write it.
func (t step) handler(guard *access.Guard) http.Handler {
	mux := http.NewServeMux()
	accounts := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("balance: 100\n")) })
	if t.shadow {
		mux.Handle("GET /accounts", guard.UnprotectedShadow(todays(accounts)))
	} else {
		mux.Handle("GET /accounts", guard.Handler(accounts))
	}
	return mux
}

// todays stands for the authentication of today, which knows tokens and nothing of senders.
func todays(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
