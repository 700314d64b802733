package setting_test

import (
	"slices"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/setting"
)

func TestBetween(t *testing.T) {
	for _, c := range []struct {
		value, want time.Duration
		err         string
	}{
		{0, 10, ""}, {5, 5, ""}, {20, 20, ""},
		{4, 0, "Wait is 4ns: give a value from 5ns to 20ns, or zero for 10ns"},
		{21, 0, "Wait is 21ns: give a value from 5ns to 20ns, or zero for 10ns"},
		{-1, 0, "Wait is -1ns: give a value from 5ns to 20ns, or zero for 10ns"},
	} {
		got := c.value
		err := setting.Between("Wait", &got, 10, 5, 20)
		if err == nil && got != c.want || message(err) != c.err {
			t.Errorf("%v: got %v, %q; want %v, %q", c.value, got, message(err), c.want, c.err)
		}
	}
}

func TestChosen(t *testing.T) {
	all := []string{"a", "b", "c"}
	for _, c := range []struct {
		names, want []string
		err         string
	}{
		{nil, all, ""}, {[]string{"c", "a"}, []string{"c", "a"}, ""},
		{[]string{}, nil, `Names is empty: list some of ["a" "b" "c"], or leave it nil for all`},
		{[]string{"a", "x"}, nil, `Names has "x": take names from ["a" "b" "c"]`},
	} {
		got, err := setting.Chosen("Names", c.names, all)
		if !slices.Equal(got, c.want) || message(err) != c.err {
			t.Errorf("%q: got %q, %q; want %q, %q", c.names, got, message(err), c.want, c.err)
		}
	}
	got, _ := setting.Chosen("Names", nil, all)
	if got[0] = "changed"; all[0] != "a" {
		t.Error("the names are not a copy")
	}
}

func TestMade(t *testing.T) {
	var never *time.Location
	for _, c := range []struct {
		value any
		err   string
	}{
		{nil, ""}, {time.UTC, ""}, {"a value", ""}, {time.Time{}, ""},
		{never, "Where holds a nil *time.Location: give one that was made, or leave the field nil"},
	} {
		if err := setting.Made("Where", c.value); message(err) != c.err {
			t.Errorf("%v: got %q, want %q", c.value, message(err), c.err)
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true,
		"": false, "localhost.example.com": false, "192.0.2.1": false, "::": false, "0.0.0.0": false, "127.1": false,
	} {
		if setting.Loopback(host) != want {
			t.Errorf("%q: want %t", host, want)
		}
	}
}

func TestAddress(t *testing.T) {
	for address, want := range map[string]string{
		"":                                 `""`,
		"https://login.example.com":        `"https://login.example.com"`,
		"HTTPS://login.example.com:8443":   `"https://login.example.com:8443"`,
		"https://login.example.com/secret": `"https://login.example.com/…"`,
		"https://login.example.com?secret": `"https://login.example.com/…"`,
		"https://login.example.com#secret": `"https://login.example.com/…"`,
		"https://secret@login.example.com": `"https://…"`,
		"https://api:1/secret@example.com": `"https://…"`, // the host is api:1
		"https://api:secret@example.com":   `"https://…"`,
		"https://api:secret/@example.com":  `"…"`,
		"secret":                           `"…"`,
		"secret:secret@example.com":        `"…"`,
		"https://secret\x7f":               `"…"`,
	} {
		if got := setting.Address(address); got != want {
			t.Errorf("%q: %s, want %s", address, got, want)
		}
	}
}
