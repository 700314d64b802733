package main

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// sealKeySize is the length of a key for cookies, in octets: AES-256.
const sealKeySize = 32

// maxCookie is what browsers keep of a cookie at least, name and attributes included (RFC 6265 §6.1), in octets.
const maxCookie = 4096

// errNoCookie means that a cookie is missing, too old, or not one of ours.
var errNoCookie = errors.New("no such cookie of ours")

// seal keeps values in cookies that browsers can neither read nor change.
type seal struct {
	aead cipher.AEAD
	now  func() time.Time
}

func newSeal(key []byte, now func() time.Time) (*seal, error) {
	if len(key) != sealKeySize {
		return nil, fmt.Errorf("the cookie key has %d octets: give %d random ones", len(key), sealKeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &seal{aead, now}, err
}

// sealed is what a cookie holds.
type sealed[T any] struct {
	Ends  time.Time `json:"ends"`
	Value T         `json:"value"`
}

// setSealed puts a value into a cookie that is good for a while. Its name is sealed in, so that no cookie passes for
// another.
func setSealed[T any](s *seal, w http.ResponseWriter, cookie http.Cookie, value T, ends time.Time) error {
	plain, err := json.Marshal(sealed[T]{ends, value})
	if err != nil {
		return err
	}
	cookie.Value = base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, plain, []byte(cookie.Name)))
	if text := cookie.String(); len(text) > maxCookie {
		return fmt.Errorf("the tokens make a cookie of %d octets, and browsers keep %d: run without -stateless", len(text), maxCookie)
	}
	setCookie(w, cookie)
	return nil
}

// getSealed returns the value of a cookie that setSealed has set.
func getSealed[T any](s *seal, r *http.Request, name string) (value T, err error) {
	var open sealed[T]
	text, err := oneCookie(r, name)
	if err != nil {
		return value, err
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return value, errNoCookie
	}
	plain, err := s.aead.Open(nil, nil, raw, []byte(name))
	if err != nil || json.Unmarshal(plain, &open) != nil || !s.now().Before(open.Ends) {
		return value, errNoCookie
	}
	return open.Value, nil
}

// newCookie is a cookie for our host alone, over confidential connections alone, and out of reach of scripts (RFC
// 6265bis §4.1.3.2). Browsers count http://localhost as confidential.
func newCookie(name string, site http.SameSite) http.Cookie {
	return http.Cookie{Name: "__Host-" + name, Path: "/", Secure: true, HttpOnly: true, SameSite: site}
}

// setCookie sets a cookie, in place of one of its name that was set for this response before.
func setCookie(w http.ResponseWriter, cookie http.Cookie) {
	fields := w.Header()["Set-Cookie"]
	kept := fields[:0:0]
	for _, field := range fields {
		if other, err := http.ParseSetCookie(field); err != nil || other.Name != cookie.Name {
			kept = append(kept, field)
		}
	}
	w.Header()["Set-Cookie"] = append(kept, cookie.String())
}

func removeCookie(w http.ResponseWriter, cookie http.Cookie) {
	cookie.MaxAge = -1
	setCookie(w, cookie)
}

// oneCookie returns the value of a cookie that is there exactly once.
func oneCookie(r *http.Request, name string) (string, error) {
	cookies := r.CookiesNamed(name)
	if len(cookies) != 1 {
		return "", errNoCookie
	}
	return cookies[0].Value, nil
}
