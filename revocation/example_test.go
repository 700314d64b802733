package revocation_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/senderlock/senderlock/revocation"
)

// A device is lost: what was issued to its key so far is taken back, and what is issued from now on is not.
func ExampleNewMemory() {
	now := time.Date(2030, time.January, 1, 12, 0, 0, 0, time.UTC)
	store, err := revocation.NewMemory(revocation.Options{Now: func() time.Time { return now }})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	ctx := context.Background()
	err = store.Revoke(ctx, revocation.Entry{
		Issuer: "https://login.example.com", By: revocation.ByKey, Value: "the key's thumbprint", Before: now,
	})
	if err != nil {
		log.Fatal(err) // it must be taken as not in force
	}

	for _, issued := range []time.Time{now.Add(-time.Minute), now.Add(time.Minute)} {
		entry, err := store.Revoked(ctx, revocation.Token{ // access.Guard asks so about each request
			Issuer: "https://login.example.com", KeyThumbprint: "the key's thumbprint",
			IssuedAt: issued, Expiry: issued.Add(5 * time.Minute),
		})
		if err != nil {
			log.Fatal(err) // the request is refused
		}
		fmt.Println(entry != nil)
	}
	// Output:
	// true
	// false
}

// What is taken back stays so when the server is started again.
func ExampleOpen() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "revocations.db")

	store, err := revocation.Open(path, revocation.Options{})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	err = store.Revoke(ctx, revocation.Entry{
		Issuer: "https://login.example.com", By: revocation.BySession, Value: "session-1",
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := store.Close(); err != nil {
		log.Fatal(err)
	}

	store, err = revocation.Open(path, revocation.Options{}) // after a restart
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	entry, err := store.Revoked(ctx, revocation.Token{
		Issuer: "https://login.example.com", Session: "session-1",
		IssuedAt: time.Now(), Expiry: time.Now().Add(5 * time.Minute),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(entry.By, entry.Value)
	// Output: session session-1
}
