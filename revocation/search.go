package revocation

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
)

// The bounds of [Search].Limit.
const (
	defaultFound = 100
	maxFound     = 10_000
)

// Search says which tokens in use are wanted: those of one issuer, by one property.
type Search struct {
	Issuer string // required
	By     By     // required
	Value  string // required; compared octet for octet
	// Prefix takes Value for the beginning of the property: eight characters of a thumbprint, as they stand in a ticket.
	Prefix bool
	// Limit is how many are returned, the last used first. Zero means 100; 10,000 are the most.
	Limit int
}

// Found is what a search has found.
type Found struct {
	Uses  []Use // the last used first, as many as the limit allows
	Total int   // how many there are, those beyond the limit included
}

// Searcher is a [Register] in which tokens can be looked for by more than their subject. A search reads the whole record:
// it is for people who ask once, not for the way of a request. It may miss a token that comes on record meanwhile.
type Searcher interface {
	Register
	// Search returns what is on record of what q asks for, [ErrInvalid] for a q that asks for nothing, or the register's
	// own trouble.
	Search(ctx context.Context, q Search) (Found, error)
}

var (
	_ Searcher = (*Memory)(nil)
	_ Searcher = (*File)(nil)
)

// Validate gives Limit its default, and returns [ErrInvalid] for what cannot be looked for. Every [Searcher] begins with
// it.
func (q *Search) Validate() error {
	named := Entry{Issuer: q.Issuer, By: q.By, Value: q.Value}
	if err := named.validate(); err != nil {
		return err
	}
	if q.Limit == 0 {
		q.Limit = defaultFound
	}
	if q.Limit < 0 || q.Limit > maxFound {
		return ErrInvalid.With("Search.Limit of at most 10000", "another")
	}
	return nil
}

// Collect returns what of the tokens on record q asks for. It is for stores that go through their tokens one by one; of
// q, Validate was called.
func (q Search) Collect(uses iter.Seq[Use]) (f Found) {
	for u := range uses {
		if !q.wants(&u) {
			continue
		}
		f.Total++
		if f.Uses = append(f.Uses, u); len(f.Uses) >= 2*q.Limit+64 {
			f.cut(q.Limit)
		}
	}
	f.cut(q.Limit)
	return f
}

func (q *Search) wants(u *Use) bool {
	if u.Issuer != q.Issuer {
		return false
	}
	t := Token{
		ID: u.ID, Session: u.Session, Subject: u.Subject, Client: u.Client,
		KeyThumbprint: u.KeyThumbprint, CertThumbprint: u.CertThumbprint,
	}
	has := t.value(q.By)
	return has == q.Value || q.Prefix && strings.HasPrefix(has, q.Value)
}

// cut leaves the last used.
func (f *Found) cut(limit int) {
	slices.SortFunc(f.Uses, lastUsedFirst)
	f.Uses = slices.Clip(f.Uses[:min(limit, len(f.Uses))])
}

func lastUsedFirst(a, b Use) int {
	return cmp.Or(b.LastSeen.Compare(a.LastSeen), cmp.Compare(a.ID, b.ID))
}

// Search implements [Searcher].
func (m *Memory) Search(_ context.Context, q Search) (Found, error) {
	if m.closed.Load() {
		return Found{}, ErrClosed
	}
	if err := q.Validate(); err != nil {
		return Found{}, err
	}
	return q.Collect(m.uses.all(floor(m.now()))), nil
}

// Search implements [Searcher]. It reads memory only.
func (f *File) Search(ctx context.Context, q Search) (Found, error) { return f.mem.Search(ctx, q) }
