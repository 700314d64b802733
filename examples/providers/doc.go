// Package providers runs authorization servers that others wrote, with the settings that examples/api/README.md gives for
// them, in front of examples/api: what that page says is what its tests did. "bash .ci/providers" fetches the servers
// and runs the tests; without them, the tests are skipped.
package providers
