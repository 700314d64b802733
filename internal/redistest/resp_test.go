package redistest_test

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/internal/redistest"
)

// Answers are given as redis-cli prints them, and what is no answer shows.
func TestDo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ answer, want string }{
		"a status":       {"+OK\r\n", "OK"},
		"an error":       {"-ERR no such thing\r\n", "ERR no such thing"},
		"a number":       {":-7\r\n", "-7"},
		"nil":            {"$-1\r\n", ""},
		"text of lines":  {"$6\r\na\r\nb\r\n\r\n", "a\r\nb"},
		"no elements":    {"*0\r\n", ""},
		"a list in one":  {"*3\r\n*2\r\n:1\r\n$1\r\na\r\n$-1\r\n+b\r\n", "1\na\n\nb"},
		"half an answer": {"$6\r\nab", "unexpected EOF"},
		"half a list":    {"*2\r\n:1\r\n", "EOF"},
		"no answer":      {"", "EOF"},
		"another kind":   {"%1\r\n", `the server answered "%1\r\n"`},
		"no length":      {"$x\r\n", `the server answered "$x\r\n"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, sent := answering(t, c.answer)
			if got := server.Do("GET", "a b"); got != c.want {
				t.Errorf("Do = %q, want %q", got, c.want)
			}
			if got := <-sent; got != "*2\r\n$3\r\nGET\r\n$3\r\na b\r\n" {
				t.Errorf("sent %q", got)
			}
		})
	}
}

// answering is a server with one answer to whatever is sent to it.
func answering(t *testing.T, answer string) (s *redistest.Server, sent <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	command := make(chan string, 1)
	go func() {
		defer close(command)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		got := make([]byte, len("*2\r\n$3\r\nGET\r\n$3\r\na b\r\n"))
		_, _ = io.ReadFull(conn, got)
		_, _ = io.Copy(conn, strings.NewReader(answer))
		command <- string(got)
	}()
	return &redistest.Server{Addr: l.Addr().String()}, command
}
