// Package story plays the story of an example: it sends requests, prints each with what the client is told and what
// the server's log says of it, and remembers the answers that are not the expected ones. What is sent, and to whom,
// is the example's.
package story

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
)

// Story is what has been seen so far. Fill in the exported fields before the first request; Program.Out and Log are
// required. It is for one goroutine.
type Story struct {
	Program
	Log     *Log   // where the server under test writes its log
	Verbose bool   // prints causes in full, with expected and received values
	Server  string // the field of an answer that names the server, if there are several; their log comes by itself

	// Nonce is the newest that came with an answer (RFC 9449 §9).
	Nonce string

	answers    int
	accepted   int
	unexpected []string
}

// Answer is what a request gets: a status, the code in the challenge, and the reason in the server's log.
type Answer struct {
	Status       int
	Code, Reason string
}

// Accepted is the answer to a request that reaches its handler.
func Accepted(status int) Answer { return Answer{Status: status} }

// Refused is the answer to a request that does not.
func Refused(status int, code, reason string) Answer { return Answer{status, code, reason} }

// String names the answer for the summary.
func (a Answer) String() string {
	return strings.Join(strings.Fields(fmt.Sprint(a.Status, " ", a.Code, " ", a.Reason)), " ")
}

// Tell says where the story is played, plays it, and sums it up.
func (s *Story) Tell(where string, play func()) error {
	s.opening(where)
	play()
	if !s.summary() {
		return ErrUnexpected
	}
	return nil
}

// Send plays a request with credentials, or with none.
func (s *Story) Send(who string, client *http.Client, method, url string, credentials http.Header, want Answer) {
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		s.Note(err)
		return
	}
	if credentials != nil {
		r.Header = credentials
	}
	s.Play(who, client, r, want)
}

// Play sends a request, prints it with its answer, and notes when the answer is not the wanted one.
func (s *Story) Play(who string, client *http.Client, r *http.Request, want Answer) {
	s.Log.clear()
	response, err := client.Do(r)
	if err != nil {
		s.Note(fmt.Errorf("%s: %w", who, err))
		return
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	s.Note(err)
	s.compare(who, response, string(body), want)
}

// Begin plays a request whose answer goes on, and judges it by its first line. It returns the rest, for the caller to
// read and to close, or nil when there was no answer.
func (s *Story) Begin(who string, client *http.Client, r *http.Request, want Answer) io.ReadCloser {
	s.Log.clear()
	response, err := client.Do(r)
	if err != nil {
		s.Note(fmt.Errorf("%s: %w", who, err))
		return nil
	}
	rest := bufio.NewReader(response.Body)
	first, err := rest.ReadString('\n')
	s.Note(err)
	s.compare(who, response, first, want)
	return struct {
		io.Reader
		io.Closer
	}{rest, response.Body}
}

// compare prints an answer, and notes when it is not the wanted one.
func (s *Story) compare(who string, response *http.Response, body string, want Answer) {
	if nonce := response.Header.Get("DPoP-Nonce"); nonce != "" {
		s.Nonce = nonce
	}
	told, code := challengeOf(response.Header)
	if retry := response.Header.Get("Retry-After"); retry != "" {
		told = "Retry-After: " + retry
	}
	entry, where := s.Log.read(), response.Request.URL.Path
	if s.Server != "" {
		where = fmt.Sprintf("%-17s at %s", where, response.Header.Get(s.Server))
		if response.StatusCode >= 400 {
			entry = s.Log.wait()
		}
	}
	got := Answer{response.StatusCode, code, entry.Reason}
	s.answers++
	if got.Status < 300 {
		s.accepted++
	}
	if got != want {
		s.unexpected = append(s.unexpected, fmt.Sprintf("%s: expected %s, got %s", who, want, got))
	}
	why := strings.TrimSpace(body)
	if entry.Reason != "" {
		why = entry.Reason + ": " + entry.cause(s.Verbose)
	}
	if kind := s.Log.alert(); kind != "" {
		why += "\n    " + s.paint(red, "ALERT "+kind+": a "+alerted)
	}
	s.print(line{who, response.Request.Method, where, told, why, got.Status, got == want})
}

// Saw prints what the client of an answer that goes on saw of it, and notes when it is not what was wanted.
func (s *Story) Saw(who, got, want string) {
	if got != want {
		s.unexpected = append(s.unexpected, fmt.Sprintf("%s: expected %q, got %q", who, want, got))
	}
	s.printSeen(who, got, got == want)
}

// Note remembers trouble of the example itself, which fails the story. Nil is no trouble.
func (s *Story) Note(err error) {
	if err != nil {
		s.unexpected = append(s.unexpected, err.Error())
	}
}

var (
	challengeForm = regexp.MustCompile(`^(\w+)(?: error="([^"]*)")?`)
	demandForm    = regexp.MustCompile(`(?:scope|acr_values|max_age)="[^"]*"`)
)

// challengeOf returns the challenge that speaks of the error, in short, and its code.
func challengeOf(h http.Header) (short, code string) {
	for _, field := range h.Values("WWW-Authenticate") {
		m := challengeForm.FindStringSubmatch(field)
		if m == nil || short != "" && m[2] == "" {
			continue
		}
		demands := strings.Join(demandForm.FindAllString(field, -1), " ")
		short, code = strings.TrimSpace(m[0]+" "+demands), m[2]
	}
	return short, code
}
