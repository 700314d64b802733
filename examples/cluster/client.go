package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// httpClient is for all requests of the program. None leaves this machine.
var httpClient = &http.Client{Timeout: 10 * time.Second}

// signer makes the proofs of one key (RFC 9449 §4.2).
type signer struct {
	private jwk.Key
	header  jws.Headers
}

func newSigner() (*signer, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := jwk.FromRaw(private)
	if err != nil {
		return nil, err
	}
	public, err := key.PublicKey()
	if err != nil {
		return nil, err
	}
	header := jws.NewHeaders()
	return &signer{key, header}, errors.Join(header.Set(jws.TypeKey, "dpop+jwt"), header.Set(jws.JWKKey, public))
}

// sign makes a proof for one request. The token and the nonce may be empty.
func (s *signer) sign(method, url, token, nonce string) (string, error) {
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": url, "iat": time.Now().Unix()}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	proof, err := jws.Sign(payload, jws.WithKey(jwa.ES256, s.private, jws.WithProtectedHeaders(s.header)))
	return string(proof), err
}

// walletSecret is the password of the client at the development authorization server.
const walletSecret = "not a secret"

// newToken asks for an access token that is bound to the client's key (RFC 9449 §5), twice if the server wants a nonce.
func (s *stage) newToken(ctx context.Context) string {
	var nonce string
	for range 2 {
		proof, err := s.key.sign(http.MethodPost, s.issuer+"/token", "", nonce)
		s.note(err)
		form := strings.NewReader(url.Values{"grant_type": {"client_credentials"}}.Encode())
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.issuer+"/token", form)
		s.note(err)
		r.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Dpop": {proof}}
		r.SetBasicAuth("wallet", walletSecret)
		response, err := httpClient.Do(r)
		if err != nil {
			s.note(err)
			return ""
		}
		var body struct {
			AccessToken string `json:"access_token"`
			Error       string `json:"error"`
		}
		s.note(json.NewDecoder(response.Body).Decode(&body))
		_ = response.Body.Close()
		if body.AccessToken != "" {
			return body.AccessToken
		}
		if nonce = response.Header.Get("DPoP-Nonce"); body.Error != "use_dpop_nonce" {
			s.note(fmt.Errorf("no token: %s", body.Error))
			return ""
		}
	}
	return ""
}
