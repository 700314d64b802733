package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/codeflow"
	"github.com/senderlock/senderlock/examples/internal/story"
	"github.com/senderlock/senderlock/examples/session"
)

// errRefused means that the API answered with an error; what it said has been printed.
var errRefused = errors.New("the API did not do it")

// request is what the command call sends.
type request struct {
	method, address string
	header          http.Header
	data, file      string // the body: a text, or the name of a file
}

// call is the command that sends a request to the API.
func (p program) call(ctx context.Context, args []string) error {
	flags, folder := p.flags("call [flags] URL")
	q := request{header: http.Header{}}
	flags.StringVar(&q.method, "X", "", "the `method`; GET, or POST if there is a body")
	flags.StringVar(&q.data, "d", "", "the body, as `text`")
	flags.StringVar(&q.file, "f", "", "the body, from a `file`; - is the standard input")
	flags.Func("H", "a `field` of the request's header, such as \"Content-Type: text/plain\"; may be repeated", q.addField)
	if err := story.Parse(flags, args, 1); err != nil {
		return err
	}
	if q.data != "" && q.file != "" {
		return errors.New("-d and -f both give a body: choose one")
	}
	q.address = flags.Arg(0)
	files, err := p.openStore(*folder)
	if err != nil {
		return err
	}
	s, err := files.Load()
	if err != nil {
		return err
	}
	if u, err := url.Parse(q.address); err != nil || session.OriginOf(u) != s.API {
		return s.WrongAPI(q.address)
	}
	signer, err := files.Signer()
	if err != nil {
		return err
	}
	transport, err := session.NewTransport(signer, s.API, func(ctx context.Context) (string, error) {
		return p.app().Token(ctx, files, signer, s.API)
	}, codeflow.Bounded())
	if err != nil {
		return err
	}
	return p.send(ctx, transport, q)
}

func (q *request) addField(field string) error {
	name, value, found := strings.Cut(field, ":")
	if !found {
		return errors.New("write it as Name: value")
	}
	q.header.Add(name, strings.TrimSpace(value))
	return nil
}

// send sends the request and prints the answer.
func (p program) send(ctx context.Context, transport *dpop.Transport, q request) error {
	r, closeBody, err := p.request(ctx, q)
	if err != nil {
		return err
	}
	defer closeBody()
	if r.Body != nil && r.GetBody == nil {
		// Such a body can be sent only once, so what the API wants in a proof has to be known before.
		if err := transport.Prime(ctx, q.address); err != nil {
			return err
		}
	}
	response, err := (&http.Client{Transport: transport, CheckRedirect: session.SameOrigin}).Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	code := dpop.ErrorCode(response)
	p.say("%s", response.Status)
	if _, err := io.Copy(p.out, response.Body); err != nil {
		return err
	}
	if to, err := response.Location(); err == nil && response.StatusCode < 400 && response.StatusCode >= 300 {
		return fmt.Errorf("%w: it leads to %s, and the request is for the API alone", errRefused, to)
	}
	if response.StatusCode < 400 {
		return nil
	}
	for _, challenge := range response.Header.Values("WWW-Authenticate") {
		p.say("WWW-Authenticate: %s", challenge)
	}
	if advice := session.Advice(code); advice != "" {
		return fmt.Errorf("%w: %s", errRefused, advice)
	}
	return errRefused
}

func (p program) request(ctx context.Context, q request) (r *http.Request, closeBody func(), err error) {
	var body io.Reader
	closeBody = func() {}
	switch {
	case q.data != "":
		body = strings.NewReader(q.data)
	case q.file == "-":
		body = p.in
	case q.file != "":
		file, err := os.Open(q.file)
		if err != nil {
			return nil, nil, err
		}
		body, closeBody = file, func() { _ = file.Close() }
	}
	if q.method == "" && body == nil {
		q.method = http.MethodGet
	} else if q.method == "" {
		q.method = http.MethodPost
	}
	if r, err = http.NewRequestWithContext(ctx, q.method, q.address, body); err != nil {
		closeBody()
		return nil, nil, err
	}
	r.Header = q.header
	return r, closeBody, nil
}
