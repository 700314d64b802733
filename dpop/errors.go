package dpop

import (
	"errors"

	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/precomputed"
	"github.com/senderlock/senderlock/reason"
)

// The causes for which a proof is refused, in the order of RFC 9449 §4.3. The name in each is stable.
var (
	ErrMissing     = reason.New("proof_missing", "no DPoP field")
	ErrMultiple    = reason.New("proof_multiple", "more than one DPoP field")
	ErrTooLarge    = reason.New("proof_too_large", "the proof is larger than the accepted size")
	ErrMalformed   = jose.ErrMalformed
	ErrJSON        = jose.ErrJSON
	ErrHeader      = jose.ErrHeader
	ErrType        = jose.ErrType
	ErrAlgorithm   = jose.ErrAlgorithm
	ErrCritical    = jose.ErrCritical
	ErrKey         = jose.ErrKey
	ErrPrivateKey  = jose.ErrPrivate
	ErrKeyAlg      = jose.ErrKeyAlg
	ErrSignature   = jose.ErrSignature
	ErrClaim       = reason.New("claim_missing", "a required claim is missing")
	ErrMethod      = reason.New("htm_mismatch", "htm is not the method of the request")
	ErrTarget      = reason.New("htu_mismatch", "htu is not the URI of the request")
	ErrHost        = reason.New("host_unknown", "the request was not made to an origin of this server")
	ErrStale       = reason.New("iat_too_old", "the proof was made too long ago")
	ErrFuture      = reason.New("iat_in_future", "the proof was made in the future")
	ErrNotYet      = reason.New("nbf_in_future", "the proof is not to be accepted yet")
	ErrExpired     = reason.New("exp_past", "the proof has expired by its own word")
	ErrNoTokenHash = reason.New("ath_missing", "the proof carries no ath, and with an access token one is required")
	ErrTokenHash   = reason.New("ath_mismatch", "ath is not the hash of the access token")
	ErrReplayed    = reason.New("proof_replayed", "the proof was already used")
)

// The causes that are answered with a nonce: the client repeats the request with a new proof (RFC 9449 §9).
var (
	ErrNonceMissing = reason.New("nonce_missing", "the proof carries no nonce and one is required")
	ErrNonceForeign = reason.New("nonce_foreign", "the nonce is not one of ours")
	ErrNonceOld     = reason.New("nonce_old", "the nonce is no longer current")
	ErrRestart      = reason.New("iat_before_start", "the proof may have been used before this server started")
	// ErrOutage means that the replay store is out of reach, and the proof has no nonce that does without it.
	ErrOutage = reason.New("replay_store_down", "the proof carries no nonce of this instance, and one is required now")
	// ErrNonceElsewhere means that the proof was made for another instance, which could not reach the replay store.
	ErrNonceElsewhere = reason.New("nonce_elsewhere", "the nonce is for another instance")
	// ErrNonceRegion means that the proof was made for another region, which has a replay store of its own.
	ErrNonceRegion = reason.New("nonce_region", "the nonce is for another region")
)

// ErrStore means that the replay store could not answer.
var ErrStore = &reason.Trouble{
	Part: "replay_store", Fallback: "replay_store_unreachable", Text: "dpop: the replay store failed",
}

// ErrDisagreement means that a precomputed key and crypto/ecdsa judged one signature differently: see
// [Config.PrecomputedKeys].
var ErrDisagreement = precomputed.ErrDisagreement

// The ways in which a [Memory] cannot decide a claim.
var (
	// ErrStoreFull means that as many proofs are remembered as may be, and none has expired.
	ErrStoreFull = reason.NewTrouble("replay_memory_full", "dpop: replay memory is full")
	// ErrStoreClosed means that the memory was closed.
	ErrStoreClosed = reason.NewTrouble("replay_memory_closed", "dpop: replay memory is closed")
	// ErrNotRecorded means that the entry was written but not found afterwards.
	ErrNotRecorded = reason.NewTrouble("replay_not_recorded", "dpop: replay memory did not keep the entry")
	// ErrExpiryPast means that the proof expired before it was claimed.
	ErrExpiryPast = reason.NewTrouble("replay_expiry_past", "dpop: the proof expired before it was claimed")
	// ErrClockBack means that the clock has been further: proofs of this expiry are already forgotten.
	ErrClockBack = reason.NewTrouble("replay_clock_back", "dpop: the clock went back to a time whose proofs are already forgotten")
)

// ErrUnsigned means that [Verifier.Remember] was called before [Proof.VerifySignature] succeeded.
var ErrUnsigned = errors.New("dpop: signature not verified")

// NeedsNonce reports whether err is answered with error="use_dpop_nonce" and a nonce (RFC 9449 §9).
func NeedsNonce(err error) bool {
	return errors.Is(err, ErrNonceMissing) || errors.Is(err, ErrNonceForeign) ||
		errors.Is(err, ErrNonceOld) || errors.Is(err, ErrRestart) ||
		errors.Is(err, ErrOutage) || errors.Is(err, ErrNonceElsewhere) || errors.Is(err, ErrNonceRegion)
}
