package access

import (
	"fmt"
	"net/http"

	"github.com/senderlock/senderlock/reason"
)

// Policy is a further demand on a request: a client's address, an account's state. It returns nil to let the
// request go on. To refuse, it returns an [*Error] of its own, or a cause of this package, which is answered as
// invalid_token; any other error is our own trouble and is answered with 503, and so is a panic. It must be safe for
// concurrent use.
type Policy func(r *http.Request, grant *Grant) error

func validPolicies(policies []Policy) error {
	for i, policy := range policies {
		if policy == nil {
			return fmt.Errorf("Policies[%d] is nil: give a function, or leave it out", i)
		}
	}
	return nil
}

// applyPolicies returns the first refusal.
func applyPolicies(policies []Policy, r *http.Request, grant *Grant) error {
	for _, policy := range policies {
		if err := guarded("a Policy", func() error { return policy(r, grant) }); err != nil {
			return ours(errPolicy, err)
		}
	}
	return nil
}

// errPanic means that code of the application panicked. That ends one request, and never the process.
var errPanic = reason.NewTrouble("panic", "access: code of the application panicked")

// guarded calls code of the application, whose panic is our own trouble.
func guarded(what string, call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errPanic.With("", what).Because(fmt.Errorf("%v", p))
		}
	}()
	return call()
}
