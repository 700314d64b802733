// Package jose reads compact JWS strictly, for proofs and access tokens alike: compact form, canonical
// base64url, strict JSON, header members and the shape of public keys are checked here before any
// cryptography runs; Go's own crypto then verifies the signature. It carries RFC 7515 §3 and §5.2, RFC 7517,
// RFC 7518 §3 and §6, RFC 7638, RFC 8037 and the advice of RFC 8725 §3. Claims and policy are not its business.
package jose

import (
	"bytes"
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/senderlock/senderlock/reason"
)

// The causes for which a JWS is refused.
var (
	ErrMalformed = reason.New("jws_malformed", "not a compact JWS of three canonical base64url parts")
	ErrJSON      = reason.New("json_invalid", "not one strict JSON object with members of the right type")
	ErrHeader    = reason.New("header_invalid", "a required header member is missing or an unacceptable one is present")
	ErrType      = reason.New("typ_wrong", "typ names another kind of JWT")
	ErrAlgorithm = reason.New("alg_not_allowed", "alg is not on the list of accepted algorithms")
	ErrCritical  = reason.New("crit_present", "crit demands an extension that is not understood")
	ErrKey       = reason.New("key_unacceptable", "the public key has a shape that is not accepted")
	ErrPrivate   = reason.New("key_private", "the key holds private members")
	ErrKeyAlg    = reason.New("key_alg_mismatch", "the key does not fit the algorithm")
	ErrSignature = reason.New("signature_invalid", "the signature does not verify under the key")
)

// Compact is a JWS in compact serialisation, split but not decoded (RFC 7515 §7.1).
type Compact struct {
	Header, Payload, Signature string // the three parts as sent
	Input                      string // Header "." Payload: what was signed
}

// Split takes a compact JWS apart. It returns [ErrMalformed] unless there are exactly three non-empty parts;
// whether they are base64url is for [Decode].
func Split(s string) (Compact, error) {
	header, rest, _ := strings.Cut(s, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	if header == "" || payload == "" || signature == "" || strings.Contains(signature, ".") {
		// Not s itself: what is no JWS may be an opaque access token, and errors go to logs.
		return Compact{}, ErrMalformed.With("three parts, none empty", strconv.Itoa(strings.Count(s, ".")+1)+" parts")
	}
	return Compact{
		Header: header, Payload: payload, Signature: signature,
		Input: s[:len(header)+1+len(payload)],
	}, nil
}

var strictBase64 = base64.RawURLEncoding.Strict()

// Decode decodes canonical base64url: no padding, no line breaks, no stray bits at the end (RFC 7515 §2).
// Everything else is [ErrMalformed]; the error says where, not what: the part may belong to an access token.
func Decode(part string) ([]byte, error) {
	// The standard decoder skips line breaks. Two searches for one octet are faster than one for either.
	if i := max(strings.IndexByte(part, '\r'), strings.IndexByte(part, '\n')); i >= 0 {
		return nil, ErrMalformed.Because(base64.CorruptInputError(i))
	}
	b, err := strictBase64.DecodeString(part)
	if err != nil {
		return nil, ErrMalformed.Because(err)
	}
	return b, nil
}

// DecodeObject decodes one base64url part that holds a JSON object into v: exact member names, none twice,
// valid UTF-8, the types v gives. Unknown members are ignored.
func DecodeObject(part string, v any) error {
	raw, err := Decode(part)
	if err != nil {
		return err
	}
	return Object(raw, v)
}

// maxParts bounds the members and elements of an object that anybody may send. Proofs and headers have about
// ten; thousands, or brackets nested as deep, would cost more than the signature check that follows.
const maxParts = 100

// DecodeSmall is [DecodeObject] for headers and proofs: it returns [ErrJSON] for an object of more than a
// hundred members and elements, at all depths together, before it reads any.
func DecodeSmall(part string, v any) error {
	raw, err := Decode(part)
	if err != nil {
		return err
	}
	if crowded(raw) {
		return ErrJSON.With("at most "+strconv.Itoa(maxParts)+" members and elements", "more")
	}
	return Object(raw, v)
}

// crowded reports whether a JSON text has more than maxParts commas and opening brackets, those in strings not
// counted.
func crowded(raw []byte) bool {
	parts := 0
	for _, mark := range []string{",", "[", "{"} {
		parts += bytes.Count(raw, []byte(mark)) // fast, and nearly always enough
	}
	if parts <= maxParts {
		return false
	}
	parts = 0
	quoted := false
	for i := 0; i < len(raw) && parts <= maxParts; i++ {
		switch raw[i] {
		case '\\':
			i++ // the escaped octet
		case '"':
			quoted = !quoted
		case ',', '[', '{':
			if !quoted {
				parts++
			}
		}
	}
	return parts > maxParts
}

// Object reads a strict JSON object into v, as [DecodeObject] does for an encoded one.
func Object(raw []byte, v any) error {
	if kind := jsontext.Value(raw).Kind(); kind != jsontext.KindBeginObject {
		return ErrJSON.With("an object", kind.String())
	}
	if err := unmarshal(raw, v); err != nil {
		return ErrJSON.Because(err)
	}
	return nil
}

func unmarshal(raw []byte, v any) error {
	if members, ok := v.(json.UnmarshalerFrom); ok {
		return readAlone(raw, members)
	}
	return json.Unmarshal(raw, v)
}

// Header holds the header members that a resource server judges.
type Header struct {
	Type      string // typ; empty when there is none
	Algorithm string // alg
	KeyID     string // kid; empty when there is none
	JWK       jsontext.Value
}

// ParseHeader decodes the header part and refuses what no verifier here may accept: crit in any form
// (RFC 7515 §4.1.11), an unencoded payload (RFC 7797 §7), and a typ, alg or kid that is there and says nothing.
func ParseHeader(part string) (Header, error) {
	var h header
	if err := DecodeSmall(part, &h); err != nil {
		return Header{}, err
	}
	switch {
	case h.Critical != nil:
		return Header{}, ErrCritical.With("none", string(h.Critical))
	case h.Base64 != nil && string(h.Base64) != "true":
		return Header{}, ErrHeader.With("no b64", string(h.Base64))
	case h.Algorithm.value == "":
		return Header{}, ErrHeader.With("alg", "")
	case h.Type.present && h.Type.value == "":
		return Header{}, ErrType.With("typ with a value", "")
	case h.KeyID.present && h.KeyID.value == "":
		return Header{}, ErrHeader.With("kid with a value", "")
	}
	return Header{Type: h.Type.value, Algorithm: h.Algorithm.value, KeyID: h.KeyID.value, JWK: h.JWK}, nil
}

// header lists the members that take part in the decision.
type header struct {
	Type      word           // typ
	Algorithm word           // alg
	KeyID     word           // kid
	JWK       jsontext.Value // jwk
	Critical  jsontext.Value // crit
	Base64    jsontext.Value // b64
}

// UnmarshalJSONFrom reads an object.
func (h *header) UnmarshalJSONFrom(d *jsontext.Decoder) error { return ReadMembers(d, h.member) }

func (h *header) member(name []byte) json.UnmarshalerFrom {
	switch string(name) {
	case "typ":
		return &h.Type
	case "alg":
		return &h.Algorithm
	case "kid":
		return &h.KeyID
	case "jwk":
		return (*Raw)(&h.JWK)
	case "crit":
		return (*Raw)(&h.Critical)
	case "b64":
		return (*Raw)(&h.Base64)
	}
	return nil
}

// word is a header member that is a string. Null is present and empty.
type word struct {
	value   string
	present bool
}

// UnmarshalJSONFrom reads a string or null.
func (w *word) UnmarshalJSONFrom(d *jsontext.Decoder) (err error) {
	w.present = true
	w.value, err = stringOrNull(d)
	return err
}

// stringOrNull reads a string, or null as an empty one, at less cost than by reflection.
func stringOrNull(d *jsontext.Decoder) (string, error) {
	if d.PeekKind() != jsontext.KindNull {
		return ReadString(d)
	}
	_, err := d.ReadToken()
	return "", err
}

// ReadString reads a JSON string and refuses everything else.
func ReadString(d *jsontext.Decoder) (string, error) {
	if kind := d.PeekKind(); kind != jsontext.KindString && kind != jsontext.KindInvalid {
		return "", ErrJSON.With("a string", kind.String())
	}
	quoted, err := d.ReadValue()
	if err != nil {
		return "", err
	}
	return Unquote(quoted)
}

// Unquote returns the text of a JSON string that a decoder has read, and [ErrJSON] for any other value. Nearly all hold no
// escape, and are then copied once and not looked through again.
func Unquote(quoted jsontext.Value) (string, error) {
	if kind := quoted.Kind(); kind != jsontext.KindString {
		return "", ErrJSON.With("a string", kind.String())
	}
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1]), nil
	}
	b, err := jsontext.AppendUnquote(nil, quoted)
	return string(b), err
}

// farthest is the last second of the year 9999: beyond it a NumericDate is clamped, so that arithmetic with
// it cannot overflow.
const farthest = 253402300799

// NumericDate reads seconds since 1970 (RFC 7519 §2); fractions and exponents are legal. v is a value that
// [Object] has read; anything but a number, or one of more than 64 characters, is [ErrJSON]. name is the
// claim's, for the error.
func NumericDate(name string, v jsontext.Value) (time.Time, error) {
	if v.Kind() != jsontext.KindNumber || len(v) > 64 {
		return time.Time{}, ErrJSON.With(name+" as a number", string(v))
	}
	if whole, err := strconv.ParseInt(string(v), 10, 64); err == nil && -farthest <= whole && whole <= farthest {
		return time.Unix(whole, 0).UTC(), nil // as nearly all are
	}
	// On a range error ParseFloat gives an infinity, which the clamp handles.
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil && !math.IsInf(f, 0) {
		return time.Time{}, ErrJSON.With(name+" as a number", string(v))
	}
	f = max(-farthest, min(f, farthest))
	whole, fraction := math.Modf(f)
	return time.Unix(int64(whole), int64(fraction*1e9)).UTC(), nil
}

// DescribeDate says in a refusal what a NumericDate that was read as t stands for: the time, or for a number beyond
// the year 9999 the number itself and the unit in which it would be a time of our days. v is what [NumericDate] read.
func DescribeDate(v jsontext.Value, t time.Time) string {
	if t.Unix() < farthest {
		return When(t)
	}
	f, _ := strconv.ParseFloat(string(v), 64) // too large a number is an infinity
	for _, unit := range []struct {
		name      string
		perSecond float64
	}{{"milliseconds", 1e3}, {"microseconds", 1e6}, {"nanoseconds", 1e9}} {
		if seconds := f / unit.perSecond; seconds > firstOfDays && seconds < lastOfDays {
			return string(v) + ", which are " + unit.name + ": seconds are wanted"
		}
	}
	return string(v)
}

// When writes a time for a refusal, in milliseconds of UTC. time.Format is quick for RFC 3339 alone, which knows either
// none of them or nanoseconds.
func When(t time.Time) string {
	b := t.UTC().AppendFormat(make([]byte, 0, 32), time.RFC3339)
	ms := t.Nanosecond() / 1e6
	b[len(b)-1] = '.'
	return string(append(b, byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z'))
}

// What counts as a time of our days: the years 2000 to 2200.
const firstOfDays, lastOfDays = 946684800, 7258118400

// Strings is a claim that is a string or an array of strings (RFC 7519 §4.1.3).
type Strings []string

// UnmarshalJSONFrom reads one string or an array of them.
func (s *Strings) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() == jsontext.KindString {
		one, err := ReadString(d)
		*s = Strings{one}
		return err
	}
	return json.UnmarshalDecode(d, (*[]string)(s))
}
