package redisstore

import (
	"crypto/fips140"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

//go:embed epoch.lua
var epochScript string

// scriptOf returns the script of an epoch.
func scriptOf(id string) string { return strings.ReplaceAll(epochScript, "EPOCH", id) }

// nameOf returns the name under which a server knows the script of an epoch. That it is SHA-1 is Redis's choice, and no
// secret hangs on it, so it is computed where only the algorithms of FIPS 140 are allowed, too.
func nameOf(id string) string {
	var sum [sha1.Size]byte
	fips140.WithoutEnforcement(func() { sum = sha1.Sum([]byte(scriptOf(id))) })
	return hex.EncodeToString(sum[:])
}

// marker is what a server says of its memory: which epoch it is in, since when, and how often that was renewed.
type marker struct {
	id    string
	begin time.Time // at the server
	name  string    // the part that stays: both of them
	count string    // in 16 digits, so that it compares as a string
}

const digits = 16

func (m marker) String() string { return m.name + m.count }

func parseMarker(s string) (m marker, ok bool) {
	parts := strings.Split(s, " ")
	if len(parts) != 3 || parts[0] == "" || len(parts[1]) != digits || len(parts[2]) != digits {
		return marker{}, false
	}
	begin, err := strconv.ParseUint(parts[1], 10, 62)
	if _, err2 := strconv.ParseUint(parts[2], 10, 62); err != nil || err2 != nil {
		return marker{}, false
	}
	return marker{parts[0], time.UnixMicro(int64(begin)), s[:len(s)-digits], parts[2]}, true
}

// micros is an instant as the scripts write it.
func micros(t time.Time) string { return fmt.Sprintf("%0*d", digits, t.UnixMicro()) }

// other is what the script answers in place of a time if the marker is not the expected one.
const other = -1

// timeAndFlag takes apart what the script answers to a call.
func timeAndFlag(answer int64) (server time.Time, flag bool) {
	return time.UnixMicro(answer / 2), answer%2 == 1
}

// state is what the script answers to a renewal, and to a founding that succeeded.
type state struct {
	marker marker
	time   time.Time
	sign   string // run_id, master_replid, evicted_keys, maxmemory_policy, in a Cluster the node's epoch
}

func readState(answer rueidis.RedisResult) (state, error) {
	if err := answer.Error(); err != nil {
		return state{}, err
	}
	list, err := answer.ToArray()
	if err != nil || len(list) != 3 { // no array if the script found another marker, one element if the founding did
		return state{}, errOther
	}
	text, err1 := list[0].ToString()
	at, err2 := list[1].AsInt64()
	sign, err3 := list[2].ToString()
	m, ok := parseMarker(text)
	if err1 != nil || err2 != nil || err3 != nil || !ok {
		return state{}, ErrDamaged
	}
	return state{m, time.UnixMicro(at), sign}, nil
}

// policy is the part of a sign that says what the server does when it is full.
func (s state) policy() string {
	fields := strings.Split(s.sign, " ")
	if len(fields) < 4 {
		return ""
	}
	return fields[3]
}
