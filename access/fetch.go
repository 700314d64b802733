package access

// FetchKeys begins to fetch the keys of [Config.Issuers], which otherwise begins with the first token of each: for a server
// that says by itself when requests are welcome. It does not wait; [Observer].Fetched hears of what comes. Calling it again
// does nothing.
func (g *Guard) FetchKeys() {
	for _, i := range g.jwts.issuers {
		i.keys.Start()
	}
}
