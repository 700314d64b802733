package access_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/fetched"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/internal/proxytest"
)

const replayed = "401 proof_replayed"

// retrying is a proxy, with what docs/proxies.md says of it.
type retrying struct {
	program proxytest.Program
	quoted  string   // how a setting stands on the page
	order   []string // in which they stand there
	// want is by setting what a client gets: whose first server has accepted the request when it falls silent or breaks
	// the connection, or is not there at all.
	want map[string]outcomes
	// configure gives each way a path: by a setting, to a first server and, if that does not do, a second.
	configure func(listen, second string, ways []way) string
}

type outcomes struct{ silent, breaks, gone string }

type way struct{ path, setting, first, want string }

var proxiesThatRetry = map[string]retrying{
	"nginx": {
		program: proxytest.NGINX, quoted: "`(proxy_next_upstream [a-z ]+);?`",
		order: []string{"proxy_next_upstream error timeout", "proxy_next_upstream off", "proxy_next_upstream error"},
		want: map[string]outcomes{
			"proxy_next_upstream error timeout": {replayed, replayed, "200"},
			"proxy_next_upstream off":           {"504", "502", "502"},
			"proxy_next_upstream error":         {"504", replayed, "200"},
		},
		configure: func(listen, second string, ways []way) string {
			servers, locations := &strings.Builder{}, &strings.Builder{}
			for i, w := range ways {
				fmt.Fprintf(servers, "upstream way%d { server %s max_fails=0; server %s backup; }\n", i, w.first, second)
				fmt.Fprintf(locations, "location = %s { proxy_pass http://way%d; %s; }\n", w.path, i, w.setting)
			}
			return fmt.Sprintf("%sserver { listen %s; proxy_set_header Host $http_host; proxy_read_timeout 5s;\n%s}", servers, listen, locations)
		},
	},
	"HAProxy": {
		program: proxytest.HAProxy, quoted: "`(retry-on [a-z -]+)`",
		order: []string{"retry-on all-retryable-errors", "retry-on none", "retry-on conn-failure"},
		want: map[string]outcomes{
			"retry-on all-retryable-errors": {replayed, replayed, "200"},
			"retry-on none":                 {"504", "502", "503"},
			"retry-on conn-failure":         {"504", "502", "200"},
		},
		configure: func(_, second string, ways []way) string {
			front, backs := &strings.Builder{}, &strings.Builder{}
			for i, w := range ways {
				fmt.Fprintf(front, "    use_backend way%d if { path %s }\n", i, w.path)
				fmt.Fprintf(backs, "backend way%d\n    mode http\n    timeout server 5s\n    balance first\n    option redispatch 1\n    %s\n"+
					"    server first %s\n    server second %s\n", i, w.setting, w.first, second)
			}
			return "frontend api\n    mode http\n    bind fd@3\n" + front.String() + backs.String()
		},
	},
}

// What docs/proxies.md says of proxies that send a request twice, with each in front of two servers that share a memory of
// proofs. All are asked at once, since some of the answers come when a proxy no longer waits for a server.
func TestProxiesThatTryAgain(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "docs", "proxies.md"))
	if err != nil {
		t.Fatal(err)
	}
	type question struct {
		way
		name string
		got  chan string
	}
	var asked []question
	for name, p := range proxiesThatRetry {
		whole := t
		t.Run(name, func(t *testing.T) {
			fetched.Program(t, p.program.Name)
			var advised []string
			for _, m := range regexp.MustCompile(p.quoted).FindAllStringSubmatch(string(page), -1) {
				advised = append(advised, m[1])
			}
			if !slices.Equal(advised, p.order) {
				t.Fatalf("docs/proxies.md advises %q, want %q", advised, p.order)
			}
			origin, ways := p.start(whole)
			for _, w := range ways {
				q := question{w, name + " " + w.setting + " " + w.path, make(chan string, 1)}
				go func() { q.got <- answer(origin + w.path) }()
				asked = append(asked, q)
			}
		})
	}
	for _, q := range asked {
		t.Run(q.name, func(t *testing.T) {
			if got := <-q.got; got != q.want {
				t.Errorf("got %s, want %s", got, q.want)
			}
		})
	}
}

// start runs the proxy with all its settings, and returns its origin and what is to be asked.
func (p retrying) start(t *testing.T) (origin string, ways []way) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	origin = "http://" + listener.Addr().String()
	s := newGuard(t, func(s *setup) { s.Origins = []string{origin} })
	server := func(then func(http.ResponseWriter, *http.Request)) string {
		server := httptest.NewServer(s.Handler(http.HandlerFunc(then)))
		t.Cleanup(server.Close)
		return server.Listener.Addr().String()
	}
	silent := server(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	breaks := server(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	second := server(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "the second") })
	const gone = "127.0.0.1:1" // of a protocol that nobody speaks any more
	for i, setting := range p.order {
		o := p.want[setting]
		for _, first := range []struct{ name, address, want string }{{"silent", silent, o.silent}, {"breaks", breaks, o.breaks}, {"gone", gone, o.gone}} {
			ways = append(ways, way{fmt.Sprintf("/%d/%s", i, first.name), setting, first.address, first.want})
		}
	}
	p.program.Run(t, listener, t.TempDir(), p.configure(listener.Addr().String(), second, ways))
	return origin, ways
}

// answer is what a client gets that sends a good proof once.
func answer(at string) string {
	token := poptest.Token{JKT: poptest.ClientKey().Thumbprint()}.String()
	r, err := http.NewRequest("GET", at, nil)
	if err != nil {
		return err.Error()
	}
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", poptest.Proof{Token: token, URL: at}.String())
	// On a new connection: HAProxy closes one that it has used before without an answer when a server breaks, and Go's
	// client then sends the same proof again by itself.
	r.Close = true
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	switch {
	case strings.Contains(string(body), dpop.ErrReplayed.Text):
		return fmt.Sprint(response.StatusCode, " proof_replayed")
	case response.StatusCode == http.StatusOK && string(body) != "the second":
		return "200 of the first"
	}
	return fmt.Sprint(response.StatusCode)
}
