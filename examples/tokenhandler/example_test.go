package main_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
)

// A backend with a cookie refuses what pages of others make a browser send.
func Example_crossSite() {
	transfer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {})
	backend := http.NewCrossOriginProtection().Handler(transfer)
	for _, site := range []string{"same-origin", "cross-site"} {
		r := httptest.NewRequest("POST", "https://app.example.com/transfer", nil)
		r.Header.Set("Sec-Fetch-Site", site) // browsers do, and no page can
		w := httptest.NewRecorder()
		backend.ServeHTTP(w, r)
		fmt.Println(site, w.Code)
	}
	// Output:
	// same-origin 200
	// cross-site 403
}
