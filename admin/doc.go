// Package admin is the operator's side of a resource server, an [http.Handler] for a port of its own: tokens are taken
// back, revocations looked at and lifted, tokens in use looked for, alerts and metrics read, by a page or by curl, each
// with a credential that has a name and rights. [Readiness] says whether requests are welcome. Nothing of it belongs on a
// public address. It decides nothing about requests; that is package access. It carries no RFC of its own.
package admin
