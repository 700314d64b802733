// Package echoauth protects the routes of an Echo API: only the sender that an access token was issued to gets
// in, and only as far as the token reaches. [New] makes an [Auth] from a [Config]; [Auth.Authenticate] goes on a
// group, [Auth.Require] and [Auth.RequireScope] on its routes, [Auth.Stream] on those whose responses go on for long,
// and [GrantFrom] tells a handler who is calling. [Auth.PublishMetadata] tells clients what they need to get in.
//
// The decision is in package access and works without Echo; proofs are in package dpop. Here is only what Echo
// needs: middleware, its error handling, its logging. It carries no RFC of its own.
package echoauth
