package jose

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ReadMembers reads an object, each member into what member returns for its name; nil is one to pass over. It is for types
// that are read at each request, in half the time that reflection over a struct takes; the decoder is as strict with
// either, and refuses a name that comes twice.
func ReadMembers(d *jsontext.Decoder, member func(name []byte) json.UnmarshalerFrom) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() == jsontext.KindString {
		name, err := readName(d)
		if err != nil {
			return err
		}
		if into := member(name); into != nil {
			err = into.UnmarshalJSONFrom(d)
		} else {
			err = d.SkipValue()
		}
		if _, syntax := errors.AsType[*jsontext.SyntacticError](err); err != nil && !syntax {
			return fmt.Errorf("within %q: %w", d.StackPointer(), err)
		} else if err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// decoder reads one text.
type decoder struct {
	jsontext.Decoder
	text bytes.Buffer
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// readAlone reads a text that is one value and nothing else.
func readAlone(raw []byte, into json.UnmarshalerFrom) error {
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	d.text = *bytes.NewBuffer(raw)
	d.Reset(&d.text)
	if err := into.UnmarshalJSONFrom(&d.Decoder); err != nil {
		return err
	}
	switch _, err := d.ReadToken(); err {
	case io.EOF: // the decoder returns it as it is
		return nil
	case nil:
		return errors.New("more than one value")
	default:
		return err
	}
}

// readName reads the name of a member. It is good until the next read.
func readName(d *jsontext.Decoder) ([]byte, error) {
	quoted, err := d.ReadValue()
	if err != nil {
		return nil, err
	}
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1], nil
	}
	return jsontext.AppendUnquote(nil, quoted)
}

// Raw is a member of any type, as it is written.
type Raw jsontext.Value

// UnmarshalJSONFrom keeps a copy of the value.
func (r *Raw) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	value, err := d.ReadValue()
	*r = Raw(bytes.Clone(value))
	return err
}

// Text is a member that is a string. Null reads as an empty one.
type Text string

// UnmarshalJSONFrom reads a string or null.
func (t *Text) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	value, err := stringOrNull(d)
	*t = Text(value)
	return err
}
