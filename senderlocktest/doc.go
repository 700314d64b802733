// Package senderlocktest has what a test of a protected API needs: an [Issuer] with discovery and key set, a [Client]
// with a key that signs proofs, certificates, and a [Clock] that stands still. [Config] puts them together, so that
// handlers, policies and whole servers are tested as they run:
//
//	clock := senderlocktest.NewClock()
//	issuer := senderlocktest.NewIssuer(clock)
//	defer issuer.Close()
//	client := senderlocktest.NewClient(clock)
//	guard, err := access.New(senderlocktest.Config(issuer, clock))
//	…
//	token := issuer.Token(senderlocktest.Token{Client: client, Scopes: []string{"accounts:read"}})
//	r := client.Sign(httptest.NewRequest("GET", senderlocktest.Origin+"/accounts", nil), token)
//
// A handler alone needs none of it: give it a context of [access.WithGrant]. What is refused can be made as well, by
// another client, a token of another lifetime, a clock that has moved on. What ends a token before its time as well: the
// issuer reports logouts and other events, for package revocation/events.
//
// It is for tests: keys are made anew each time, and whoever has an Issuer can mint any token. What cannot be made, such
// as a proof for an address that is none, panics.
package senderlocktest
