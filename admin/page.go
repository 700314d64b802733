package admin

import (
	"embed"
	"net/http"
)

//go:embed page
var page embed.FS

// policy lets the page run its own script and ask its own server, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; " +
	"form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// pages serves the page to everybody who can get here: there is nothing secret in it, and what it shows it asks for with
// the token that its user types in.
func (h *handler) pages() {
	for path, name := range map[string]string{"/{$}": "index.html", "/app.js": "app.js", "/style.css": "style.css"} {
		h.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			if h.InsecureLocal && h.keep(w, r) {
				return
			}
			w.Header().Set("Content-Security-Policy", policy)
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.Header().Set("Referrer-Policy", "no-referrer")
			w.Header().Set("Cache-Control", "no-store")
			http.ServeFileFS(w, r, page, "page/"+name)
		})
	}
}
