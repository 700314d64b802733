// Package look is the look that the pages of the examples share, and what they tell the browser to forbid them.
package look

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"
)

//go:embed style.css icon.svg shown.js
var files embed.FS

// Handler serves style.css, icon.svg and shown.js.
func Handler() http.Handler { return http.FileServerFS(files) }

// Secure sets the fields that keep a page's mistakes small. The page may run its own scripts, ask its own origin and
// those in connect, and nothing else: no script of others or in the page, no form, no frame around it.
func Secure(h http.Header, connect ...string) {
	h.Set("Content-Security-Policy", strings.Join([]string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'",
		strings.Join(append([]string{"connect-src 'self'"}, connect...), " "),
		"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
	}, "; "))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// Inline is the style for a page that is one document alone, and its source in a Content-Security-Policy.
func Inline() (style template.CSS, source string) {
	text, _ := files.ReadFile("style.css") // it is embedded
	sum := sha256.Sum256(text)
	return template.CSS(text), "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
