package conformance

import (
	"context"
	"fmt"
	"sync"

	"github.com/senderlock/senderlock/conformance/internal/cases"
	"github.com/senderlock/senderlock/conformance/internal/recipe"
)

// floodLines is how many connections a flood has.
const floodLines = 4

// flood sends good requests by the client of a step, each with a proof of its own, so that a memory of used proofs that
// forgets by number forgets the one before them.
func (r *runner) flood(ctx context.Context, state *recipe.State, s *cases.Step, target endpoint) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	of := state.Fork()
	requests, refused := make(chan *recipe.Sent), make(chan error, floodLines)
	var lines sync.WaitGroup
	for range floodLines {
		lines.Go(func() {
			if err := r.line(ctx, target, requests); err != nil {
				refused <- err
				cancel()
			}
		})
	}
	step := &cases.Step{Same: true, Send: cases.Request{Endpoint: s.Send.Endpoint, Token: s.Send.Token}}
	var err error
	for range r.options.Flood {
		var sent *recipe.Sent
		if sent, err = r.build(of, step, target); err != nil {
			break
		}
		select {
		case requests <- sent:
		case <-ctx.Done():
		}
	}
	close(requests)
	lines.Wait()
	select {
	case err := <-refused:
		return &skipped{"the server does not take that many requests: " + visible(err.Error())}
	default:
		return err
	}
}

// line sends requests over one connection, and a new one when the server has closed it.
func (r *runner) line(ctx context.Context, target endpoint, requests <-chan *recipe.Sent) error {
	var conn *kept
	defer func() {
		if conn != nil {
			_ = conn.Close()
		}
	}()
	for s := range requests {
		if ctx.Err() != nil {
			return nil // another line has said why
		}
		answer, err := r.next(ctx, target, s, &conn)
		if err != nil {
			return err
		}
		if answer.err != nil || answer.status/100 != 2 {
			return fmt.Errorf("%s: %w", answer.brief(), errFlood)
		}
	}
	return nil
}

// next sends a request over the connection of a line; a second time if the connection had been closed meanwhile.
func (r *runner) next(ctx context.Context, target endpoint, s *recipe.Sent, conn **kept) (*response, error) {
	if r.options.HTTP2 {
		answers, err := r.exchange(ctx, target.URL, s, 1)
		if err != nil {
			return nil, err
		}
		return answers[0], nil
	}
	for {
		fresh := *conn == nil
		if fresh {
			dialled, _, err := r.dial(ctx, target.URL, s)
			if err != nil {
				return nil, err
			}
			*conn = keep(dialled)
		}
		answer := (*conn).send(s, r.options.Timeout)
		if answer.err != nil || answer.last {
			_ = (*conn).Close()
			*conn = nil
		}
		if answer.err == nil || fresh {
			return answer, nil
		}
	}
}
