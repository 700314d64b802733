package keyset

// Parse is parse, for the fuzz test.
func Parse(raw []byte) ([]*Key, error) {
	keys, _, err := parse(raw, 0)
	return keys, err
}
