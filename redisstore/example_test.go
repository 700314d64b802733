package redisstore_test

import (
	"context"
	"log"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/redisstore"
)

// Several instances of one API: what one has accepted or taken back holds for all. They share the secrets of nonces as
// well, which any 32 octets are that nobody else knows.
func ExampleOpen() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	store, err := redisstore.Open(ctx, redisstore.Config{
		Addresses: []string{"10.0.0.1:6379"},
		Username:  "api",
		Password:  "secret",
	})
	if err != nil {
		log.Fatal(err) // names the field and what to put there, or what the server lacks
	}
	defer store.Close()
	guard, err := access.New(access.Config{
		Origins: []string{"https://api.example.com"},
		Issuers: []access.Issuer{{URL: "https://login.example.com", Audience: "https://api.example.com"}},
		Shared:  store, // both memories, on one round trip
		Nonces:  dpop.Nonces{Secrets: [][]byte{[]byte("32 octets that nobody else knows")}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()
}
