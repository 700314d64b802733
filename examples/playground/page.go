package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"sync"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/internal/look"
	"github.com/senderlock/senderlock/internal/explain"
)

//go:embed page
var files embed.FS

// most is how large a request to this server may be, in octets: enough for proofs and tokens that are too large.
const most = 256 << 10

// page serves the page, and to nobody but the page what it needs.
type page struct {
	*demo
	address string
	one     sync.Mutex // judges at a time, which bounds memory
}

func newPage(address string) (http.Handler, error) {
	d, err := newDemo()
	if err != nil {
		return nil, err
	}
	static, err := fs.Sub(files, "page")
	if err != nil {
		return nil, err
	}
	index, err := template.ParseFS(static, "page.html")
	if err != nil {
		return nil, err
	}
	var shown bytes.Buffer
	if err := index.Execute(&shown, groups); err != nil {
		return nil, err
	}
	p := &page{demo: d, address: address}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(shown.Bytes()) // the browser may have gone
	})
	for _, name := range []string{"app.js", "style.css"} {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, static, name) })
	}
	mux.Handle("GET /look/", http.StripPrefix("/look/", look.Handler()))
	mux.HandleFunc("POST /scene", answer(p.scene))
	mux.HandleFunc("POST /judge", answer(p.judged))
	mux.HandleFunc("POST /sign", answer(p.signed))
	mux.HandleFunc("POST /proof", answer(p.proved))
	mux.HandleFunc("POST /read", answer(p.taken))
	return p.guarded(mux), nil
}

// guarded lets in only who comes by our address, which a name that somebody points at this machine is not, and only
// what our own page sends. The browser is told what the page may do: no script but its own, no request but to us.
func (p *page) guarded(h http.Handler) http.Handler {
	ours := http.NewCrossOriginProtection().Handler(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		look.Secure(w.Header())
		if r.Host != p.address {
			http.Error(w, "this page is at http://"+p.address, http.StatusMisdirectedRequest)
			return
		}
		ours.ServeHTTP(w, r)
	})
}

// answer reads JSON and writes JSON. What is wrong with the input is told to the page as an error.
func answer[Q, A any](do func(*http.Request, Q) (A, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		// No form of another site can send this type.
		if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
			tell(w, http.StatusUnsupportedMediaType, errors.New("send application/json"))
			return
		}
		var question Q
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, most))
		decoder.DisallowUnknownFields()
		err := decoder.Decode(&question)
		if _, more := decoder.Token(); err == nil && more != io.EOF {
			err = errors.New("there is something behind the JSON")
		}
		switch _, large := errors.AsType[*http.MaxBytesError](err); {
		case large:
			tell(w, http.StatusRequestEntityTooLarge, fmt.Errorf("that is more than %d octets", most))
			return
		case err != nil:
			tell(w, http.StatusBadRequest, errors.New("that is not what the page sends"))
			return
		}
		result, err := do(r, question)
		if err != nil {
			tell(w, http.StatusUnprocessableEntity, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(result) // the page may have gone
	}
}

func tell(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()}) // the page may have gone
}

type named struct {
	Name string `json:"name"`
}

func (p *page) scene(_ *http.Request, q named) (inputs, error) {
	s, ok := sceneOf(q.Name)
	if !ok {
		return inputs{}, errors.New("there is no such scene")
	}
	return p.play(s, time.Now())
}

// judgement is what the page shows. The nonce is what a client would be told to use.
type judgement struct {
	*explain.Report
	Nonce string `json:"nonce,omitempty"`
}

func (p *page) judged(r *http.Request, in inputs) (judgement, error) {
	p.one.Lock()
	defer p.one.Unlock()
	report, err := p.judge(r.Context(), in)
	if err != nil {
		return judgement{}, err
	}
	return judgement{report, report.Verdict.Nonce}, nil
}

type unsigned struct {
	Header string `json:"header"`
	Claims string `json:"claims"`
	By     string `json:"by"`
}

type text struct {
	Text string `json:"text"`
}

func (p *page) signed(_ *http.Request, q unsigned) (text, error) {
	jwt, err := p.sign(q.Header, q.Claims, q.By)
	return text{jwt}, err
}

// wanted is a proof that a client would make.
type wanted struct {
	Method string    `json:"method"`
	URL    string    `json:"url"`
	Token  string    `json:"token"`
	Nonce  string    `json:"nonce"`
	Now    time.Time `json:"now"`
	By     string    `json:"by"`
}

func (p *page) proved(_ *http.Request, q wanted) (text, error) {
	proof, err := p.proof(dpop.ProofOptions{Method: q.Method, URL: q.URL, AccessToken: q.Token, Nonce: q.Nonce, IssuedAt: q.Now}, q.By)
	return text{proof}, err
}

func (p *page) taken(_ *http.Request, q text) (inputs, error) { return read(q.Text) }
