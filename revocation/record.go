package revocation

import (
	"cmp"
	"slices"
	"time"
)

// mark denies what was issued up to the end of one second, with one exception at most.
type mark struct {
	before int64 // seconds of Unix time
	except exception
}

// exception names a token (ByToken) or a session (BySession). The zero exception names nothing.
type exception struct {
	by    By
	value string
}

// valid reports whether the exception can come from an entry. One without a value would match every token that
// has none.
func (x exception) valid() bool {
	return x == exception{} || x.value != "" && (x.by == ByToken || x.by == BySession)
}

func (e *Entry) mark() mark {
	m := mark{before: floor(e.Before)}
	switch {
	case e.ExceptToken != "":
		m.except = exception{ByToken, e.ExceptToken}
	case e.ExceptSession != "":
		m.except = exception{BySession, e.ExceptSession}
	}
	return m
}

func (m mark) denies(t *Token) bool {
	if m.except.by != 0 && t.value(m.except.by) == m.except.value {
		return false
	}
	return t.IssuedAt.IsZero() || floor(t.IssuedAt) <= m.before
}

// record is everything that is known of one value: the union of the entries revoked for it.
type record struct {
	expiry int64 // of the entries without Before; zero if there is none
	marks  marks
}

// marks are the entries with Before, the latest instant first, no two with the same exception.
type marks []mark

// maxMarks is how many are needed. A token can be named by two different exceptions at most, one with its
// jti and one with its sid, so of three marks one is sure to apply to it, and any earlier mark adds nothing.
const maxMarks = 3

// with returns the union of ms and m. It does not change ms, which a look-up may be reading.
func (ms marks) with(m mark) marks {
	out := make(marks, 0, len(ms)+1)
	for _, old := range ms {
		if old.except == m.except {
			m.before = max(m.before, old.before)
		} else {
			out = append(out, old)
		}
	}
	out = append(out, m)
	slices.SortFunc(out, func(a, b mark) int {
		return cmp.Or(cmp.Compare(b.before, a.before), cmp.Compare(a.except.by, b.except.by))
	})
	// What is older than a mark without exception is covered by it.
	if i := slices.IndexFunc(out, func(m mark) bool { return m.except.by == 0 }); i >= 0 {
		out = out[:i+1]
	}
	return slices.Clip(out[:min(len(out), maxMarks)])
}

// until returns when the last of the record's entries is dropped.
func (r *record) until(s span) int64 {
	var until int64
	if r.expiry != 0 {
		until = s.all(r.expiry)
	}
	if len(r.marks) > 0 {
		until = max(until, s.mark(r.marks[0]))
	}
	return until
}

// denies returns the entry that denies t at the given second, without its issuer, property and value.
func (r *record) denies(t *Token, s span, now int64) *Entry {
	if r.expiry != 0 && now < s.all(r.expiry) {
		return &Entry{Expiry: time.Unix(r.expiry, 0)}
	}
	for _, m := range r.marks {
		if now < s.mark(m) && m.denies(t) {
			return m.entry()
		}
	}
	return nil
}

func (m mark) entry() *Entry {
	e := &Entry{Before: time.Unix(m.before, 0)}
	switch m.except.by {
	case ByToken:
		e.ExceptToken = m.except.value
	case BySession:
		e.ExceptSession = m.except.value
	}
	return e
}

// Union returns entries that deny together what all the given ones deny, at most four however many are given. They
// must be valid, of one issuer, property and value, and those without Before need their Expiry. It is for stores that
// keep what is known of a value in one place, and must add to it without weakening it.
func Union(entries ...Entry) []Entry {
	if len(entries) == 0 {
		return nil
	}
	var r record
	for _, e := range entries {
		if e.Before.IsZero() {
			r.expiry = max(r.expiry, ceil(e.Expiry))
		} else {
			r.marks = r.marks.with(e.mark())
		}
	}
	return r.entries(key{entries[0].Issuer, entries[0].Value, entries[0].By})
}

// entries are what the record of k denies.
func (r record) entries(k key) (all []Entry) {
	if r.expiry != 0 {
		all = append(all, Entry{Expiry: time.Unix(r.expiry, 0)})
	}
	for _, m := range r.marks {
		all = append(all, *m.entry())
	}
	for i := range all {
		all[i].Issuer, all[i].By, all[i].Value = k.issuer, k.by, k.value
	}
	return all
}

// live is what of r has not ended.
func (r record) live(s span, now int64) (rest record) {
	if r.expiry != 0 && now < s.all(r.expiry) {
		rest.expiry = r.expiry
	}
	for _, m := range r.marks {
		if now < s.mark(m) {
			rest.marks = append(rest.marks, m)
		}
	}
	return rest
}
