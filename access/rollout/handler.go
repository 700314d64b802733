package rollout

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"strings"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// shown is a client as it is answered.
type shown struct {
	Client
	Share float64 `json:"share"`
}

// Percent is the share for people.
func (s shown) Percent() float64 { return 100 * s.Share }

// Handler answers GET with the summary: as a page where the client asks for text/html, as a browser does, else as JSON. It
// asks nobody who he is: mount it behind what does.
func (c *Clients) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		all := []shown{}
		for _, client := range c.List() {
			all = append(all, shown{client, client.Share()})
		}
		var body bytes.Buffer
		kind, err := "application/json", error(nil)
		if strings.Contains(r.Header.Get("Accept"), "text/html") {
			kind, err = "text/html; charset=utf-8", page.Execute(&body, all)
		} else {
			err = json.NewEncoder(&body).Encode(map[string]any{"clients": all})
		}
		if err != nil {
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
			return
		}
		h := w.Header()
		h.Set("Content-Type", kind)
		h.Set("Cache-Control", "no-store")
		h.Set("Vary", "Accept")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		_, _ = w.Write(body.Bytes()) // the client may have gone
	})
}
