package main

import (
	"context"

	"github.com/senderlock/senderlock/examples/internal/story"
)

// logout is the command that takes the login back and deletes what it left here.
func (p program) logout(ctx context.Context, args []string) error {
	flags, folder := p.flags("logout [flags]")
	forgetKey := flags.Bool("forget-key", false, "delete the key too, so that the next login makes another")
	if err := story.Parse(flags, args, 0); err != nil {
		return err
	}
	files, err := p.openStore(*folder)
	if err != nil {
		return err
	}
	return p.app().LogOut(ctx, files, *forgetKey)
}
