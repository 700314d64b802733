package histories_test

import (
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/senderlock/senderlock/redisstore/histories"
)

// What the model lets pass, and what it does not.
func TestSet(t *testing.T) {
	op := func(kind int, from, to int64, yes bool) porcupine.Operation {
		return porcupine.Operation{
			ClientId: int(from), Input: histories.Call{Op: kind, Name: "a"}, Call: from, Output: histories.Answer{Yes: yes}, Return: to,
		}
	}
	const prove, revoke, ask = histories.Prove, histories.Revoke, histories.Ask
	for name, c := range map[string]struct {
		history []porcupine.Operation
		want    bool
	}{
		"accepted once":                       {[]porcupine.Operation{op(prove, 1, 5, true), op(prove, 2, 6, false)}, true},
		"refused, then accepted":              {[]porcupine.Operation{op(prove, 1, 2, false), op(prove, 3, 4, true)}, true},
		"accepted twice":                      {[]porcupine.Operation{op(prove, 1, 2, true), op(prove, 3, 4, true)}, false},
		"accepted twice at once":              {[]porcupine.Operation{op(prove, 1, 4, true), op(prove, 2, 3, true)}, false},
		"asked while it is revoked":           {[]porcupine.Operation{op(revoke, 1, 4, true), op(ask, 2, 5, true)}, true},
		"asked after it was revoked":          {[]porcupine.Operation{op(revoke, 1, 2, true), op(ask, 3, 4, true)}, false},
		"asked after it was refused":          {[]porcupine.Operation{op(revoke, 1, 2, false), op(ask, 3, 4, true)}, true},
		"found revoked before it was":         {[]porcupine.Operation{op(ask, 1, 2, false), op(revoke, 3, 4, true)}, true},
		"seen as revoked, and no more by all": {[]porcupine.Operation{op(revoke, 1, 2, true), op(ask, 3, 4, false), op(ask, 5, 6, true)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := porcupine.CheckOperations(histories.Set, c.history); got != c.want {
				t.Errorf("linearizable: %t", got)
			}
		})
	}
}
