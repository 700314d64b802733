package histories_test

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// slow is a network that takes its time, and a name that may lead elsewhere.
type slow struct {
	addr  string
	delay atomic.Int64
	to    atomic.Value
	mu    sync.Mutex
	open  []net.Conn
}

// lead closes what is open if it leads to another server now, so that whoever comes again gets there.
func (s *slow) lead(to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to.Store(to)
	for _, c := range s.open {
		_ = c.Close()
	}
	s.open = nil
}

func newSlow(t *testing.T, to string) *slow {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	s := &slow{addr: l.Addr().String()}
	s.to.Store(to)
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", s.to.Load().(string))
			if err != nil {
				_ = near.Close()
				continue
			}
			s.mu.Lock()
			s.open = append(s.open, near, far)
			s.mu.Unlock()
			go s.pass(far, near)
			go s.pass(near, far)
		}
	}()
	return s
}

func (s *slow) pass(to, from net.Conn) {
	defer to.Close()
	for b := make([]byte, 64<<10); ; {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		time.Sleep(time.Duration(s.delay.Load()))
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}
