// Package vectors holds the questions of the conformance suite as data: static.json for a library that verifies proofs
// without a server, with its schema and a promise in README.md; cases.json and keys.json, which the runner of this
// version reads and which promise nothing.
//
// They are made by "go generate ./conformance/vectors" and must not be edited by hand. The keys are published, so
// they protect nothing.
package vectors

//go:generate go run ../internal/generate/write

import "embed"

//go:embed cases.json static.json keys.json static.schema.json
var files embed.FS

// Files returns the files, by their names.
func Files() embed.FS { return files }
