// Package extauthz answers Envoy's external authorization over gRPC (envoy.service.auth.v3) with what forward
// authentication says. It decides nothing: it makes an HTTP request of a question and the answer of Envoy of a response.
package extauthz

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"

	"github.com/senderlock/senderlock/gateway"
)

// CertificateField is the request field in which a question tells of the client's certificate, as URL-escaped PEM.
const CertificateField = "X-SSL-Client-Cert"

// Handler serves gRPC and HTTP on one port. Both ask forward, which is one of [gateway.Envoy].
func Handler(forward http.Handler) http.Handler {
	s := grpc.NewServer(grpc.MaxRecvMsgSize(maxQuestion))
	authv3.RegisterAuthorizationServer(s, &server{forward: forward})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			s.ServeHTTP(w, r)
			return
		}
		forward.ServeHTTP(w, r)
	})
}

// maxQuestion bounds a question in octets; Envoy sends no body unless it is told to.
const maxQuestion = 1 << 20

type server struct {
	authv3.UnimplementedAuthorizationServer
	forward http.Handler
}

// Check answers one question. It returns no error, since Envoy may be set to let a request pass at one.
func (s *server) Check(ctx context.Context, asked *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	r, err := original(ctx, asked.GetAttributes())
	a := &answer{header: http.Header{}}
	if err != nil {
		http.Error(a, err.Error(), http.StatusBadRequest)
		return a.denied(), nil
	}
	s.forward.ServeHTTP(a, r)
	if a.status == http.StatusOK {
		return a.accepted(r.Header), nil
	}
	return a.denied(), nil
}

var errContradiction = errors.New("the question contradicts itself")

// original is the request that Envoy asks about, as Envoy would ask over HTTP.
func original(ctx context.Context, attributes *authv3.AttributeContext) (*http.Request, error) {
	asked := attributes.GetRequest().GetHttp()
	r := (&http.Request{
		Method: asked.GetMethod(), RequestURI: asked.GetPath(), Host: asked.GetHost(), Header: http.Header{}, Body: http.NoBody,
		URL: &url.URL{}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	if from, ok := peer.FromContext(ctx); ok {
		r.RemoteAddr = from.Addr.String()
	}
	said := map[string]string{":method": r.Method, ":path": r.RequestURI, ":authority": r.Host, ":scheme": asked.GetScheme()}
	for name, value := range fields(asked) {
		if !strings.HasPrefix(name, ":") {
			r.Header.Add(name, value)
		} else if known, ok := said[name]; !ok || known != value {
			return nil, errContradiction
		}
	}
	switch proto := r.Header.Values("X-Forwarded-Proto"); {
	case len(proto) == 0 && asked.GetScheme() != "":
		r.Header.Set("X-Forwarded-Proto", asked.GetScheme())
	case len(proto) == 1 && asked.GetScheme() != "" && proto[0] != asked.GetScheme():
		return nil, errContradiction
	}
	r.Header.Del("Host")
	r.Header.Del(CertificateField)
	if certificate := attributes.GetSource().GetCertificate(); certificate != "" {
		r.Header.Set(CertificateField, certificate)
	}
	return r, nil
}

// fields are those of the request one by one, where Envoy is set to send them so (encode_raw_headers), and else with
// those of one name joined.
func fields(asked *authv3.AttributeContext_HttpRequest) func(yield func(name, value string) bool) {
	return func(yield func(name, value string) bool) {
		for _, h := range asked.GetHeaderMap().GetHeaders() {
			value := h.GetValue()
			if raw := h.GetRawValue(); len(raw) > 0 {
				value = string(raw)
			}
			if !yield(strings.ToLower(h.GetKey()), value) {
				return
			}
		}
		if asked.GetHeaderMap() != nil {
			return
		}
		for name, value := range asked.GetHeaders() {
			if !yield(strings.ToLower(name), value) {
				return
			}
		}
	}
}

// answer is what forward authentication says.
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

// own are the fields that Envoy itself sets for a service.
var own = map[string]bool{"X-Forwarded-For": true, "X-Forwarded-Proto": true, "X-Forwarded-Host": true}

// accepted tells the service who is calling, by every identity field, and drops what a client must not say.
func (a *answer) accepted(sent http.Header) *authv3.CheckResponse {
	ok := &authv3.OkHttpResponse{}
	for name, values := range a.header {
		switch {
		case isIdentity(name):
			ok.Headers = append(ok.Headers, option(name, values[0], corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD))
		case name == "Dpop-Nonce":
			ok.ResponseHeadersToAdd = append(ok.ResponseHeadersToAdd, option(name, values[0], corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD),
				option("Cache-Control", "no-store", corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD))
		case name == "Access-Control-Allow-Origin":
			ok.ResponseHeadersToAdd = append(ok.ResponseHeadersToAdd, option(name, values[0], corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD))
		case name == "Access-Control-Expose-Headers" || name == "Vary":
			ok.ResponseHeadersToAdd = append(ok.ResponseHeadersToAdd, option(name, values[0], corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD))
		}
	}
	for name := range sent {
		if _, said := a.header[name]; gateway.Drops(name) && !said && !own[name] {
			ok.HeadersToRemove = append(ok.HeadersToRemove, strings.ToLower(name))
		}
	}
	return &authv3.CheckResponse{
		Status:       &rpcstatus.Status{Code: int32(codes.OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok},
	}
}

// denied is the refusal that the client is to get.
func (a *answer) denied() *authv3.CheckResponse {
	if a.status < 400 && a.status != http.StatusNoContent { // of a preflight; nothing else that forward authentication says
		a.status = http.StatusServiceUnavailable
	}
	denied := &authv3.DeniedHttpResponse{Status: &typev3.HttpStatus{Code: typev3.StatusCode(a.status)}, Body: a.body.String()}
	for name, values := range a.header {
		for _, value := range values {
			if !isIdentity(name) {
				denied.Headers = append(denied.Headers, option(name, value, corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD))
			}
		}
	}
	return &authv3.CheckResponse{
		Status:       &rpcstatus.Status{Code: int32(codes.PermissionDenied)},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: denied},
	}
}

func isIdentity(name string) bool { return strings.HasPrefix(name, "X-Senderlock-") }

func option(name, value string, action corev3.HeaderValueOption_HeaderAppendAction) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header: &corev3.HeaderValue{Key: strings.ToLower(name), Value: value}, AppendAction: action, KeepEmptyValue: true,
	}
}
