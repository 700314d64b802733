// Package histories records what instances of an API accept and look up on real servers of Redis while those come to
// harm, and has Porcupine check the record against a set that may only refuse: a proof is accepted once at most, and
// whoever asks after a revocation was confirmed hears of it. It is a module of its own, because nobody who imports the
// library needs Porcupine. docs/exactness.md says how to let it look at servers of one's own.
package histories
