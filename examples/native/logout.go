package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/senderlock/senderlock/examples/internal/codeflow"
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
	unlock, err := files.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	s, trouble := files.load()
	if errors.Is(trouble, errLoggedOut) {
		p.say("You were not logged in.")
		trouble = nil
	} else if trouble == nil {
		trouble = p.takeBack(ctx, files, s)
	}
	if err := files.forget(); err != nil {
		return err
	}
	if *forgetKey {
		if err := files.forgetKey(); err != nil {
			return err
		}
	}
	if trouble != nil {
		return fmt.Errorf("the tokens here are deleted, but the server was not told: %w", trouble)
	}
	p.say("Logged out.")
	return nil
}

// takeBack tells the authorization server.
func (p program) takeBack(ctx context.Context, files *store, s *session) error {
	if s.RefreshToken == "" {
		return nil // an access token alone ends soon
	}
	signer, err := files.loadSigner()
	if err != nil {
		return err
	}
	client, err := codeflow.Discover(ctx, s.config(signer))
	if err != nil {
		return err
	}
	if err := client.Revoke(ctx, s.RefreshToken); !errors.Is(err, codeflow.ErrNoRevocation) {
		return err
	}
	p.say("The authorization server takes no tokens back; the login ends there by itself.")
	return nil
}
