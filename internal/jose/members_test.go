package jose_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/senderlock/senderlock/internal/jose"
)

// pair is read by ReadMembers, and reflected by reflection.
type pair struct {
	A string
	B jsontext.Value
}

type reflected struct {
	A string         `json:"a"`
	B jsontext.Value `json:"b"`
}

func (p *pair) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return jose.ReadMembers(d, func(name []byte) json.UnmarshalerFrom {
		switch string(name) {
		case "a":
			return (*jose.Text)(&p.A)
		case "b":
			return (*jose.Raw)(&p.B)
		}
		return nil
	})
}

// What ReadMembers reads, and what it refuses, is what reflection does.
func TestReadMembers(t *testing.T) {
	for _, text := range []string{
		`{}`, ` { } `, `{"a":"x"}`, `{"a":"x","b":[1,{"c":null}]}`, `{"b":"1","a":"\u0041"}`, `{"a":null,"b":null}`, `{"a":""}`,
		`{"\u0061":"x"}`, `{"A":"x"}`, `{"c":{"a":"y"},"a":"x"}`, ` {"a" : "x" , "c":[ ] } `, `{"a":"x","\u0063":1}`,

		`{"a":"x","a":"y"}`, `{"a":"x","\u0061":"y"}`, `{"c":1,"c":2}`, `{"b":{"c":1,"c":2}}`, `{"c":{"d":1,"d":2}}`,
		`{"a":1}`, `{"a":["x"]}`, `{"a":{}}`, `{"a":true}`, `{"a":"\ud800"}`, "{\"a\":\"\xff\"}", "{\"\xff\":1}", "{\"a\":\"\n\"}",
		`{"a":"x"`, `{"a":"x",}`, `{"a"}`, `{"a":}`, `{a:"x"}`, `{1:"x"}`, `{"a":"x"}}`, `{"a":"x"}{}`, `{"a":"x"} x`, `{"a":"x"},`,
		`{"a":"x" "b":1}`, `{,}`, `{`, `{"a":"x","b":01}`, `{"b":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`,
	} {
		var got pair
		var want reflected
		err, wanted := jose.Object([]byte(text), &got), json.Unmarshal([]byte(text), &want)
		if len(text) > 100 {
			text = text[:100]
		}
		switch {
		case (err == nil) != (wanted == nil):
			t.Errorf("%s: error %v; by reflection %v", text, err, wanted)
		case err != nil && !errors.Is(err, jose.ErrJSON):
			t.Errorf("%s: error %v, want ErrJSON", text, err)
		case err == nil && (got.A != want.A || string(got.B) != string(want.B)):
			t.Errorf("%s: read %q and %s; by reflection %q and %s", text, got.A, got.B, want.A, want.B)
		}
	}
}

// A refusal says which member is wrong.
func TestReadMembersNamesTheMember(t *testing.T) {
	err := jose.Object([]byte(`{"b":{"a":"x"},"a":1}`), new(pair))
	if err == nil || !strings.Contains(err.Error(), `within \"/a\"`) {
		t.Errorf("error = %v, want one that names /a", err)
	}
}
