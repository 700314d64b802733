package codeflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/senderlock/senderlock/internal/setting"
)

// maxMetadata bounds a metadata document, in octets.
const maxMetadata = 1 << 20

// metadata is what an authorization server says of itself (RFC 8414 §2, RFC 9449 §5.1, RFC 9207 §3).
type metadata struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Revocation    string   `json:"revocation_endpoint"`
	Challenges    []string `json:"code_challenge_methods_supported"`
	Algorithms    []string `json:"dpop_signing_alg_values_supported"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	NamesIssuer   bool     `json:"authorization_response_iss_parameter_supported"`
}

// discover finds the metadata of an issuer where OAuth puts it, or else where OpenID Connect does.
func discover(ctx context.Context, client *http.Client, issuer string) (*metadata, error) {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("the issuer is %s: give an address such as https://login.example.com", setting.Address(issuer))
	}
	if err := Confidential(issuer); err != nil {
		return nil, err
	}
	root, path := u.Scheme+"://"+u.Host, strings.TrimSuffix(u.EscapedPath(), "/")
	m, err := fetch(ctx, client, root+"/.well-known/oauth-authorization-server"+path)
	if err != nil {
		var second error
		if m, second = fetch(ctx, client, root+path+"/.well-known/openid-configuration"); second != nil {
			return nil, fmt.Errorf("%s does not tell what it offers: %w; %w", issuer, err, second)
		}
	}
	return m, m.check(issuer)
}

func fetch(ctx context.Context, client *http.Client, address string) (*metadata, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", address, response.Status)
	}
	m := new(metadata)
	if err := json.NewDecoder(io.LimitReader(response.Body, maxMetadata)).Decode(m); err != nil {
		return nil, fmt.Errorf("%s is not a metadata document: %w", address, err)
	}
	return m, nil
}

// check refuses metadata of another issuer (RFC 8414 §3.3), and what this package cannot work with.
func (m *metadata) check(issuer string) error {
	if m.Issuer != issuer {
		return fmt.Errorf("the metadata is that of the issuer %q, not of %q", m.Issuer, issuer)
	}
	if m.Challenges != nil && !slices.Contains(m.Challenges, "S256") {
		return errors.New("the authorization server does not offer PKCE with S256")
	}
	if err := Confidential(m.Authorization); err != nil {
		return fmt.Errorf("authorization_endpoint: %w", err)
	}
	if err := Confidential(m.Token); err != nil {
		return fmt.Errorf("token_endpoint: %w", err)
	}
	if err := Confidential(m.Revocation); err != nil && m.Revocation != "" {
		return fmt.Errorf("revocation_endpoint: %w", err)
	}
	return nil
}

// Confidential refuses addresses at which others on the network could read along.
func Confidential(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%s is not an address", setting.Address(address))
	}
	ip, _ := netip.ParseAddr(u.Hostname())
	if u.Scheme == "https" || u.Scheme == "http" && (ip.IsLoopback() || u.Hostname() == "localhost") {
		return nil
	}
	return fmt.Errorf("%s: use https (http is for this machine alone)", setting.Address(address))
}
