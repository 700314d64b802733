// Auth0's middleware for Go.
package main

import (
	"log"
	"net/http"
	"net/url"
	"os"

	jwtmiddleware "github.com/auth0/go-jwt-middleware/v3"
	"github.com/auth0/go-jwt-middleware/v3/jwks"
	"github.com/auth0/go-jwt-middleware/v3/validator"
)

func main() {
	issuer, err := url.Parse(os.Getenv("ISSUER"))
	check(err)
	keys, err := jwks.NewCachingProvider(jwks.WithIssuerURL(issuer))
	check(err)
	tokens, err := validator.New(validator.WithKeyFunc(keys.KeyFunc), validator.WithAlgorithm(validator.ES256),
		validator.WithIssuer(issuer.String()), validator.WithAudience(os.Getenv("ORIGIN")))
	check(err)
	protect, err := jwtmiddleware.New(jwtmiddleware.WithValidator(tokens),
		jwtmiddleware.WithDPoPMode(jwtmiddleware.DPoPRequired))
	check(err)
	resource := protect.CheckJWT(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n"))
	}))
	check(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), resource))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
