package main

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/authserver"
)

// stage is where the story is played: the servers, and what has been seen so far.
type stage struct {
	program
	api, issuer string
	redis       *redis
	key         *dpop.Signer
	refusals    chan entry // from the logs of the instances
	answers     int
	accepted    int
	unexpected  []string
	closers     []func() error
}

func start(p program) (*stage, error) {
	s := &stage{program: p, refusals: make(chan entry, 16)}
	if err := s.start(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stage) startIssuer() error {
	as, err := authserver.Start(authserver.Config{
		Audiences: []string{s.api},
		Clients:   []authserver.Client{{ID: "wallet", Secret: walletSecret, Scopes: []string{"accounts:read"}}},
	})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, as.Close)
	s.issuer = as.Issuer()
	return nil
}

// close ends what start began, the last first.
func (s *stage) close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		_ = s.closers[i]() // the program ends
	}
}

func (s *stage) note(err error) {
	if err != nil {
		s.unexpected = append(s.unexpected, err.Error())
	}
}

// answer is what a request gets: a status, the code in the challenge, and the reason in the server's log.
type answer struct {
	status       int
	code, reason string
}

func accepted() answer                               { return answer{status: http.StatusOK} }
func refused(status int, code, reason string) answer { return answer{status, code, reason} }

func (a answer) String() string {
	return strings.Join(strings.Fields(fmt.Sprint(a.status, " ", a.code, " ", a.reason)), " ")
}

var challengeForm = regexp.MustCompile(`^(\w+)(?: error="([^"]*)")?`)

// play sends a request, prints it with its answer, and notes when the answer is not the wanted one.
func (s *stage) play(who, method, path, token, proof string, want answer) {
	r, err := http.NewRequest(method, s.api+path, nil)
	if err != nil {
		s.note(err)
		return
	}
	r.Header = http.Header{"Authorization": {"DPoP " + token}, "Dpop": {proof}}
	response, err := httpClient.Do(r)
	if err != nil {
		s.note(fmt.Errorf("%s: %w", who, err))
		return
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	s.note(err)
	got, why := answer{status: response.StatusCode}, strings.TrimSpace(string(body))
	var told string
	if got.status >= 400 {
		m := challengeForm.FindStringSubmatch(response.Header.Get("WWW-Authenticate"))
		if m != nil {
			told, got.code = m[0], m[2]
		}
		if retry := response.Header.Get("Retry-After"); retry != "" {
			told = "Retry-After: " + retry
		}
		select {
		case e := <-s.refusals:
			got.reason, why = e.Reason, e.Reason+": "+short(e.Cause)
		case <-time.After(10 * time.Second):
			s.note(fmt.Errorf("%s: the instance's log says nothing", who))
		}
	} else {
		s.accepted++
	}
	s.answers++
	if got != want {
		s.unexpected = append(s.unexpected, fmt.Sprintf("%s: expected %s, got %s", who, want, got))
	}
	s.print(line{who, method, path, response.Header.Get("Instance"), told, why, got.status, got == want})
}

// short leaves the expected and the received value out.
func short(cause string) string {
	cause, _, _ = strings.Cut(cause, ": expected ")
	return cause
}

// line is one step of the story as it is printed.
type line struct {
	who, method, path, instance string
	told, why                   string
	status                      int
	expected                    bool
}

// The colours of a terminal.
const (
	red   = "31"
	green = "32"
	bold  = "1"
	faint = "2"
)

func (s *stage) print(l line) {
	mark := s.paint(green, "✓")
	if !l.expected {
		mark = s.paint(red, "✗")
	}
	request := fmt.Sprintf("%-46s  %-6s %-17s at %s", l.who, l.method, l.path, l.instance)
	said := fmt.Sprintf("%s %s  %s  %s", mark, request, s.paint(bold, fmt.Sprint(l.status)), l.told)
	fmt.Fprintf(s.out, "%s\n    %s\n", strings.TrimRight(said, " "), s.paint(faint, l.why))
}

// say prints what happens between two requests.
func (s *stage) say(what string) { fmt.Fprintf(s.out, "\n%s\n\n", what) }

func (s *stage) opening() {
	fmt.Fprintf(s.out, "Two processes of an API, one and two, share a Redis. A proxy at %s takes them in turn.\n", s.api)
	fmt.Fprintf(s.out, "Each request with the instance that it came to, its status and what the client is told; %s\n",
		s.paint(faint, "below it what the instance's log says."))
}

// summary prints the end of the story and reports whether every answer was the expected one.
func (s *stage) summary() bool {
	count := fmt.Sprintf("%d answers: %d accepted, %d refused", s.answers, s.accepted, s.answers-s.accepted)
	if len(s.unexpected) == 0 {
		fmt.Fprintf(s.out, "\n%s\n", s.paint(green, count+", all as expected."))
		return true
	}
	fmt.Fprintf(s.out, "\n%s\n", s.paint(red, fmt.Sprintf("%s, %d NOT as expected:", count, len(s.unexpected))))
	for _, what := range s.unexpected {
		fmt.Fprintln(s.out, "  "+what)
	}
	return false
}

func (s *stage) paint(colour, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}
