// Package echotest has the tests of package echoauth, which are the same for every version of Echo, and of its clients
// against it over real sockets. What concerns one version alone is tested beside its adapter.
package echotest
