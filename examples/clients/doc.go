// Package clients runs the clients of docs/clients.md that others wrote in other languages, as that page prints them: what it
// says of them is what its tests did.
package clients
