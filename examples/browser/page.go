package main

import (
	"embed"
	"encoding/json"
	"io/fs"
	"net/http"
	"strings"

	"github.com/senderlock/senderlock/examples/internal/look"
)

//go:embed page
var files embed.FS

// newPage serves the page, the settings that it needs to know, and its window on the API's log.
func newPage(at origins, decisions *decisions) (http.Handler, error) {
	static, err := fs.Sub(files, "page")
	if err != nil {
		return nil, err
	}
	settings, err := json.Marshal(map[string]string{
		"issuer": at.issuer, "api": at.api, "clientID": clientID, "scope": scope,
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(static))
	mux.Handle("GET /look/", http.StripPrefix("/look/", look.Handler()))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, static, "page.html")
	})
	mux.Handle("GET /log", decisions)
	mux.HandleFunc("GET /settings.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(settings) // the page may have gone
	})
	return harden(at, mux), nil
}

// harden tells the browser what the page may do, so that a mistake in it stays small: no script but its own, no
// request to anyone but the two servers, no frame around it.
func harden(at origins, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		look.Secure(w.Header(), at.api, strings.Replace(at.api, "http", "ws", 1), at.issuer)
		if "http://"+r.Host != at.page { // under another name, such as localhost, it would be another origin
			http.Redirect(w, r, at.page+"/", http.StatusTemporaryRedirect)
			return
		}
		h.ServeHTTP(w, r)
	})
}
