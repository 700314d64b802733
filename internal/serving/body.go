package serving

import (
	"net/http"
	"time"
)

// NoBody is for handlers that want no body: of one that is sent nevertheless, net/http reads the rest behind the answer, so
// that the connection can carry another request, and it comes within the limit, or the connection is closed. A server whose
// own limit is shorter keeps that.
func NoBody(w http.ResponseWriter, r *http.Request, limit time.Duration) {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	stricter := ok && server.ReadTimeout > 0 && server.ReadTimeout <= limit
	if r.ProtoMajor == 1 && r.ContentLength != 0 && !stricter {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(limit))
	}
}
