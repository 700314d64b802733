// Package echoauth protects the routes of an Echo 5 API: only the sender that an access token was issued to gets in, and
// only as far as the token reaches. [New] makes an [Auth] from a [access.Guard]; [Auth.Authenticate] goes on a group,
// [Auth.Require] and [Auth.RequireScope] on its routes, [Auth.Stream] on those whose responses go on for long, and
// [GrantFrom] tells a handler who is calling. Package echoauth, one folder up, is the same for Echo 4.
//
// The decision, its settings, its log and what a refusal looks like are in package access, and work without Echo. Here is
// only what Echo needs: middleware, and its error handling. It carries no RFC of its own.
package echoauth
