package explain

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/senderlock/senderlock/internal/setting"
)

// MaxRequest bounds a request that is read, in octets.
const MaxRequest = 1 << 20

// ErrEmpty means that there was no request to read.
var ErrEmpty = errors.New("there is no request")

// httpVersion is what tools show of versions beyond the first; to http.ReadRequest they are all the same.
var httpVersion = regexp.MustCompile(`(?m)\A(\S+ \S+)(?: HTTP/[0-9.]+)?[ \t\r]*$`)

// ReadRequest reads a request as it goes over the wire, as curl -v shows it, or as browsers copy it.
func ReadRequest(in io.Reader) (*http.Request, error) {
	text, err := io.ReadAll(io.LimitReader(in, MaxRequest+1))
	if err != nil {
		return nil, err
	}
	if len(text) > MaxRequest {
		return nil, fmt.Errorf("the request is larger than %d octets", MaxRequest)
	}
	if text = bytes.TrimLeft(text, " \t\r\n"); len(text) == 0 {
		return nil, ErrEmpty
	}
	text = unquoted(text)
	text = httpVersion.ReplaceAll(text, []byte("$1 HTTP/1.1"))
	r, err := http.ReadRequest(bufio.NewReader(io.MultiReader(bytes.NewReader(text), strings.NewReader("\r\n\r\n"))))
	if err != nil {
		// The error quotes what it did not understand, which may be a secret.
		return nil, errors.New("that is not a request: it begins with a line such as " +
			"\"GET /accounts HTTP/1.1\", and fields such as \"Host: api.example.com\" follow, each in one line")
	}
	if r.Host == "" {
		return nil, errors.New("the request has no Host")
	}
	if strings.Contains(r.Header.Get("Authorization")+r.Header.Get("DPoP"), "… (") {
		return nil, errors.New("token and proof are left out of the request, as senderlock curl -v does: curl -v shows them")
	}
	return r, nil
}

// unquoted takes away what curl -v puts in front of the lines that it sends, and all other lines.
func unquoted(text []byte) []byte {
	if !bytes.HasPrefix(text, []byte("> ")) && !bytes.Contains(text, []byte("\n> ")) {
		return text
	}
	var sent bytes.Buffer
	for line := range bytes.Lines(text) {
		if line, ok := bytes.CutPrefix(line, []byte(">")); ok {
			sent.Write(bytes.TrimPrefix(line, []byte(" ")))
		}
	}
	return sent.Bytes()
}

// Presented is the access token of a request, for a reader.
func Presented(r *http.Request) (scheme, token string) {
	scheme, token, _ = strings.Cut(r.Header.Get("Authorization"), " ")
	return scheme, strings.TrimLeft(token, " ")
}

// targetOf is the address of a request without its query, which may hold secrets.
func targetOf(r *http.Request) string {
	path, _, queried := strings.Cut(r.RequestURI, "?")
	if u, err := url.Parse(r.RequestURI); err == nil && u.Host != "" {
		path = u.EscapedPath()
	}
	if queried {
		path += "?…"
	}
	return r.Host + path
}

// OriginOf is the origin that a request seems to be made to.
func OriginOf(r *http.Request) string {
	if u, err := url.Parse(r.RequestURI); err == nil && u.Host != "" {
		return u.Scheme + "://" + u.Host
	}
	if r.URL.Scheme != "" {
		return r.URL.Scheme + "://" + r.Host
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	if setting.Loopback(host) {
		return "http://" + r.Host
	}
	return "https://" + r.Host
}

// WithCertificate adds the client's certificate, in PEM, as mtls.FromTLS finds it.
func WithCertificate(r *http.Request, text []byte) error {
	block, _ := pem.Decode(text)
	if block == nil {
		return errors.New("there is no certificate in PEM")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{certificate}}
	return nil
}
