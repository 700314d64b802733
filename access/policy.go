package access

import (
	"fmt"
	"net/http"
)

// Policy is a further demand on a request: a client's address, an account's state. It returns nil to let the
// request go on. To refuse, it returns an [*Error] of its own, or a cause of this package, which is answered as
// invalid_token; any other error is our own trouble and is answered with 503. It must be safe for concurrent use.
type Policy func(r *http.Request, grant *Grant) error

func validPolicies(policies []Policy) error {
	for i, policy := range policies {
		if policy == nil {
			return fmt.Errorf("Policies[%d] is nil: give a function, or leave it out", i)
		}
	}
	return nil
}

// ask returns the first refusal.
func ask(policies []Policy, r *http.Request, grant *Grant) error {
	for _, policy := range policies {
		if err := policy(r, grant); err != nil {
			return err
		}
	}
	return nil
}
