// Package redisstore is the memory that many instances of an API share, on Redis 7 or later, or Valkey: of the proofs
// that were used ([dpop.ReplayStore], RFC 9449 §11.1) and of the tokens that were taken back ([revocation.Store]). A
// proof that one instance accepted is refused by all, and a revocation holds everywhere once its call has returned. It
// works with a single server, with Sentinel and with a Cluster.
//
//	store, err := redisstore.OpenURL(ctx, "rediss://api:secret@redis.example.com:6379/0")
//	if err != nil {
//		log.Fatal(err) // names the setting, or what is wrong with the server
//	}
//	guard, err := access.New(access.Config{
//		…
//		Shared: store, Nonces: dpop.Nonces{Secrets: secrets},
//	})
//
// # One claim
//
// A claim is one step of a script at the master, which nothing else comes between: it looks at the marker of the memory,
// then makes the key if there is none. Of any number of claims of one proof, at any instances at the same time, one is
// answered as fresh. A call that is not answered within Timeout has failed, and its request is refused with 503; whether
// it was recorded is then unknown, so the same proof may be refused as used, never accepted again. With a Store as
// access.Config.Shared the look-up of revocations is part of the same step: one round trip for a request (in a Cluster one to
// each server concerned, at once). The proof of a revoked token is then used up too, which does no harm. Nothing is
// cached: rueidis could keep look-ups in the instance and save the round trip, but an invalidation arrives after Revoke
// has returned, and over a half-open connection not before it is given up.
//
// # Epochs
//
// Replication is asynchronous, and a server that is killed keeps what it has on disk: the state of minutes ago, or
// nothing. So whoever answers next may lack the newest claims. An epoch is a time in which one process of a server has
// forgotten nothing, and [Store.Since] says since when an instance can rely on that. Proofs that may have been used
// before are answered with use_dpop_nonce, which costs a client one more round trip for Skew + MaxSkew.
//
//   - The epoch has a marker among the keys: a random name, its beginning, and a count. It also has a script, which is
//     loaded in the same step that writes the marker, and never again. A server keeps scripts in its process: a replica
//     that takes over, a process that reads a snapshot, or a node that gets a slot, may have a copy of the marker, and
//     has not the script. Every claim and every look-up is made by that script, so another answerer shows in the step
//     itself, whatever the connection is and however it came about.
//   - The count is raised once a second. A marker that is gone, is another, or counts less than was seen before shows in
//     the same step: FLUSHALL, SWAPDB, a snapshot that was put back.
//   - Once a second an instance also compares the identity of the process and of its replication history, the number of
//     evicted keys, in either direction, the eviction policy, and in a Cluster the epoch of the node.
//   - An instance holds an epoch for two seconds after it last renewed it, by a clock that runs while the machine sleeps
//     (CLOCK_BOOTTIME on Linux; elsewhere the later of wall clock and monotonic clock). That is looked at before a call
//     is sent and after it was answered. A renewal says until when it counts, so that none is executed late.
//   - Whatever of that fails ends the epoch. What was known before is not believed again: there and back is two changes.
//   - An instance never takes its beginning from what a server says of itself. It is its own start, unless it sees
//     another instance renew the epoch that knows of its beginning; then it takes that over. So a rolling deployment
//     costs no client a round trip. If nobody renews for three seconds, one of those who watch begins a new epoch with
//     its own start. A fleet that starts as a whole waits once.
//
// In a Cluster the keys lie in 64 buckets by hash tag, each with its own marker; Since is the latest of theirs.
//
// # What is promised, and under which setting
//
// No proof is accepted twice, and no revocation that was confirmed and kept is overlooked, by instances that run on and
// by new ones, with any persistence or none:
//
//   - with a single server that is killed, halted, restarted, emptied or given an old state;
//   - with Sentinel, a Cluster, or one name that leads to another server (DNS, a virtual address, a managed service),
//     through failovers there and back, as long as there are not two masters at the same time for the instances;
//   - with Wait also with two masters, if Wait is the number of all replicas that may be promoted. Then a master that is
//     cut off confirms nothing: neither a claim, nor that something was not revoked, because each look-up is followed by
//     a write in the same step (the request's own claim, or a key that lives for a second) which the replicas must have.
//
// What is not promised, and what closes it:
//
//   - Two masters at once without Wait. If the network is cut and a replica is promoted while some instances still reach
//     the old master, both sides accept a proof, and the side of the old one misses revocations, until it is demoted:
//     with Sentinel and a Cluster that is when the network is whole again. The same holds for a new instance that meets
//     the old master alone. Set Wait; or min-replicas-to-write, which does the same some seconds late
//     (min-replicas-max-lag), for look-ups too.
//   - A Wait that is smaller than the number of replicas that may be promoted. The one that takes over may be one that
//     nobody waited for. Set replica-priority 0 on the others (cluster-replica-no-failover in a Cluster), or raise Wait.
//     Open refuses it where Sentinels say how many there are; elsewhere nobody does.
//   - A failover there and back within two seconds, for an instance that called nobody meanwhile. Let
//     down-after-milliseconds, or cluster-node-timeout, be two seconds or more.
//   - Keys that are evicted, and proofs that come again before the count is next looked at, within a second. Eviction is
//     refused: maxmemory-policy must be noeviction, which Open and each renewal demand, so somebody has to switch it on.
//     Do not give anybody CONFIG.
//   - A master that is made a replica, is given another's state, and made a master again, by hand, between two renewals,
//     and single keys of the Namespace that somebody deletes. Keep the server to the API, and its rights to those of
//     [Store].
//   - What a proxy hides that spreads commands over servers. Connect to the servers themselves.
//
// A full server refuses: with noeviction it takes no claim, and requests get 503, look-ups included.
//
// # Revocations
//
// They are as durable as the server is; an instance would have to refuse every token issued before to be sure without
// one. Use appendonly yes with appendfsync always, and Wait: what Revoke confirmed with both survives a restart and a
// failover to any of the replicas that Wait counted. With fewer guarantees a revocation of the last moments can be lost
// with the master (a second with appendfsync everysec, what the replica lagged behind with a failover), and its tokens
// live on until they expire: keep them short-lived. Without Wait an instance that still reaches an old master does not
// see a revocation that was confirmed by the new one, until the old one is demoted; from then on it fails, drops its
// connections, resolves the name again, and sees it.
//
// # Clocks
//
// The server's time comes with every answer. An instance whose clock differs from it by more than MaxSkew decides nothing
// ([ErrClock], 503) until it is right, and then goes on at once. A claim lives for the whole Window from when the server
// takes it, twice MaxSkew and Timeout longer, whatever the instance's clock says; a revocation ends at an instant of the
// server's clock. So a clock that is set, forward or back, shortens nothing. What remains: a server whose clock jumps
// ahead, drops what seems to be over, and is set back between two renewals.
//
// docs/exactness.md says for each line which test or model shows it, and how to check it at servers of one's own.
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
// # Regions
//
// Where each of several regions has servers of its own, no claim is made across: it would take as long as the way. Name the
// region in Config.Region and, alike, in dpop.Nonces.Region: every proof then needs a nonce, which names its region and
// counts nowhere else, so that a proof counts in one. A client that is led to another region makes a new one, which costs
// it a round trip. Revocations go to all regions ([Config].Elsewhere): Revoke returns nil when it holds in each, and
// [Store.RevokeEverywhere] says since when it does, and where it may not. Look-ups ask the own region alone.
//
// # Secrets of nonces
//
// Instances need the same dpop.Nonces: Secrets and Period. To rotate, give all instances the new secret as the second,
// then make it the first, then drop the old one. Let two periods and the time of a deployment pass between the steps;
// instances may be at neighbouring steps meanwhile.
package redisstore
