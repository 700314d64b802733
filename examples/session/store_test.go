package session_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/senderlock/senderlock/examples/session"
)

// Programs that start at the same time, where there is no key yet, share the one that the first of them makes.
func TestMakeSignerAtTheSameTime(t *testing.T) {
	folder := t.TempDir()
	var all sync.WaitGroup
	thumbprints := make(chan string, 20)
	for range cap(thumbprints) {
		all.Go(func() {
			files, err := session.Open(folder, filepath.Join(folder, "key.pem"), "")
			if err != nil {
				t.Error(err)
				return
			}
			signer, _, err := files.MakeSigner()
			if err != nil {
				t.Error(err)
				return
			}
			thumbprints <- signer.Thumbprint()
		})
	}
	all.Wait()
	close(thumbprints)
	first := <-thumbprints
	for other := range thumbprints {
		if other != first {
			t.Errorf("keys %s and %s", first, other)
		}
	}
}
