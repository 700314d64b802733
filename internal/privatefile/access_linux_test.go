package privatefile_test

import (
	"testing"

	"github.com/senderlock/senderlock/internal/privatefile"
)

// What cannot be synced is not said to be durable. Linux refuses that for devices.
func TestSyncFolder(t *testing.T) {
	if err := privatefile.SyncFolder(t.TempDir()); err != nil {
		t.Error(err)
	}
	if err := privatefile.SyncFolder("/dev/null"); err == nil {
		t.Error("no error for what cannot be synced")
	}
}
