package main

import (
	"crypto"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/internal/story"
	"github.com/senderlock/senderlock/mtls"
)

type apiMaker func(string, access.Issuer, mtls.CertificateSource, *slog.Logger) (*echo.Echo, *access.Guard, error)

var (
	accepted = story.Accepted
	refused  = story.Refused
)

// stage is where the story is played: the authority, the issuer and the API.
type stage struct {
	story.Story
	story.Servers
	newAPI apiMaker
	ca     *authority
	issuer *issuer
	api    string // its origin, as clients see it
}

// newStage prepares everything but the API.
func newStage(p program, verbose bool) (*stage, error) {
	s := &stage{newAPI: p.newAPI, Story: story.Story{Program: p.Program, Log: &story.Log{}, Verbose: verbose}}
	var err, err2 error
	s.ca, err = newAuthority()
	s.issuer, err2 = newIssuer()
	return s, errors.Join(err, err2)
}

// serveTLS starts the API on a free port of this machine. It ends TLS itself.
func (s *stage) serveTLS() error {
	certificate, err := s.newCertificate("api")
	if err != nil {
		return err
	}
	config, err := mtls.ServerTLS(&tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		return err
	}
	listener, address, err := s.Listen(0)
	if err != nil {
		return err
	}
	return s.serve(tls.NewListener(listener, config), "https://"+address, mtls.FromTLS)
}

// serve starts the API on a listener. Clients reach it under origin.
func (s *stage) serve(listener net.Listener, origin string, certificates mtls.CertificateSource) error {
	s.api = origin
	s.Defer(listener.Close)
	e, guard, err := s.newAPI(origin, s.issuer.trusted(origin), certificates, s.Log.Logger())
	if err != nil {
		return err
	}
	s.Defer(guard.Close)
	s.Serve(listener, e)
	return nil
}

// close ends what serve began, the last first.
func (s *stage) close() { s.Close(s.Program) }

func (s *stage) newCertificate(name string) (tls.Certificate, error) {
	key, err := story.NewKey()
	if err != nil {
		return tls.Certificate{}, err
	}
	return s.ca.issue(name, key)
}

// issue, renew, selfSigned, prover, token and proved note their trouble, which fails the story.
func (s *stage) issue(name string) tls.Certificate {
	c, err := s.newCertificate(name)
	s.Note(err)
	return c
}

func (s *stage) renew(old tls.Certificate) tls.Certificate {
	c, err := s.ca.issue(old.Leaf.Subject.CommonName, old.PrivateKey.(crypto.Signer))
	s.Note(err)
	return c
}

func (s *stage) selfSigned(name string) tls.Certificate {
	key, err := story.NewKey()
	s.Note(err)
	c, err := selfSigned(name, key)
	s.Note(err)
	return c
}

func (s *stage) prover() *dpop.Signer {
	key, err := story.NewSigner()
	s.Note(err)
	return key
}

func (s *stage) token(scope string, certificate *tls.Certificate, key *dpop.Signer) string {
	token, err := s.issuer.token(s.api, scope, certificate, key)
	s.Note(err)
	return token
}

// proved gives the credentials of a payment: the token with a proof, which carries the newest nonce.
func (s *stage) proved(key *dpop.Signer, token string) http.Header {
	proof, err := key.Sign(dpop.ProofOptions{
		Method: http.MethodPost, URL: s.api + "/accounts", AccessToken: token, Nonce: s.Nonce,
	})
	s.Note(err)
	return http.Header{"Authorization": {"DPoP " + token}, "Dpop": {proof}}
}

// bearer gives the credentials of a request without a proof.
func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// claiming adds somebody's certificate in fields in which proxies forward it.
func claiming(h http.Header, c tls.Certificate) http.Header {
	h.Set("Client-Cert", ":"+base64.StdEncoding.EncodeToString(c.Leaf.Raw)+":")
	h.Set("X-SSL-Client-Cert", url.PathEscape(string(encode(c.Leaf))))
	return h
}

// play sends a request over a connection with a certificate, or with none.
func (s *stage) play(who, method string, certificate *tls.Certificate, credentials http.Header, want story.Answer) {
	client := s.client(certificate)
	defer client.CloseIdleConnections()
	s.Send(who, client, method, s.api+"/accounts", credentials, want)
}

// client is an HTTP client that presents a certificate, or none. It never leaves this machine.
func (s *stage) client(certificate *tls.Certificate) *http.Client {
	config := &tls.Config{RootCAs: s.ca.pool()}
	if certificate != nil {
		// Whichever authorities the server names, since what counts is possession.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: config}}
}
