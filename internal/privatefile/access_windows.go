package privatefile

import "io/fs"

func readable(fs.FileInfo) error { return nil }

func changeable(fs.FileInfo) error { return nil }

// SyncFolder does nothing: folders cannot be synced here.
func SyncFolder(string) error { return nil }
