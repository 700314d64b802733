package access

import (
	"context"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/senderlock/senderlock/reason"
)

// lastWord is how much longer a request waits than what it asks may take, which says why it ended, such as that nobody
// listens: that is more than that it took too long.
const lastWord = 100 * time.Millisecond

// await waits for what is asked once for all that want it, which may take so long, and may heed no context.
func await(ctx context.Context, question <-chan singleflight.Result, limit time.Duration, trouble *reason.Trouble) (any, error) {
	waiting, cancel := context.WithTimeout(ctx, limit+lastWord)
	defer cancel()
	select {
	case got := <-question:
		return got.Val, got.Err
	case <-waiting.Done():
		return nil, trouble.Because(context.Cause(waiting))
	}
}
