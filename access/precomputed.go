package access

import (
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/precomputed"
)

// PrecomputedStats returns the figures of now of [Config.PrecomputedKeys], for metrics. Disagreements counts those of
// issuers' keys as well.
func (g *Guard) PrecomputedStats() dpop.PrecomputedStats {
	if g.proofs == nil {
		return dpop.PrecomputedStats{Disagreements: precomputed.Disagreements()}
	}
	return g.proofs.PrecomputedStats()
}
