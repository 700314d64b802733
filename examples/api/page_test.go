package main

import (
	"strings"
	"testing"

	"github.com/senderlock/senderlock/examples/internal/browsertest"
	"github.com/senderlock/senderlock/internal/poptest"
)

// An operator with a phone finds the stolen token by its alert, takes its session back, looks at that, and lifts it.
func TestAdminPage(t *testing.T) {
	w := newWorld(t)
	secret := strings.Repeat("s", 32)
	p := w.start(t, env{"ADMIN_TOKEN": secret})
	token := w.bound(claim("sid", "<b>s1</b>"))
	if a := p.do(call{token: token}); a.status != 200 {
		t.Fatal(a.status)
	}
	p.do(call{token: token, proof: func(p *poptest.Proof) { p.Key = poptest.Keyed("ES256", "thief") }})

	b := browsertest.Start(t)
	b.Phone()
	b.Open("http://" + p.ports["ADMIN_PORT"] + "/")
	b.Wait(`!document.getElementById('login').hidden && document.getElementById('main').hidden`)
	b.Type("#token", strings.Repeat("x", 32))
	b.Click("#login button")
	b.Wait(`document.getElementById('message').innerText.includes('give the token')`)
	b.Wait(`document.getElementById('main').hidden`)
	browsertest.Value[any](b, `document.getElementById('token').value = ''`)
	b.Type("#token", secret)
	b.Click("#login button")
	b.Wait(`document.getElementById('who').innerText === 'ADMIN_TOKEN: metrics, look, revoke'`)
	b.Wait(`document.getElementById('alerts').innerText.includes('key_mismatch')`)
	b.Wait(`document.getElementById('clients').innerText.includes('client-1')`)

	browsertest.Value[any](b, `[...document.querySelectorAll('#alerts button')].find((b) => b.innerText === 'key …').click()`)
	b.Wait(`document.getElementById('entry').by.value === 'key' && document.getElementById('entry').value.value === '` + poptest.ClientKey().Thumbprint() + `'`)
	browsertest.Value[any](b, `document.getElementById('find').by.value = 'certificate'`)
	b.Type("#find [name=value]", "A6mFZI")
	b.Click("#find button")
	b.Wait(`document.getElementById('total').innerText === '0 in use'`)
	browsertest.Value[any](b, `document.getElementById('find').by.value = 'subject'; document.getElementById('find').value.value = ''`)

	b.Type("#find [name=value]", "user-1")
	b.Click("#find button")
	b.Wait(`document.getElementById('total').innerText === '1 in use'`)
	b.Wait(`document.getElementById('tokens').innerText.includes('<b>s1</b>')`) // as text
	browsertest.Value[any](b, `[...document.querySelectorAll('#tokens button')].find((b) => b.innerText === 'session …').click()`)
	b.Wait(`document.getElementById('entry').value.value === '<b>s1</b>' && document.getElementById('entry').by.value === 'session'`)
	b.Click("#entry [value=revoke]")
	b.Wait(`/Revoked until .*: 1 tokens in use are hit; later logins are welcome/.test(document.getElementById('message').innerText)`)
	b.Wait(`document.getElementById('entries').innerText.includes('until')`)
	b.Screenshot("operator")
	if a := p.do(call{token: token}); a.status != 401 {
		t.Errorf("the token of the session that was revoked: %d", a.status)
	}
	b.Click("#entry [value=lift]")
	b.Wait(`document.getElementById('message').innerText.startsWith('Lifted')`)
	b.Click("#entry [value=look]")
	b.Wait(`document.getElementById('entries').innerText === 'nothing is in force'`)
	if a := p.do(call{token: token}); a.status != 200 {
		t.Errorf("when it was lifted: %d", a.status)
	}

	if wide := browsertest.Value[int](b, `document.documentElement.scrollWidth`); wide > 360 {
		t.Errorf("the page is %d pixels wide on a phone of 360", wide)
	}
	if kept := browsertest.Value[string](b, `document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)`); strings.Contains(kept, secret) {
		t.Errorf("the token is kept: %s", kept)
	}
	if troubles := b.Troubles(); len(troubles) > 0 {
		t.Errorf("the browser says %q", troubles)
	}
	p.line("who took it back", func(l map[string]any) bool { return l["msg"] == "revoked" && l["credential"] == "ADMIN_TOKEN" })
	p.line("who lifted it", func(l map[string]any) bool { return l["msg"] == "lifted" && l["credential"] == "ADMIN_TOKEN" })
}

// Without ADMIN_TOKEN the page of this machine works as it is.
func TestAdminPageOfThisMachine(t *testing.T) {
	p := newWorld(t).start(t, nil)
	b := browsertest.Start(t)
	b.Open("http://" + p.ports["ADMIN_PORT"] + "/")
	b.Wait(`document.getElementById('who').innerText.startsWith('local')`)
	b.Type("#entry [name=value]", "s9")
	b.Click("#entry [value=revoke]")
	b.Wait(`document.getElementById('message').innerText.startsWith('Revoked until')`)
	if troubles := b.Troubles(); len(troubles) > 0 {
		t.Errorf("the browser says %q", troubles)
	}
}
