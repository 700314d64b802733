// Package gateway protects services in any language with the same Guard that a program in Go has: [New] is a reverse
// proxy in front of them, [NewForwardAuth] answers a proxy that asks before it forwards a request.
//
// Nothing here judges a request. Package access does; this package finds the route of a request, asks the Guard, and
// tells the service who is calling, in fields of its own that no client can set. What it adds are refusals of its own: of
// paths that are not listed, and of paths that a service may read otherwise than the gateway does.
package gateway
