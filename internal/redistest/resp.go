package redistest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// ask sends one command over a connection of its own, in the protocol of Redis (RESP2), and returns the answer as redis-cli
// prints it to a file: the elements of a list one a line, nothing for nil, and errors as text. Tests look at servers so often
// that to start redis-cli each time would cost more than the servers do.
func ask(addr string, command ...string) (string, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(Command(command...)); err != nil {
		return "", err
	}
	return answer(bufio.NewReader(conn))
}

// Command is a command as it is sent.
func Command(words ...string) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(words))
	for _, word := range words {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(word), word)
	}
	return b
}

// answer reads one answer.
func answer(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	kind, rest := line[0], strings.TrimRight(line[1:], "\r\n")
	if kind == '+' || kind == '-' || kind == ':' {
		return rest, nil
	}
	n, err := strconv.Atoi(rest)
	switch {
	case err != nil || kind != '$' && kind != '*':
		return "", fmt.Errorf("the server answered %q", line)
	case n < 0:
		return "", nil
	case kind == '$':
		text := make([]byte, n+len("\r\n"))
		_, err := io.ReadFull(r, text)
		return string(text[:n]), err
	}
	list := make([]string, n)
	for i := range list {
		if list[i], err = answer(r); err != nil {
			return "", err
		}
	}
	return strings.Join(list, "\n"), nil
}
