package session

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"golang.org/x/oauth2"

	"github.com/senderlock/senderlock/examples/codeflow"
	"github.com/senderlock/senderlock/internal/setting"
)

// LogIn logs the user in with the browser, which comes back to the redirect URI, and keeps the tokens in place of
// those of the login before, which is taken back if it was at another issuer or of another client. The key is made if
// there is none yet.
func (a App) LogIn(ctx context.Context, files *Store, s *Session, redirect string, demand codeflow.Demand) error {
	signer, made, err := files.MakeSigner()
	if err != nil {
		return err
	}
	if made {
		a.Say("Made a key: %s", files.key.Path)
	}
	if _, err := NewTransport(signer, s.API, nil, nil); err != nil {
		return err
	}
	a.Say("Asking %s what it offers.", setting.Address(s.Issuer))
	client, err := codeflow.Discover(ctx, s.config(signer))
	if err != nil {
		return err
	}
	token, err := a.askUser(ctx, client, redirect, demand)
	if err != nil {
		return err
	}
	s.take(token)
	unlock, err := files.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	old, _ := files.Load() // whatever is there, it is replaced
	if err := files.Save(s); err != nil {
		return err
	}
	a.Say("Logged in. %s", lifetime(s))
	// Where the browser was still logged in, both may be one session at the authorization server: taking back what the same
	// client had would end the new login with it.
	if old != nil && (old.Issuer != s.Issuer || old.Client != s.Client) {
		if err := a.takeBack(ctx, files, old); err != nil {
			a.Say("The login before this one could not be taken back: %v", err)
		}
	}
	return nil
}

// askUser sends the user to the authorization server and waits for the answer.
func (a App) askUser(ctx context.Context, client *codeflow.Client, redirect string, demand codeflow.Demand) (*oauth2.Token, error) {
	back, err := listen(redirect)
	if err != nil {
		return nil, err
	}
	defer back.close()
	login, address := client.Begin(back.uri, demand)
	if a.Open == nil {
		a.Say("Log in with a browser on this machine at\n\n  %s\n", address)
	} else {
		a.Say("Log in with your browser. If it does not open, go to\n\n  %s\n", address)
		a.Open(address)
	}
	return back.wait(ctx, func(answer url.Values) (*oauth2.Token, error) { return client.Finish(ctx, login, answer) })
}

func lifetime(s *Session) string {
	said := "The token is good until further notice"
	if !s.Expiry.IsZero() {
		said = fmt.Sprintf("The token is good for %v", time.Until(s.Expiry).Round(time.Second))
	}
	if s.RefreshToken == "" {
		return said + "; then log in again."
	}
	return said + " and refreshed when needed."
}

// LogOut takes the login back and deletes what it left here, if wanted with the key, so that the next one makes another.
func (a App) LogOut(ctx context.Context, files *Store, forgetKey bool) error {
	unlock, err := files.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	done := "Logged out."
	s, trouble := files.Load()
	if errors.Is(trouble, ErrLoggedOut) {
		done, trouble = "You were not logged in.", nil
	} else if trouble == nil {
		trouble = a.takeBack(ctx, files, s)
	}
	if err := files.forget(); err != nil {
		return err
	}
	if forgetKey {
		if err := files.forgetKey(); err != nil {
			return err
		}
	}
	if trouble != nil {
		return fmt.Errorf("the tokens here are deleted, but the server was not told: %w", trouble)
	}
	a.Say(done)
	return nil
}

// takeBack tells the authorization server.
func (a App) takeBack(ctx context.Context, files *Store, s *Session) error {
	if s.RefreshToken == "" {
		return nil // an access token alone ends soon
	}
	signer, err := files.Signer()
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
	a.Say("The authorization server takes no tokens back; the login ends there by itself.")
	return nil
}
