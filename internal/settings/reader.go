package settings

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/setting"
)

// Reader reads settings by name and collects what is wrong with them, so that one start tells all of it. One that is
// empty counts as not set.
type Reader struct {
	source   func(name string) string
	asked    map[string]bool
	problems []error
}

// NewReader reads from a source, such as [os.Getenv].
func NewReader(source func(name string) string) *Reader {
	return &Reader{source: source, asked: map[string]bool{}}
}

// get remembers what it was asked for: that is the vocabulary.
func (r *Reader) get(name string) string {
	r.asked[name] = true
	return r.source(name)
}

// Asked are the names of all settings that somebody has asked for, sorted.
func (r *Reader) Asked() []string { return slices.Sorted(maps.Keys(r.asked)) }

// Err has a line for each setting that is wrong. Nil if none is.
func (r *Reader) Err() error { return errors.Join(r.problems...) }

// addresses are the variables that hold some.
var addresses = []string{"CORS_ORIGIN", "EVENTS_ISSUER", "EVENTS_POLL_ENDPOINT", "INTROSPECTION_ENDPOINT", "ISSUER", "JWKS_URI", "PUBLIC_ORIGINS"}

// Wrong notes what to put into a variable. The value is quoted, unless it may be a secret, and of addresses what can
// be none.
func (r *Reader) Wrong(name, want string) {
	value := strconv.Quote(r.get(name))
	switch {
	case r.get(name) == "":
		value = "not set"
	case strings.Contains(name, "SECRET") || name == "ADMIN_TOKEN" || strings.Contains(name, "REDIS"):
		value = "not usable"
	case slices.Contains(addresses, name):
		var known []string
		for _, address := range items(r.get(name)) {
			known = append(known, setting.Address(address))
		}
		value = strings.Join(known, ",")
	}
	r.problems = append(r.problems, fmt.Errorf("%s is %s: %s", name, value, want))
}

// Needs notes that one variable is of no use without another.
func (r *Reader) Needs(name, other string) {
	if r.get(name) != "" && r.get(other) == "" {
		r.problems = append(r.problems, fmt.Errorf("%s is set without %s: set both, or leave both out", name, other))
	}
}

func (r *Reader) Text(name, otherwise string) string {
	if value := r.get(name); value != "" {
		return value
	}
	return otherwise
}

func (r *Reader) Required(name, want string) string {
	value := r.get(name)
	if value == "" {
		r.Wrong(name, want)
	}
	return value
}

// Choice is one of some words, the first unless set.
func (r *Reader) Choice(name string, words ...string) string {
	value := r.Text(name, words[0])
	if !slices.Contains(words, value) {
		r.Wrong(name, "set one of "+strings.Join(words, ", "))
	}
	return value
}

// Port is a port number as text; 0 takes a free one. Empty unless set.
func (r *Reader) Port(name, otherwise string) string {
	value := r.Text(name, otherwise)
	if _, err := strconv.ParseUint(value, 10, 16); value != "" && err != nil {
		r.Wrong(name, "set a port number, such as 8080")
	}
	return value
}

// Seconds is a number of them, or a duration with its unit.
func (r *Reader) Seconds(name string, otherwise, least, most time.Duration) time.Duration {
	value := r.get(name)
	if value == "" {
		return otherwise
	}
	d, err := time.ParseDuration(value)
	if n, numeric := strconv.ParseUint(value, 10, 31); numeric == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d < least || d > most {
		r.Wrong(name, fmt.Sprintf("set a number of seconds from %d to %d", least/time.Second, most/time.Second))
	}
	return d
}

// List is what stands between commas; want says what to put there if nothing does.
func (r *Reader) List(name, want string) []string {
	all := items(r.get(name))
	if len(all) == 0 && r.get(name) != "" {
		r.Wrong(name, want)
	}
	return all
}

// Lines are what stands between line ends or |.
func (r *Reader) Lines(name string) []string {
	var all []string
	for line := range strings.FieldsFuncSeq(r.get(name), func(c rune) bool { return c == '\n' || c == '|' }) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}

func items(list string) []string {
	var all []string
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); item != "" {
			all = append(all, item)
		}
	}
	return all
}

// URL is an address that is asked over TLS, or on this machine.
func (r *Reader) URL(name string) string {
	value := r.get(name)
	if value == "" {
		return ""
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" ||
		u.Scheme != "https" && (u.Scheme != "http" || !setting.Loopback(u.Hostname())) {
		r.Wrong(name, "set an https URL, such as https://login.example.com; http is for loopback addresses alone")
	}
	return value
}

// File reports whether a variable that names a file names one that can be read.
func (r *Reader) File(name, want string) string {
	path := r.get(name)
	if path == "" {
		return ""
	}
	if _, err := os.ReadFile(path); err != nil {
		r.Wrong(name, fmt.Sprintf("%s: %v", want, err))
	}
	return path
}

// pool reads certificates from a file; nil unless set.
func (r *Reader) pool(name string) *x509.CertPool {
	const want = "set the path of a PEM file with certificates of authorities"
	path := r.get(name)
	if path == "" {
		return nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		r.Wrong(name, fmt.Sprintf("%s: %v", want, err))
		return nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		r.Wrong(name, want+": there is none in it")
	}
	return pool
}

// Peers are the address ranges of a list.
func (r *Reader) Peers(name string) access.Peers {
	const want = "set the address ranges of your proxies, such as 10.1.0.0/24,127.0.0.1/32; none may hold every address"
	p := access.Peers{Addresses: r.List(name, want)}
	if _, err := p.Checker(); err != nil {
		r.Wrong(name, want)
		return access.Peers{}
	}
	return p
}
