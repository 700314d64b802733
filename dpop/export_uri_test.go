package dpop

// Matches lets tests compare an htu with a target.
var Matches = matches

// NormalURI lets tests see the normal form of a URI.
func NormalURI(s string) (string, error) {
	u, err := parseURI(s)
	return u.String(), err
}
