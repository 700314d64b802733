package serving

import (
	"net/http"
	"time"
)

// NoBody is for handlers that want no body: of one that is sent nevertheless, net/http reads the rest behind the answer, so
// that the connection can carry another request, and it comes within the limit, or the connection is closed.
func NoBody(w http.ResponseWriter, r *http.Request, limit time.Duration) {
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(limit))
	}
}
