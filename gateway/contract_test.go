package gateway_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"

	"github.com/senderlock/senderlock/gateway"
)

// contract is a proxy that cannot be had here as a program: what its documentation says that it does, with the settings of
// docs/gateway.md. The clients' forwarded fields it replaces by its own, as the program does for those that it does not trust.
type contract struct {
	refuses func(name string) bool                            // a request with such a field
	ask     func(question *http.Request, asked *http.Request) // writes the question about a request
	drops   func(name string) bool                            // of a client's fields, behind the question
	tells   func(name string) bool                            // of the answer's fields, to the service, in place of the client's
	hides   func(name string) bool                            // of the service's fields, from the client
	shows   func(name string) bool                            // of an accepting answer's fields, to the client
	shares  func(http.Handler) http.Handler                   // with pages of other origins; nil: no further than the above
}

// show adds to an answer what the accepting one says to the client.
func (c *contract) show(h, said http.Header) {
	for name, values := range said {
		if c.shows(name) {
			h[name] = append(h[name], values...)
		}
	}
}

// contracts are the presets of such proxies.
var contracts = []front{
	{preset: gateway.Traefik, uri: "X-Forwarded-Uri", start: (*world).traefik},
	{preset: gateway.Envoy, start: (*world).envoy},
}

// traefik stands for Traefik: ForwardAuth and Headers (doc.traefik.io).
func (w *world) traefik(routes ...gateway.Route) *httptest.Server {
	settings := w.block("toml")
	_, rest, _ := strings.Cut(settings, `authResponseHeadersRegex = "`)
	expression, _, _ := strings.Cut(rest, `"`)
	matches := regexp.MustCompile(expression).MatchString
	emptied := func(table string) func(name string) bool { // fields that a table empties, which drops them
		_, rest, _ := strings.Cut(settings, table+"]\n")
		rest, _, _ = strings.Cut(rest, "[")
		names := map[string]bool{}
		for _, line := range regexp.MustCompile(`(?m)^  (\S+) = ""$`).FindAllStringSubmatch(rest, -1) {
			names[http.CanonicalHeaderKey(line[1])] = true
		}
		return func(name string) bool { return names[name] }
	}
	return w.byContract(gateway.Traefik, routes, contract{
		refuses: func(string) bool { return false }, shares: traefikCORS(settings),
		ask: func(question, asked *http.Request) {
			maps.Copy(question.Header, asked.Header)
			question.Header.Set("X-Forwarded-Method", asked.Method)
			question.Header.Set("X-Forwarded-Uri", asked.RequestURI)
			question.Header.Set("X-Forwarded-Host", asked.Host)
		},
		drops: emptied("customRequestHeaders"), tells: matches, hides: emptied("customResponseHeaders"),
		shows: func(string) bool { return false },
	})
}

// envoy stands for Envoy: ext_authz over HTTP and header_mutation (www.envoyproxy.io/docs).
func (w *world) envoy(routes ...gateway.Route) *httptest.Server {
	settings := w.block("envoy")
	named := func(key string) func(name string) bool { // by the list behind a key
		_, rest, found := strings.Cut(settings, key+":\n")
		if !found {
			w.t.Fatalf("docs/gateway.md: Envoy has no %s", key)
		}
		exact, prefix := map[string]bool{}, "-"
		for line := range strings.Lines(rest) {
			what, name, _ := strings.Cut(strings.TrimLeft(strings.TrimSpace(line), "- "), ": ")
			switch what {
			case "exact", "remove":
				exact[name] = true
			case "prefix":
				prefix = name
			case "patterns:":
			default:
				return func(name string) bool {
					name = strings.ToLower(name)
					return exact[name] || strings.HasPrefix(name, prefix)
				}
			}
		}
		return func(name string) bool { return exact[strings.ToLower(name)] }
	}
	underscores := strings.Contains(settings, "headers_with_underscores_action: REJECT_REQUEST")
	allowed := named("allowed_headers")
	return w.byContract(gateway.Envoy, routes, contract{
		refuses: func(name string) bool { return underscores && strings.Contains(name, "_") },
		ask: func(question, asked *http.Request) {
			question.Method, question.Host = asked.Method, asked.Host
			question.URL.Opaque = asked.RequestURI
			for name, values := range asked.Header {
				if name == "Authorization" || allowed(name) { // Authorization is always sent
					question.Header[name] = values
				}
			}
		},
		drops: named("request_mutations"), tells: named("allowed_upstream_headers"),
		hides: named("response_mutations"), shows: named("allowed_client_headers_on_success"),
	})
}

// byContract starts a stand-in.
func (w *world) byContract(preset gateway.Preset, routes []gateway.Route, c contract) *httptest.Server {
	w.asked = httptest.NewServer(w.forward(preset, loopback, routes...))
	w.t.Cleanup(w.asked.Close)
	service, err := url.Parse(w.service.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	front := http.Handler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		for name := range r.Header {
			if c.refuses(name) {
				rw.WriteHeader(http.StatusBadRequest)
				return
			}
			if strings.HasPrefix(name, "X-Forwarded-") || name == "X-Real-Ip" {
				delete(r.Header, name)
			}
		}
		r.Header.Set("X-Forwarded-Proto", "http")
		if strings.HasPrefix(r.RequestURI, "/.well-known/oauth-protected-resource") { // for which it is set to ask nobody
			w.guard.MetadataHandler().ServeHTTP(rw, r)
			return
		}
		question, _ := http.NewRequestWithContext(r.Context(), "GET", w.asked.URL+"/", nil)
		c.ask(question, r)
		answer, err := http.DefaultTransport.RoundTrip(question)
		if err != nil {
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			maps.Copy(rw.Header(), answer.Header)
			rw.WriteHeader(answer.StatusCode)
			_, _ = io.Copy(rw, answer.Body)
			return
		}
		r.Trailer = nil
		proxy := &httputil.ReverseProxy{
			Rewrite: func(pr *httputil.ProxyRequest) {
				pr.SetURL(service)
				pr.SetXForwarded()
				out := pr.Out.Header
				maps.DeleteFunc(out, func(name string, _ []string) bool { return c.drops(name) || c.tells(name) })
				for name, values := range answer.Header {
					if c.tells(name) {
						out[name] = values
					}
				}
				if !strings.EqualFold(out.Get("Upgrade"), "websocket") {
					out.Del("Upgrade")
					out.Del("Connection")
				}
			},
			ModifyResponse: func(response *http.Response) error {
				maps.DeleteFunc(response.Header, func(name string, _ []string) bool { return c.hides(name) })
				c.show(response.Header, answer.Header)
				return nil
			},
			ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, _ error) { // for which filters and middlewares count too
				c.show(rw.Header(), answer.Header)
				rw.WriteHeader(http.StatusBadGateway)
			},
		}
		proxy.ServeHTTP(rw, r)
	}))
	if c.shares != nil {
		front = c.shares(front)
	}
	server := httptest.NewServer(front)
	w.t.Cleanup(server.Close)
	return server
}

// traefikCORS is Headers as far as it is about CORS: it answers preflights, and names the origin on the answers of what
// stands behind it. Nil where the settings have no middleware for it.
func traefikCORS(settings string) func(http.Handler) http.Handler {
	_, table, found := strings.Cut(settings, "\n[http.middlewares.cors.headers]\n")
	if !found || !strings.Contains(settings, "\n  middlewares = [\"cors\", ") {
		return nil
	}
	list := func(key string) string {
		_, rest, _ := strings.Cut(table, key+" = [")
		values, _, _ := strings.Cut(rest, "]")
		return strings.ReplaceAll(values, `"`, "")
	}
	origin := list("accessControlAllowOriginList")
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			allow := func(h http.Header) {
				if r.Header.Get("Origin") == origin {
					h.Set("Access-Control-Allow-Origin", origin)
				}
				h.Set("Access-Control-Expose-Headers", list("accessControlExposeHeaders"))
				h.Set("Vary", strings.TrimPrefix(h.Get("Vary")+", Origin", ", "))
			}
			if r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != "" {
				rw.Header().Set("Access-Control-Allow-Headers", list("accessControlAllowHeaders"))
				rw.Header().Set("Access-Control-Allow-Methods", list("accessControlAllowMethods"))
				allow(rw.Header())
				return
			}
			recorder := httptest.NewRecorder()
			next.ServeHTTP(recorder, r)
			maps.Copy(rw.Header(), recorder.Header())
			allow(rw.Header())
			rw.WriteHeader(recorder.Code)
			_, _ = recorder.Body.WriteTo(rw)
		})
	}
}
