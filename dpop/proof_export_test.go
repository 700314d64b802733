package dpop

// VerifiedBefore is [Proof.VerifySignature] for a proof whose signature was found to be good.
func (p *Proof) VerifiedBefore() { p.signed = true }
