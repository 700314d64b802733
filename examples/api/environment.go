package main

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/setting"
)

// environment reads variables and collects what is wrong with them, so that one start tells all of it. A variable that
// is empty counts as not set.
type environment struct {
	get      func(name string) string
	problems []error
}

// addresses are the variables that hold some.
var addresses = []string{"CORS_ORIGIN", "INTROSPECTION_ENDPOINT", "ISSUER", "JWKS_URI", "PUBLIC_ORIGINS"}

// wrong notes what to put into a variable. The value is quoted, unless it may be a secret, and of addresses what can
// be none.
func (e *environment) wrong(name, want string) {
	value := strconv.Quote(e.get(name))
	switch {
	case e.get(name) == "":
		value = "not set"
	case strings.Contains(name, "SECRET") || name == "ADMIN_TOKEN" || strings.Contains(name, "REDIS"):
		value = "not usable"
	case slices.Contains(addresses, name):
		var known []string
		for _, address := range e.list(name) {
			known = append(known, setting.Address(address))
		}
		value = strings.Join(known, ",")
	}
	e.problems = append(e.problems, fmt.Errorf("%s is %s: %s", name, value, want))
}

// needs notes that one variable is of no use without another.
func (e *environment) needs(name, other string) {
	if e.get(name) != "" && e.get(other) == "" {
		e.problems = append(e.problems, fmt.Errorf("%s is set without %s: set both, or leave both out", name, other))
	}
}

func (e *environment) text(name, otherwise string) string {
	if value := e.get(name); value != "" {
		return value
	}
	return otherwise
}

func (e *environment) required(name, want string) string {
	value := e.get(name)
	if value == "" {
		e.wrong(name, want)
	}
	return value
}

// choice is one of some words, the first unless set.
func (e *environment) choice(name string, words ...string) string {
	value := e.text(name, words[0])
	if !slices.Contains(words, value) {
		e.wrong(name, "set one of "+strings.Join(words, ", "))
	}
	return value
}

// port is a port number as text; 0 takes a free one. Empty unless set.
func (e *environment) port(name, otherwise string) string {
	value := e.text(name, otherwise)
	if _, err := strconv.ParseUint(value, 10, 16); value != "" && err != nil {
		e.wrong(name, "set a port number, such as 8080")
	}
	return value
}

// seconds is a number of them, or a duration with its unit.
func (e *environment) seconds(name string, otherwise, least, most time.Duration) time.Duration {
	value := e.get(name)
	if value == "" {
		return otherwise
	}
	d, err := time.ParseDuration(value)
	if n, numeric := strconv.ParseUint(value, 10, 31); numeric == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d < least || d > most {
		e.wrong(name, fmt.Sprintf("set a number of seconds from %d to %d", least/time.Second, most/time.Second))
	}
	return d
}

func (e *environment) list(name string) []string {
	var items []string
	for item := range strings.SplitSeq(e.get(name), ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// url is an address that is asked over TLS, or on this machine.
func (e *environment) url(name string) string {
	value := e.get(name)
	if value == "" {
		return ""
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" ||
		u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		e.wrong(name, "set an https URL, such as https://login.example.com; http is for loopback addresses alone")
	}
	return value
}

// loopback reports whether a host is this machine.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

// origin reports whether s is the origin of a page as browsers write it (RFC 6454 §6.2).
func origin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && s == u.Scheme+"://"+strings.ToLower(u.Host)
}

// file reports whether a variable that names a file names one that can be read.
func (e *environment) file(name, want string) string {
	path := e.get(name)
	if path == "" {
		return ""
	}
	if _, err := os.ReadFile(path); err != nil {
		e.wrong(name, fmt.Sprintf("%s: %v", want, err))
	}
	return path
}

// pool reads certificates from a file; nil unless set.
func (e *environment) pool(name string) *x509.CertPool {
	const want = "set the path of a PEM file with certificates of authorities"
	path := e.get(name)
	if path == "" {
		return nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		e.wrong(name, fmt.Sprintf("%s: %v", want, err))
		return nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		e.wrong(name, want+": there is none in it")
	}
	return pool
}

// peers are the address ranges of a list.
func (e *environment) peers(name string) access.Peers {
	p := access.Peers{Addresses: e.list(name)}
	if _, err := p.Checker(); err != nil {
		e.wrong(name, "set the address ranges of your proxies, such as 10.1.0.0/24,127.0.0.1/32; none may hold every address")
		return access.Peers{}
	}
	return p
}
