package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/internal/poptest"
)

var update = flag.Bool("update", false, "write docs/a-token-leaked.md anew")

const leaked = "../../docs/a-token-leaked.md"

// incident is the page that is written while it happens.
type incident struct {
	*process
	page bytes.Buffer
	same *strings.Replacer // for what differs from run to run
}

func (i *incident) tell(text string) { i.page.WriteString(text + "\n\n") }

// block shows what was said, with what differs from run to run replaced.
func (i *incident) block(kind, said string) {
	said = i.same.Replace(strings.TrimSpace(said))
	for _, differs := range [][2]string{
		{`"\d{4}-\d\d-\d\dT[\d:.]+Z"`, `"2026-05-01T03:12:44Z"`},
		{`"until":"[^"]+"`, `"until":"2026-05-01T03:28:05Z"`},
		{`"expiry":"[^"]+"`, `"expiry":"2026-05-01T03:17:40Z"`},
		{`"duration":\d+`, `"duration":131072`},
		{`"token_known":\w+`, `"token_known":true`}, // a cache may have lost it
	} {
		said = regexp.MustCompile(differs[0]).ReplaceAllString(said, differs[1])
	}
	fmt.Fprintf(&i.page, "```%s\n%s\n```\n\n", kind, said)
}

// logged shows the first line that has all of these, and returns it.
func (i *incident) logged(parts ...string) map[string]any {
	i.t.Helper()
	raw := i.Line(strings.Join(parts, " "), func(line string) bool { return hasAll(line, parts) })
	i.block("json", raw)
	var line map[string]any
	if err := json.Unmarshal([]byte(raw), &line); err != nil {
		i.t.Fatal(err)
	}
	return line
}

func hasAll(line string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(line, part) {
			return false
		}
	}
	return true
}

// curl shows a command for the admin port and what it answers, which is returned.
func (i *incident) curl(path, body string) map[string]any {
	i.t.Helper()
	method, command := "GET", "curl 'localhost:9090"+path+"'"
	if body != "" {
		method, command = "POST", "curl localhost:9090"+path+" -H 'Content-Type: application/json' -d '"+body+"'"
	}
	a := i.do(asAdmin(method, path, body))
	if a.status != 200 {
		i.t.Fatalf("%s: %d %s", path, a.status, a.body)
	}
	i.block("sh", command)
	i.block("json", a.body)
	var answer map[string]any
	if err := json.Unmarshal([]byte(a.body), &answer); err != nil {
		i.t.Fatal(err)
	}
	return answer
}

// expect makes a request and checks its status, and what stands in the log for a refusal.
func (i *incident) expect(what string, c call, status int, reason string) {
	i.t.Helper()
	if a := i.do(c); a.status != status {
		i.t.Fatalf("%s: %d, want %d: %s", what, a.status, status, a.body)
	}
	if reason != "" {
		i.decision("refused", reason)
	}
}

// A stolen token is used, found in the log, its session taken back from the line alone; the good client goes on, and the
// entry is lifted. The page says so with the outputs of this run.
func TestATokenLeaked(t *testing.T) {
	w := newWorld(t)
	i := &incident{process: w.start(t, nil)}
	i.same = strings.NewReplacer(w.URL(), "https://login.example.com")
	token := func(jti, sid string, changes ...func(*poptest.Token)) string {
		return w.bound(append(changes, func(t *poptest.Token) {
			t.Claims = map[string]any{"jti": jti, "sid": sid, "sub": "alice", "client_id": "shop-app"}
		})...)
	}
	thief := func(p *poptest.Proof) { p.Key = poptest.Keyed("ES256", "thief") }
	phone, tablet := token("at-7f3a", "phone-login"), token("at-91c0", "tablet-login")

	i.tell(leakedHead)
	i.expect("the tablet", call{token: tablet}, 200, "")
	i.expect("the phone", call{token: phone}, 200, "") // the last used is listed first
	i.tell("## 1. Somebody uses it\n\nThe thief has the token and not the key. He sends it with a proof of a key of his own, and is refused with 401.\nThe log has two lines. The alert, which `SenderlockTokenWithoutItsSender` pages for:")
	i.expect("the thief", call{token: phone, proof: thief}, 401, "key_mismatch")
	alert := i.logged(`"msg":"bound token without its sender"`)
	i.tell("And the decision, with the same `jti` and `sid`, the key that the token is bound to (`jkt`), and who sent it:")
	decision := i.logged(`"outcome":"refused"`, `"reason":"key_mismatch"`)
	if decision["sid"] != alert["sid"] || decision["jti"] != alert["jti"] || decision["jkt"] != alert["bound"] {
		t.Errorf("the lines differ: %v, %v", alert, decision)
	}
	i.tell("The request was refused, so nothing is lost yet. What is not known is how he got the token, and whether he has the next one\ntoo. `presented` is a key of his choice, which anybody could have sent (`proven` is false): never revoke that one.")

	session := fmt.Sprint(alert["sid"])
	i.tell("## 2. What else is there\n\nWhat is in use of that session, and of that person? The values are from the line:")
	if found := i.curl("/tokens?session="+session, ""); found["total"] != 1.0 {
		t.Errorf("%v", found)
	}
	if found := i.curl("/tokens?subject="+fmt.Sprint(alert["sub"]), ""); found["total"] != 2.0 {
		t.Errorf("%v", found)
	}
	i.tell("An `address` that the alert has too is a client that lost its key, or a thief in the same network; another one is a thief.")

	i.tell("## 3. Take the session back\n\nBy `session`, so that the tokens that he may get by a stolen refresh token are refused as well, and the person's other devices\ngo on:")
	done := i.curl("/revoke", `{"by":"session","value":"`+session+`"}`)
	if done["tokens_in_use"] != 1.0 || done["later_logins_refused"] != false {
		t.Errorf("%v", done)
	}
	i.tell("It hits one token in use and holds until every token of that session has expired; who logs in anew has another session and is\nwelcome (`later_logins_refused`). End the session at the authorization server too, or it gives out tokens that are refused here.")
	i.logged(`"msg":"revoked"`)

	i.tell("## 4. The good client goes on\n\nThe stolen token is refused, whoever sends it:")
	i.expect("the stolen token", call{token: phone}, 401, "session_revoked")
	i.logged(`"outcome":"refused"`, `"reason":"session_revoked"`)
	i.expect("the tablet", call{token: tablet}, 200, "")
	i.expect("a new login", call{token: token("at-c2d8", "phone-login-2")}, 200, "")
	i.tell("The tablet notices nothing (200). The phone is sent to log in, and is back with a new session (200).")

	i.tell("## 5. Lift it\n\nA false alarm, as when a client has lost its key? Look at what is in force, and lift it:")
	if found := i.curl("/entry?by=session&value="+session, ""); len(found["entries"].([]any)) != 1 {
		t.Errorf("%v", found)
	}
	i.curl("/lift", `{"by":"session","value":"`+session+`"}`)
	i.expect("the token when it was lifted", call{token: phone}, 200, "")
	i.logged(`"msg":"lifted"`)
	i.tell(leakedTail)

	i.documented(t)
	page := append(bytes.TrimSpace(i.page.Bytes()), '\n')
	if *update {
		if err := os.WriteFile(leaked, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if kept := text(t, leaked); kept != string(page) {
		t.Errorf("%s is not what happens: go test ./examples/api -run TestATokenLeaked -update", leaked)
	}
}

// documented checks that each attribute of what was logged is part of the interface.
func (i *incident) documented(t *testing.T) {
	t.Helper()
	promised := text(t, "../../docs/logs-and-metrics.md")
	for _, text := range i.Lines() {
		line := parsed(text)
		if line["outcome"] == nil && line["credential"] == nil && line["kind"] == nil {
			continue
		}
		for name := range line {
			if name != "time" && name != "level" && name != "msg" && !strings.Contains(promised, "`"+name+"`") {
				t.Errorf("docs/logs-and-metrics.md has no %s: %v", name, line["msg"])
			}
		}
	}
}

const leakedHead = `# A token leaked, what now

A night with [examples/api](../examples/api), from the page to the sleep after it. A test plays it and writes this page, so the
outputs are those of a running program, with other times and addresses: ` + "`go test ./examples/api -run TestATokenLeaked -update`" + `.
The admin port is at ` + "`localhost:9090`" + `, where the same can be done on a page, with a phone. With ` + "`ADMIN_TOKEN`" + ` each command needs
` + "`-H \"Authorization: Bearer $ADMIN_TOKEN\"`" + `.

Alice is logged in on her phone and on her tablet. The token of the phone has leaked.`

const leakedTail = `## Afterwards

- How did it leak? A log of a proxy, a crash report, a page with a script of others. The token alone was worth nothing here; where
  it is accepted without its sender, it was worth everything.
- If the thief had the key too, there is no alert, and nothing here tells him from Alice but ` + "`address`" + `. Then take back by
  ` + "`key`" + ` or ` + "`subject`" + `, with ` + "`until_now`" + `, and have the client make a new key.
- Without ` + "`until_now`" + ` or ` + "`before`" + `, by subject, client, key or certificate, later logins are refused too, until the entry
  ends: the answer says so. Lift it, or Alice stays locked out.
- To react without being woken, give ` + "`access.React`" + ` as ` + "`Config.OnAlert`" + `.`
