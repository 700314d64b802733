package dpop

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/senderlock/senderlock/internal/challenge"
	"github.com/senderlock/senderlock/internal/jose"
)

// What is read of a response for its error code, and to use its connection again.
const (
	maxErrorBody = 16 << 10 // octets
	maxErrorWait = 5 * time.Second
)

// ErrorCode returns the error code of a response with a status from 400 to 499: that of a DPoP challenge, or of the
// JSON body in which authorization servers report errors (RFC 6749 §5.2). It is empty if there is none. It tells
// "use_dpop_nonce", which a [Transport] has answered already if the body permitted, from "invalid_token" and what
// else asks for another token. It waits for at most 5 s for a body and 16 KiB of it, which can be read afterwards as
// if untouched.
func ErrorCode(resp *http.Response) (code string) {
	if resp.StatusCode < 400 || resp.StatusCode > 499 {
		return ""
	}
	// A challenge that cannot be read, such as another scheme's, must not hide ours.
	challenges, _ := challenge.Parse(resp.Header.Values("WWW-Authenticate"))
	for _, c := range challenges {
		if c.Is("DPoP") && code != codeUseNonce && c.Params["error"] != "" {
			code = c.Params["error"]
		}
	}
	if code != "" {
		return code
	}
	return bodyError(resp)
}

func bodyError(resp *http.Response) string {
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return ""
	}
	o := readAhead(resp.Body)
	resp.Body = o
	var e struct {
		Code string `json:"error"`
	}
	if !o.arrived() || jose.Object(o.start, &e) != nil {
		return ""
	}
	return e.Code
}

// discard reads the rest of a response, within bounds, so that its connection can be used again, and closes it.
func discard(body io.ReadCloser) {
	o := readAhead(body)
	o.arrived()
	_ = o.Close()
}

// opening is a body whose beginning is read in the background, since a server may never send it.
type opening struct {
	body  io.ReadCloser
	there chan struct{} // closed once the rest is there
	start []byte
	all   io.Reader
}

func readAhead(body io.ReadCloser) *opening {
	o := &opening{body: body, there: make(chan struct{})}
	go func() {
		defer close(o.there)
		// What goes wrong here goes wrong again for whoever reads the body.
		o.start, _ = io.ReadAll(io.LimitReader(body, maxErrorBody))
		o.all = io.MultiReader(bytes.NewReader(o.start), body)
	}()
	return o
}

// arrived waits for the beginning, and reports whether it came in time.
func (o *opening) arrived() bool {
	select {
	case <-o.there:
		return true
	case <-time.After(maxErrorWait):
		return false
	}
}

func (o *opening) Read(p []byte) (int, error) {
	<-o.there
	return o.all.Read(p)
}

// Close does not wait for the reading, as what net/http decompresses would.
func (o *opening) Close() error {
	select {
	case <-o.there:
		return o.body.Close()
	default:
		go func() { _ = o.body.Close() }()
		return nil
	}
}
