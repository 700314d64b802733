package authserver

import (
	"cmp"
	"encoding/json"
	"net/http"
)

// revoke is the revocation endpoint (RFC 7009): a refresh token that is taken back ends the session that it belongs
// to. Access tokens end by their exp. A token that is not known here counts as taken back (§2.2).
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if refusal := s.takeBack(w, r); refusal != nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(cmp.Or(refusal.status, http.StatusBadRequest))
		_ = json.NewEncoder(w).Encode(refusal) // the client may have gone
	}
}

func (s *Server) takeBack(w http.ResponseWriter, r *http.Request) *oauthError {
	client, refusal := s.asking(w, r)
	if refusal != nil {
		return refusal
	}
	if r.PostForm.Get("token") == "" {
		return refused("invalid_request", "token is missing")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.refresh[r.PostForm.Get("token")]; t != nil && t.session.client == client {
		t.session.ended = true
	}
	return nil
}
