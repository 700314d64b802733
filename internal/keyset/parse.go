package keyset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/senderlock/senderlock/internal/jose"
)

// maxCandidates bounds the keys tried for one token: each costs a signature check, and a forger makes the server
// pay for all of them. Beyond it the token is refused, since trying only some would make acceptance depend on
// the order in which the issuer lists its keys. An issuer in rotation has two or three of a kind.
const maxCandidates = 4

// identity is what makes two keys the same across refreshes. Some issuers list one key under one kid for each of its
// algorithms, so that alg belongs to it.
type identity struct{ kid, thumbprint, alg string }

func (k *Key) identity() identity { return identity{k.ID, k.Thumbprint(), k.Algorithm()} }

type header struct{ kid, alg string }

// snapshot is one key set, indexed and immutable. A nil snapshot is empty.
type snapshot struct {
	candidates map[header][]*Key // an empty kid stands for all keys
	byID       map[string]*Key   // one key of each kid
	members    map[identity]struct{}
}

func newSnapshot(keys []*Key) *snapshot {
	s := &snapshot{
		candidates: map[header][]*Key{}, byID: map[string]*Key{}, members: map[identity]struct{}{},
	}
	for _, k := range keys {
		if s.has(k) {
			continue
		}
		s.members[k.identity()] = struct{}{}
		s.byID[k.ID] = k
		for _, alg := range jose.Algorithms() {
			if k.Fits(alg) != nil {
				continue
			}
			s.add(header{"", alg}, k)
			if k.ID != "" {
				s.add(header{k.ID, alg}, k)
			}
		}
	}
	return s
}

// add makes k a candidate, unless the same key already is one under this kid.
func (s *snapshot) add(h header, k *Key) {
	for _, other := range s.candidates[h] {
		if other.Thumbprint() == k.Thumbprint() && other.ID == k.ID {
			return
		}
	}
	s.candidates[h] = append(s.candidates[h], k)
}

func (s *snapshot) has(k *Key) bool {
	if s == nil {
		return false
	}
	_, ok := s.members[k.identity()]
	return ok
}

func (s *snapshot) find(kid, alg string) ([]*Key, error) {
	if s == nil {
		return nil, ErrUnknownKey.With("a key of the issuer for "+alg, kid)
	}
	keys := s.candidates[header{kid, alg}]
	if len(keys) > maxCandidates {
		return nil, ErrAmbiguous.With("at most "+strconv.Itoa(maxCandidates)+" keys for "+alg, kid)
	}
	if len(keys) > 0 {
		return keys, nil
	}
	if k := s.byID[kid]; k != nil && kid != "" {
		return nil, k.Fits(alg)
	}
	return nil, ErrUnknownKey.With("a key of the issuer for "+alg, kid)
}

// skip is a member of a key set that is not used.
type skip struct {
	kid string
	err error
}

// parse reads a JWK set (RFC 7517 §5). A key that is not understood or not acceptable is skipped and does not
// spoil the others; [ErrSet] comes back when none is left or the set itself is no strict JSON.
//
// With a function mine, keys of whose own issuer it says no are skipped too.
func parse(raw []byte, maxRSABits int, mine func(issuer string) bool) ([]*Key, []skip, error) {
	values, err := split(raw)
	if err != nil {
		return nil, nil, ErrSet.Because(err)
	}
	var keys []*Key
	var skipped []skip
	for _, value := range values {
		k, err := parseKey(value, maxRSABits)
		if err == nil && mine != nil && !mine(k.issuer) {
			err = ErrTenant.With("a key with this issuer", k.issuer)
		}
		if err != nil {
			skipped = append(skipped, skip{k.ID, err})
			continue
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, skipped, ErrSet.With("a usable key", strconv.Itoa(len(skipped))+" others")
	}
	return keys, skipped, nil
}

// parseKey reads one key; next to an error, only ID means anything.
func parseKey(value jsontext.Value, maxRSABits int) (*Key, error) {
	var named struct {
		KeyID  jose.Member    `json:"kid"`
		Issuer jsontext.Value `json:"issuer"`
	}
	if err := jose.Object(value, &named); err != nil {
		return &Key{}, err
	}
	key, err := jose.ParseIssuerKey(value, maxRSABits)
	k := &Key{Key: key, ID: string(named.KeyID)}
	if named.Issuer.Kind() == jsontext.KindString {
		said, _ := jsontext.AppendUnquote(nil, named.Issuer) // it is a string of strict JSON
		k.issuer = string(said)
	}
	return k, err
}

// split returns the elements of the keys array. The set's own members must differ in name; what is doubled
// inside a key is for the check of that key, so that it costs that key only.
func split(raw []byte) ([]jsontext.Value, error) {
	d := jsontext.NewDecoder(bytes.NewReader(raw), jsontext.AllowDuplicateNames(true))
	if d.PeekKind() != jsontext.KindBeginObject {
		return nil, jose.ErrJSON.With("an object", d.PeekKind().String())
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	var keys []jsontext.Value
	seen := map[string]bool{}
	for d.PeekKind() != jsontext.KindEndObject {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		// A token is good only until the next is read.
		member := name.String()
		if seen[member] {
			return nil, jose.ErrJSON.With("each member once", member)
		}
		seen[member] = true
		if member != "keys" {
			err = d.SkipValue()
		} else {
			keys, err = elements(d)
		}
		if err != nil {
			return nil, err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, jose.ErrJSON.With("nothing after the set", "more")
	}
	return keys, nil
}

func elements(d *jsontext.Decoder) ([]jsontext.Value, error) {
	if kind := d.PeekKind(); kind != jsontext.KindBeginArray {
		return nil, jose.ErrJSON.With("keys as an array", kind.String())
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	var values []jsontext.Value
	for d.PeekKind() != jsontext.KindEndArray {
		value, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		values = append(values, value.Clone())
	}
	_, err := d.ReadToken()
	return values, err
}

// maxReported bounds the skipped keys that one log line names.
const maxReported = 8

// report logs the skipped keys, once for as long as they stay the same. A private key in public is a warning;
// an encryption key or an algorithm of tomorrow is not.
func (s *Set) report(skipped []skip) {
	level := slog.LevelInfo
	var lines []string
	for _, k := range skipped {
		if errors.Is(k.err, jose.ErrPrivate) {
			level = slog.LevelWarn
		}
		if len(lines) < maxReported {
			lines = append(lines, fmt.Sprintf("%.64q: %v", k.kid, k.err))
		}
	}
	summary := fmt.Sprint(len(skipped), strings.Join(lines, "; "))
	if len(skipped) > 0 && summary != s.skipped {
		s.log.Log(context.Background(), level, "keys skipped", "count", len(skipped), "keys", strings.Join(lines, "; "))
	}
	s.skipped = summary
}
