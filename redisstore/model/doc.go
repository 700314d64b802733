// Package model is the protocol of redisstore as a model for SPIN (epochs.pml), and the test that checks it: no proof is
// accepted twice, by three instances, through a restart of a server and a failover there and back at every point. Each
// rule can be taken away, and each thing that the protocol excludes be let happen: the test expects a counterexample.
// With TRACE the model does what an instance was seen to do at real servers, if it can: redisstore has that test.
//
// What is abstract: time is order. A proof is old for an instance if it was made before its Since; two seconds pass for
// everybody in a failover there, and for anybody at any time. A count is told only from what was seen before. What is
// executed and answered within a lease is one step, except a claim, whose answer takes its time; a rule that forbids
// more is taken away together with that. Connections lead to whatever server can be reached. Revocations are not in it.
package model
