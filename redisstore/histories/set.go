package histories

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// The operations of a history.
const (
	// Prove sends a proof to an instance.
	Prove = iota
	// Revoke takes a subject back.
	Revoke
	// Ask looks whether a subject was taken back.
	Ask
)

// Call is what was asked about a proof or a subject.
type Call struct {
	Op   int
	Name string
}

// Answer is what came of it: Yes if the proof was accepted, the revocation confirmed, the subject not found revoked.
// Everything else, refusals and failures alike, decides nothing.
type Answer struct{ Yes bool }

// Set is the model: a set that may only refuse. It refuses whenever it likes; what it accepts it has not accepted before,
// and what it says not to be revoked is not.
var Set = porcupine.Model{
	Partition: byName,
	Init:      func() any { return false },
	Step: func(state, input, output any) (bool, any) {
		held, call, answer := state.(bool), input.(Call), output.(Answer)
		if !answer.Yes {
			return true, held
		}
		if call.Op == Revoke {
			return true, true
		}
		return !held, held || call.Op == Prove
	},
	DescribeOperation: func(input, output any) string {
		call, answer := input.(Call), output.(Answer)
		what := [...][2]string{Prove: {"refused", "ACCEPTED"}, Revoke: {"failed", "REVOKED"}, Ask: {"revoked or failed", "NOT REVOKED"}}
		n := 0
		if answer.Yes {
			n = 1
		}
		return fmt.Sprintf("%s: %s", call.Name, what[call.Op][n])
	},
}

// byName takes a history apart: no proof and no subject concerns another.
func byName(history []porcupine.Operation) [][]porcupine.Operation {
	at := map[string]int{}
	var parts [][]porcupine.Operation
	for _, o := range history {
		name := o.Input.(Call).Name
		i, known := at[name]
		if !known {
			i = len(parts)
			at[name], parts = i, append(parts, nil)
		}
		parts[i] = append(parts[i], o)
	}
	return parts
}
