package redisstore

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/redis/rueidis"

	"github.com/senderlock/senderlock/revocation"
)

var _ revocation.Searcher = (*Store)(nil)

// Search implements [revocation.Searcher]. It goes through all keys of the servers, step by step, so that nobody waits for
// it, and its caller does: for about a second where there are a million keys. Timeout bounds each step.
func (s *Store) Search(ctx context.Context, q revocation.Search) (found revocation.Found, err error) {
	if err := s.usable(q.Value); err != nil {
		return found, err
	}
	if err := q.Validate(); err != nil {
		return found, err
	}
	found = q.Collect(s.onRecord(ctx, &err))
	if err != nil {
		return revocation.Found{}, err
	}
	return found, nil
}

// onRecord goes through the tokens on record, of all subjects. It ends early at an error.
func (s *Store) onRecord(ctx context.Context, failed *error) iter.Seq[revocation.Use] {
	return func(yield func(revocation.Use) bool) {
		for tokens, err := range s.tokenKeys(ctx) {
			uses, err2 := s.usesOf(ctx, tokens)
			if *failed = cmp.Or(err, err2); *failed != nil {
				return
			}
			for _, u := range uses {
				if !yield(u) {
					return
				}
			}
		}
	}
}

// tokenKeys gives the keys of tokens on record, a page at a time, each once.
func (s *Store) tokenKeys(ctx context.Context) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		servers := []rueidis.Client{s.client}
		if s.config.Cluster {
			servers = slices.Collect(maps.Values(s.client.Nodes())) // replicas too, whose keys come twice
		}
		known := map[string]bool{}
		for _, server := range servers {
			for cursor, first := uint64(0), true; first || cursor != 0; first = false {
				keys, next, err := s.scan(ctx, server, cursor)
				keys = slices.DeleteFunc(keys, func(k string) bool { was := known[k]; known[k] = true; return was })
				if !yield(keys, err) || err != nil {
					return
				}
				cursor = next
			}
		}
	}
}

// scan takes one step through the keys of a server.
func (s *Store) scan(ctx context.Context, server rueidis.Client, cursor uint64) (tokens []string, next uint64, err error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	pattern := s.config.Namespace + ":u:{*}:*" + seenSuffix
	entry, err := server.Do(ctx, server.B().Scan().Cursor(cursor).Match(pattern).Count(page).Build()).AsScanEntry()
	if err != nil {
		return nil, 0, fmt.Errorf("register: %w", s.trouble(err))
	}
	for _, key := range entry.Elements {
		tokens = append(tokens, strings.TrimSuffix(key, seenSuffix))
	}
	return tokens, entry.Cursor, nil
}

// usesOf returns what is known of tokens by their keys. The two keys of one lie on one server, those of others anywhere.
func (s *Store) usesOf(ctx context.Context, tokens []string) ([]revocation.Use, error) {
	if len(tokens) == 0 {
		return nil, nil
	}
	var commands []rueidis.Completed
	for _, token := range tokens {
		commands = append(commands, s.client.B().Mget().Key(token, token+seenSuffix).Build())
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	answers, err := s.good(s.client.DoMulti(ctx, commands...))
	if err != nil {
		return nil, err
	}
	var values []string
	for _, a := range answers {
		list, err := a.ToArray()
		if err != nil || len(list) != 2 {
			return nil, cmp.Or(err, ErrDamaged)
		}
		for _, m := range list {
			value, err := m.ToString()
			if err != nil && !rueidis.IsRedisNil(err) {
				return nil, fmt.Errorf("redisstore: register: %w", err)
			}
			values = append(values, value)
		}
	}
	return s.uses(values)
}
