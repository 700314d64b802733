package access

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/setting"
)

// ReportOnly holds demands that are stricter than those in force. They are tried on every request that was accepted;
// what they would have refused is told in [Decision].Would, and nothing else changes: they let nobody in, keep nobody
// out, and nothing of them is sent to a client.
type ReportOnly struct {
	// Requirement is demanded of every route.
	Requirement
	// Bound demands that a token is bound in some way: what Bearer and InsecureAllowBearer take would be refused.
	Bound bool
	// MaxTokenLifetime is the longest lifetime of a token. Zero does not ask.
	MaxTokenLifetime time.Duration
	// Algorithms are the algorithms of proofs. Nil does not ask.
	Algorithms []string
}

// settleReport checks the demands.
func (c *Config) settleReport() error {
	if c.ReportOnly == nil {
		return nil
	}
	report := *c.ReportOnly
	report.Requirement = report.copied()
	c.ReportOnly = &report
	if err := report.Validate(); err != nil {
		return fmt.Errorf("ReportOnly: %w", err)
	}
	if report.MaxTokenLifetime < 0 {
		return fmt.Errorf("ReportOnly.MaxTokenLifetime is %v: give a lifetime, or zero not to ask", report.MaxTokenLifetime)
	}
	if report.Algorithms == nil {
		return nil
	}
	var err error
	if report.Algorithms, err = setting.Chosen("Algorithms", report.Algorithms, dpop.Algorithms()); err != nil {
		return fmt.Errorf("ReportOnly.%w", err)
	}
	return nil
}

// report returns what an accepted request would have been refused with by the stricter demands, or nil.
func (g *Guard) report(grant *Grant) *Error {
	q := g.config.ReportOnly
	if q == nil {
		return nil
	}
	if q.Bound && grant.Binding == 0 {
		return g.refuse(grant.scheme, CodeInvalidToken, ErrUnbound.With("cnf", ""))
	}
	if q.Algorithms != nil && grant.algorithm != "" && !slices.Contains(q.Algorithms, grant.algorithm) {
		return g.refuse(grant.scheme, CodeInvalidProof, dpop.ErrAlgorithm.With("one of "+strings.Join(q.Algorithms, " "), grant.algorithm))
	}
	if q.MaxTokenLifetime > 0 {
		if err := grant.within(q.MaxTokenLifetime); err != nil {
			return g.refuse(grant.scheme, CodeInvalidToken, err)
		}
	}
	return g.compare(grant, q.Requirement)
}
