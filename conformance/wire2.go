package conformance

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/senderlock/senderlock/conformance/internal/recipe"
)

// errHTTP1 is for requests that HTTP/2 cannot carry.
var errHTTP1 = errors.New("HTTP/2 has no such request")

// fields are the header fields of a request in HTTP/2 (RFC 9113 §8.3.1), or an error if it has none of that form.
func fields(target *url.URL, s *recipe.Sent) ([]hpack.HeaderField, error) {
	if strings.Contains(s.Host, "@") {
		return nil, fmt.Errorf("%w: no user information (RFC 9113 §8.3.1)", errHTTP1)
	}
	if !strings.HasPrefix(s.Target, "/") {
		return nil, fmt.Errorf("%w: the target is %q", errHTTP1, s.Target)
	}
	list := []hpack.HeaderField{{Name: ":method", Value: s.Method}, {Name: ":scheme", Value: target.Scheme},
		{Name: ":authority", Value: s.Host}, {Name: ":path", Value: s.Target}}
	for _, h := range s.Headers {
		name := strings.ToLower(h.Name)
		switch {
		case name == "connection":
			return nil, fmt.Errorf("%w: no field Connection (RFC 9113 §8.2.2)", errHTTP1)
		case name == "dpop" && h.Name != "DPoP":
			return nil, fmt.Errorf("%w: names are in lower case (RFC 9113 §8.2)", errHTTP1)
		case strings.Trim(h.Value, " \t") != h.Value:
			return nil, fmt.Errorf("%w: values have no white space around them (RFC 9113 §8.2.1)", errHTTP1)
		}
		list = append(list, hpack.HeaderField{Name: name, Value: h.Value})
	}
	if s.Body != "" {
		list = append(list, hpack.HeaderField{Name: "content-length", Value: strconv.Itoa(len(s.Body))})
	}
	return list, nil
}

// streams is exchange over HTTP/2: the copies are streams of one connection, whose last frames leave together.
func (r *runner) streams(ctx context.Context, target *url.URL, s *recipe.Sent, copies int) ([]*response, error) {
	list, err := fields(target, s)
	if err == nil && (s.TLS == "1.0" || s.TLS == "1.1") {
		err = fmt.Errorf("%w: it wants TLS 1.2 (RFC 9113 §9.2)", errHTTP1)
	}
	if err != nil {
		return nil, &skipped{err.Error()}
	}
	answers := make([]*response, copies)
	for i := range answers {
		answers[i] = &response{proto: "HTTP/2", header: http.Header{}, err: errors.New("no answer")}
	}
	conn, asked, err := r.dial(ctx, target, s)
	if err != nil {
		for i := range answers {
			answers[i].err = err
		}
		return answers, nil
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	begin := time.Now()
	c := &connection2{answers: answers, open: copies, out: bufio.NewWriter(conn)}
	c.framer = http2.NewFramer(c.out, bufio.NewReader(io.LimitReader(conn, int64(copies)*(maxHead+maxBody))))
	c.framer.ReadMetaHeaders, c.framer.MaxHeaderListSize = hpack.NewDecoder(4096, nil), maxHead
	if err := c.send(list, s.Body); err == nil {
		err = c.receive()
		c.fail(cmp.Or(err, errors.New("no answer")))
	} else {
		c.fail(err)
	}
	for _, a := range answers {
		a.took, a.asked = time.Since(begin), asked
		a.challenges, a.malformed = parseChallenges(a.header["Www-Authenticate"])
	}
	return answers, nil
}

// connection2 is a connection whose stream 2n+1 carries the answer n.
type connection2 struct {
	framer  *http2.Framer
	out     *bufio.Writer
	answers []*response
	done    []bool
	open    int
}

// send writes all streams without their ends, and then all ends at once. A stream that is alone leaves in one piece.
func (c *connection2) send(list []hpack.HeaderField, body string) error {
	c.done = make([]bool, len(c.answers))
	_, _ = c.out.WriteString(http2.ClientPreface)
	err := c.framer.WriteSettings()
	for i := range c.answers {
		var block bytes.Buffer
		encoder := hpack.NewEncoder(&block)
		for _, f := range list {
			f.Sensitive = true // no entry in the table, so that every stream stands alone
			err = errors.Join(err, encoder.WriteField(f))
		}
		err = errors.Join(err, c.headers(uint32(2*i+1), block.Bytes()))
	}
	if len(c.answers) > 1 {
		err = errors.Join(err, c.out.Flush())
	}
	for i := range c.answers {
		err = errors.Join(err, c.framer.WriteData(uint32(2*i+1), true, []byte(body)))
	}
	return errors.Join(err, c.out.Flush())
}

// maxFrame is the largest frame that every server takes (RFC 9113 §4.2).
const maxFrame = 16384

func (c *connection2) headers(stream uint32, block []byte) error {
	first := block[:min(len(block), maxFrame)]
	block = block[len(first):]
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndHeaders: len(block) == 0})
	for err == nil && len(block) > 0 {
		part := block[:min(len(block), maxFrame)]
		block = block[len(part):]
		err = c.framer.WriteContinuation(stream, len(block) == 0, part)
	}
	return err
}

// receive reads until every stream has ended.
func (c *connection2) receive() error {
	for c.open > 0 {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return fmt.Errorf("no answer: %w", err)
		}
		i := int(frame.Header().StreamID-1) / 2
		if frame.Header().StreamID != 0 && i >= len(c.answers) {
			return fmt.Errorf("a frame of the stream %d, which nobody opened", frame.Header().StreamID)
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = errors.Join(c.framer.WriteSettingsAck(), c.out.Flush())
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				err = errors.Join(c.framer.WritePing(true, f.Data), c.out.Flush())
			}
		case *http2.MetaHeadersFrame:
			c.head(i, f)
		case *http2.DataFrame:
			c.answers[i].body += string(f.Data()[:min(len(f.Data()), maxBody-len(c.answers[i].body))])
			if f.StreamEnded() {
				c.end(i, nil)
			}
		case *http2.RSTStreamFrame:
			if f.ErrCode == http2.ErrCodeNo && c.answers[i].status != 0 { // it has answered, and wants no more of the request
				c.end(i, nil)
			} else {
				c.end(i, fmt.Errorf("no answer: the stream was reset with %v", f.ErrCode))
			}
		case *http2.GoAwayFrame:
			if f.ErrCode != http2.ErrCodeNo {
				return fmt.Errorf("no answer: the connection was ended with %v", f.ErrCode)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// head takes the fields of an answer, unless it only announces one (RFC 9110 §15.2).
func (c *connection2) head(i int, f *http2.MetaHeadersFrame) {
	a := c.answers[i]
	status, _ := strconv.Atoi(f.PseudoValue("status"))
	if status/100 == 1 {
		return
	}
	if status != 0 { // else they are trailers
		a.status = status
		for _, field := range f.RegularFields() {
			a.header.Add(field.Name, field.Value)
		}
	}
	if f.StreamEnded() {
		c.end(i, nil)
	}
}

// end closes a stream once.
func (c *connection2) end(i int, err error) {
	if !c.done[i] {
		c.done[i], c.answers[i].err = true, err
		c.open--
	}
}

// fail ends what is still open.
func (c *connection2) fail(err error) {
	for i := range c.answers {
		c.end(i, err)
	}
}
