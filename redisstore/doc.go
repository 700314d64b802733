// Package redisstore is the memory that many instances of an API share, on Redis or Valkey: of the proofs that were
// used ([dpop.ReplayStore], RFC 9449 §11.1) and of the tokens that were taken back ([revocation.Store]). A proof that
// one instance accepted is refused by all, and a revocation holds everywhere once its call has returned. It works with
// a single server, with Sentinel and with a Cluster.
//
//	store, err := redisstore.OpenURL(ctx, "rediss://api:secret@redis.example.com:6379/0")
//	if err != nil {
//		log.Fatal(err) // names the setting, or what is wrong with the server
//	}
//	auth, err := echoauth.New(echoauth.Config{
//		…
//		Replay: store, Revocation: store, Nonces: dpop.Nonces{Secrets: secrets},
//	})
//
// # What is exact
//
// A claim is one command, SET NX PX, sent to the master. Of any number of claims of one proof, at any instances at the
// same time, one is answered as fresh. A call that is not answered within Timeout has failed, and its request is
// refused with 503; whether it was recorded is then unknown, so the same proof may be refused as used, never accepted
// again. With one Store as both memories, the claim travels with the look-up of revocations: one round trip for a
// request. The proof of a revoked token is then used up too, which does no harm. Look-ups are not cached: rueidis could
// keep them in the instance and save the round trip, but an invalidation arrives after Revoke has returned, and over a
// half-open connection not before it is given up.
//
// # What a server can lose
//
// Replication is asynchronous, and a server that is killed keeps what it has on disk: with the usual snapshots, the
// state of minutes ago. A server that was restarted, or a replica that took over, may lack the newest claims, or all.
// So the Store asks every server for the identity of its process and of its replication history: before it uses a
// connection, once a second, and a replica also before it believes what that answers. When it is a new one,
// [Store.Since] moves: proofs that may have been used before are answered with use_dpop_nonce, and nothing is accepted
// twice, however the server is kept. It costs clients one more round trip for Skew + MaxSkew. What that cannot see:
//
//   - Two masters at the same time. If the network is cut and a replica is promoted while some instances still reach
//     the old master, both sides accept a proof. Set Wait to the number of replicas, so that a master which is cut off
//     confirms nothing, or min-replicas-to-write on the server, which does the same some seconds late.
//   - Keys that are deleted: FLUSHALL, another program in the same Namespace, a server whose clock is set forward. Keep
//     the server to the API. Eviction is refused: maxmemory-policy must be noeviction, which Open and a look once a
//     second demand. A full server then refuses claims, and requests get 503.
//   - What a proxy hides. Connect to the servers themselves: INFO must come from the process that takes the claims.
//   - A master that is made a replica and a master again within a second by hand, with its connections left open.
//
// Revocations are not protected in that way: to be sure, an instance would have to refuse every token issued before.
// They are as durable as the server is. Use appendonly yes with appendfsync always, and Wait; what Revoke confirmed with
// both survives a restart and a failover to any of the replicas that Wait counted. With fewer guarantees, a revocation
// of the last moments can be lost with the master, and tokens live on until they expire: keep them short-lived.
//
// # Clocks
//
// The server's clock does not matter as long as it runs evenly: the time to live is sent as a duration. Those of the
// instances may differ by MaxSkew at most, by which everything is kept longer. An instance whose clock is set back
// refuses proofs and tokens of the time that it has already seen pass. Clocks that differ by more than MaxSkew are not
// noticed: a proof that the one ahead accepted can be forgotten before it has expired for the one behind.
//
// # Failure
//
// Down, slow, halted, read-only, full, loading, failing over, half-open: each call fails within Timeout, or a little
// more if it had to wait for another's attempt to connect, and calls succeed again when the server does. With
// [FallbackNonce] an instance that cannot reach the server goes on alone: it demands a nonce that it issues for itself
// and remembers those proofs in its own memory. Every other instance refuses such a proof, always, so it is accepted
// once at most; and an instance that is started anew refuses those of the life before. (It does not start while the
// server is out of reach: Open fails.) It needs a load balancer that
// brings a client back to the same instance. Revocations cannot be looked up in an outage, so it serves only where they
// come from elsewhere, such as a revocation.File, or are not used.
//
// # Secrets of nonces
//
// Instances need the same dpop.Nonces: Secrets and Period. To rotate, give all instances the new secret as the second,
// then make it the first, then drop the old one. Let two periods and the time of a deployment pass between the steps;
// instances may be at neighbouring steps meanwhile.
package redisstore
