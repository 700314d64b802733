package echotest

import (
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/revocation"
)

// The settings of the record of tokens in use reach the Guard.
func (f suite) TestTokensInUse(t *testing.T) {
	register, err := revocation.NewMemory(revocation.Options{Now: poptest.NewClock().Now})
	if err != nil {
		t.Fatal(err)
	}
	recording := f.newAPI(f.newAuth(t, func(c *access.Config) { c.Register, c.Address = register, access.PeerAddress }))
	admitting := f.newAPI(f.newAuth(t, func(c *access.Config) { c.Register, c.OnlyRegistered = register, true }))
	token := bound(func(p *poptest.Token) { p.Claims = map[string]any{"jti": "t-1"} })
	call := func(a *api) int { return a.serve(signed(get(poptest.URL), token, poptest.URL)).Code }
	if status := call(admitting); status != 401 || admitting.ran() != 0 {
		t.Errorf("before it is on record: %d", status)
	}
	if status := call(recording); status != 200 {
		t.Errorf("when it is recorded: %d", status)
	}
	if status := call(admitting); status != 200 || admitting.ran() != 1 {
		t.Errorf("when it is on record: %d", status)
	}
	uses, err := register.Uses(t.Context(), poptest.Issuer, "user-1")
	if err != nil || len(uses) != 1 || uses[0].Address != "192.0.2.1" || !uses[0].Expiry.Equal(poptest.Now.Add(5*time.Minute)) {
		t.Errorf("on record: %+v, %v", uses, err)
	}
}
