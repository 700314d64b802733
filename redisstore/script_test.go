package redisstore_test

import (
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/redistest"
	"github.com/senderlock/senderlock/redisstore"
)

// Instances of two releases that run beside each other share epochs, and know their script by its text. With another text,
// be it of a comment, each would end the epochs of the other, and hardly a proof be accepted: a release
// must know both before one uses the new.
func TestScriptOfOtherReleases(t *testing.T) {
	t.Parallel()
	if name := redisstore.ScriptName("epoch"); name != "6910cde616961a4ec7d1db5cf0c06f5df9077810" {
		t.Errorf("the script of 0.1 has another name than %s", name)
	}
}

// On this everything rests: a server has the script of an epoch in its process alone. A copy that replicates, or that
// reads what was written to disk in either form, has the marker, and not the script.
func TestScriptsAreNotCopied(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	early := redistest.Replica(t, server)
	s := openOn(t, server)
	mustClaim(t, s, "any")
	script := redisstore.ClaimCommand(s, "", time.Minute)[1]
	late := redistest.Replica(t, server)
	known := func(s *redistest.Server) bool { return s.Do("SCRIPT", "EXISTS", script) == "1" }
	if !known(server) {
		t.Fatal("the server does not know the script")
	}
	id, _, _ := strings.Cut(server.Do("GET", "senderlock:epoch"), " ")
	has := func(s *redistest.Server) bool { return strings.HasPrefix(s.Do("GET", "senderlock:epoch"), id) }
	server.Must("SAVE")
	for name, replica := range map[string]*redistest.Server{"replicates from the beginning": early, "gets the whole": late} {
		redistest.Wait(t, "the replica has the marker", func() bool { return has(replica) })
		replica.Must("REPLICAOF", "NO", "ONE")
		if known(replica) {
			t.Errorf("a replica that %s has the script", name)
		}
	}
	_ = s.Close()
	for range 2 { // from the log of commands, and from what it was rewritten to
		server.Kill()
		server.Restart()
		if !has(server) || known(server) {
			t.Errorf("after a restart the server has the marker: %t, and the script: %t", has(server), known(server))
		}
		server.Do("BGREWRITEAOF")
		redistest.Wait(t, "it is rewritten", func() bool {
			return strings.Contains(server.Do("INFO", "persistence"), "aof_rewrite_in_progress:0")
		})
	}
}
