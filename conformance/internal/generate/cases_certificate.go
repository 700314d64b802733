package generate

import (
	"strings"

	"github.com/senderlock/senderlock/conformance/internal/cases"
)

func certificates(s *suite) {
	s.in("mtls")
	r := func(certificate, boundTo string) cases.Request {
		return cases.Request{
			Endpoint: "mtls", Certificate: certificate, Authorization: []string{"Bearer ${token}"},
			Without: []string{"proof"},
			Token:   &cases.Token{Bind: "-", Certificate: boundTo},
		}
	}
	s.send("RS-085", "mtls-good", "the certificate that the token is bound to", accepted, r("client", "client"))
	s.send("RS-086", "mtls-other", "another certificate", badCert, r("other", "client"))
	s.send("RS-086", "mtls-none", "no certificate", badCert, r("", "client"))
	s.send("RS-096", "mtls-bearer", "a certificate-bound token without a certificate is not a bearer token", badCert,
		r("", "other"))
	s.send("RS-093", "mtls-renewed", "the same key in a new certificate", badCert, r("renewed", "client"))
	s.send("RS-091", "mtls-renewed-token", "the new certificate with its own token", accepted, r("renewed",
		"renewed"))
	s.send("RS-090", "mtls-expired", "an expired certificate with its token, where only possession counts", accepted,
		r("expired", "expired"), level(cases.INFO))
	cnf := func(id, title string, a answers, value any) {
		q := r("client", "")
		q.Token = &cases.Token{Bind: "-", Claims: members("cnf", map[string]any{"x5t#S256": value})}
		s.send("RS-087", "mtls-x5t-"+id, title, a, q)
	}
	cnf("hex", "the thumbprint in hexadecimal", badCert, "${x5t:client|hex}")
	cnf("padded", "the thumbprint with padding", badCert, "${x5t:client|pad}")
	cnf("upper", "the thumbprint in upper case", badCert, "${x5t:client|upper}")
	cnf("short", "the thumbprint with its last character missing", badCert, "${x5t:client|short}")
	cnf("half", "the first half of the thumbprint", badCert, "${x5t:client|first-half}")
	cnf("half-last", "the last half of the thumbprint", badCert, "${x5t:client|last-half}")
	cnf("altered", "a character of the thumbprint changed", badCert, "${x5t:client|altered}")
	cnf("empty", "an empty thumbprint", badCert, "")
	cnf("array", "the thumbprint in an array", badCert, []string{"${x5t:client}"})
	s.send("RS-139", "mtls-x5t-name", "x5t#s256 in place of x5t#S256", badCert, func() cases.Request {
		q := r("client", "")
		q.Token = &cases.Token{Bind: "-", Claims: members("cnf", map[string]any{"x5t#s256": "${x5t:client}"})}
		return q
	}())
	both := func(certificate, key string) cases.Request {
		return cases.Request{Endpoint: "mtls", Certificate: certificate,
			Token: &cases.Token{Certificate: "client"}, Proof: &cases.Proof{Key: key}}
	}
	s.send("RS-037", "mtls-both", "bound to a key and a certificate, both proved", accepted, both("client", "client"))
	s.send("RS-037", "mtls-both-no-certificate", "bound to both, without the certificate", badCert, both("",
		"client"))
	s.send("RS-037", "mtls-both-other-certificate", "bound to both, with another certificate", badCert, both("other",
		"client"))
	s.send("RS-037", "mtls-both-other-key", "bound to both, with another key", mismatch, both("client", "other"))
	s.send("RS-037", "mtls-both-bearer", "bound to both, under Bearer", asBearer, func() cases.Request {
		q := both("client", "client")
		q.Authorization, q.Without = []string{"Bearer ${token}"}, []string{"proof"}
		return q
	}())
	s.send("RS-085", "mtls-dpop", "a DPoP-bound token over a connection with a certificate", accepted,
		cases.Request{Endpoint: "mtls", Certificate: "client"})
	s.send("RS-176", "mtls-host-other", "over TLS another Host, and a proof for it", badProof.or(400, 403, 404, 421),
		cases.Request{Endpoint: "mtls", Certificate: "client", Host: "evil.example.net",
			Proof: ptr(claims("htu", raw(`"https://evil.example.net${path}"`)))},
		needs("origin"), rfc("RFC 9110 §7.4, §4.2.2"))
	s.send("RS-086", "mtls-unbound", "an unbound token with a certificate", asBearer, r("client", ""))
	for _, h := range [][2]string{
		{"Client-Cert", ":${certificate:client}:"}, {"X-SSL-Client-Cert", "${certificate:client}"},
		{"X-Forwarded-Client-Cert", "Hash=x;Cert=\"${certificate:client}\""},
		{"X-Forwarded-Tls-Client-Cert", "${certificate:client}"},
		{"X-Amzn-Mtls-Clientcert", "${certificate:client}"}, {"X-Client-Cert", "${certificate:client}"},
		{"SSL_CLIENT_CERT", "${certificate:client}"},
	} {
		q := r("", "client")
		q.Headers = []cases.Header{{Name: h[0], Value: h[1]}}
		s.send("RS-092", "mtls-header-"+h[0], "a certificate in "+h[0]+" from a client", badCert, q)
	}
	s.send("RS-084", "mtls-asked", "the handshake asks for a certificate", accepted.with("certificate-request"),
		r("client", "client"))
	for _, version := range []string{"1.0", "1.1"} {
		q := r("client", "client")
		q.TLS = version
		closed := cases.Answer{Closed: true}
		s.send("RS-094", "mtls-tls-"+version, "no handshake of TLS "+version, answers{closed, closed}, q)
	}
	for _, version := range []string{"1.2", "1.3"} {
		q := r("client", "client")
		q.TLS = version
		s.send("RS-169", "mtls-tls-"+version, "TLS "+version, accepted, q)
	}
	q := r("other", "client")
	q.Headers = []cases.Header{{Name: "Client-Cert", Value: ":${certificate:client}:"}}
	s.send("RS-098", "mtls-header-beside", "another certificate and the right one in Client-Cert", badCert, q)
}

// proxiedCertificates come in the field of a proxy that ends TLS (RFC 9440).
func proxiedCertificates(s *suite) {
	s.in("certproxy")
	r := func(fields ...string) cases.Request {
		q := cases.Request{
			Endpoint: "certproxy", Authorization: []string{"Bearer ${token}"}, Without: []string{"proof"},
			Token: &cases.Token{Bind: "-", Certificate: "client"},
		}
		for i := 0; i < len(fields); i += 2 {
			q.Headers = append(q.Headers, cases.Header{Name: fields[i], Value: fields[i+1]})
		}
		return q
	}
	good := ":${certificate:client}:"
	s.send("RS-097", "certproxy-good", "the certificate in Client-Cert", accepted, r("Client-Cert", good))
	s.send("RS-097", "certproxy-spaces", "the same with spaces around it", accepted, r("Client-Cert", "  "+good+" "))
	s.send("RS-099", "certproxy-chain", "a chain beside it", accepted, r("Client-Cert", good, "Client-Cert-Chain",
		":${certificate:other}:"))
	s.send("RS-099", "certproxy-chain-only", "the certificate in the chain alone", badCert, r("Client-Cert-Chain",
		good))
	s.send("RS-099", "certproxy-chain-leaf", "another certificate, and the right one in the chain", badCert,
		r("Client-Cert", ":${certificate:other}:", "Client-Cert-Chain", good))
	s.send("RS-086", "certproxy-other", "another certificate", badCert, r("Client-Cert", ":${certificate:other}:"))
	s.send("RS-086", "certproxy-none", "no certificate", badCert, r())
	for _, c := range [][3]string{
		{"no-colons", "no colons", "${certificate:client}"}, {"one-colon", "one colon", ":${certificate:client}"},
		{"list", "two certificates in one field", good + ", :${certificate:other}:"},
		{"base64", "text that is not base64", ":*:"},
		{"string", "a string in place of octets", "\"${certificate:client}\""},
		{"der", "octets that are no certificate", ":AAAA:"}, {"pem", "PEM", "-----BEGIN CERTIFICATE-----"},
	} {
		rs := "RS-097"
		if c[0] == "der" {
			rs = "RS-095"
		}
		s.send(rs, "certproxy-"+c[0], c[1], badCert, r("Client-Cert", c[2]))
	}
	s.send("RS-175", "certproxy-twice", "the field twice", badCert, r("Client-Cert", good, "Client-Cert", good))
	s.send("RS-175", "certproxy-twice-other", "the field twice with different certificates", badCert,
		r("Client-Cert", good, "Client-Cert", ":${certificate:other}:"))
	s.send("RS-095", "certproxy-huge", "a field of 50,000 octets", badCert.or(400, 413, 431), r("Client-Cert",
		":"+strings.Repeat("A", 50000)+":"))
}
