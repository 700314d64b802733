package main_test

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// completed are the words that the program completes a command line with.
func completed(t *testing.T, line ...string) (words []string) {
	t.Helper()
	got := run(t, "", append([]string{"__complete"}, line...)...)
	for word := range strings.Lines(got.out) {
		if word, _, _ = strings.Cut(strings.TrimSuffix(word, "\n"), "\t"); !strings.HasPrefix(word, ":") && word != "" {
			words = append(words, word)
		}
	}
	return words
}

// everyCommand are the commands, found by completion, with those below them.
func everyCommand(t *testing.T) (all [][]string) {
	for _, name := range completed(t, "") {
		all = append(all, []string{name})
		if name == "key" {
			for _, below := range completed(t, name, "") {
				all = append(all, []string{name, below})
			}
		}
	}
	return all
}

// Help fits a screen of 80 by 24, and goes to the standard output.
func TestHelpFits(t *testing.T) {
	all := append(everyCommand(t), nil)
	if len(all) < 13 {
		t.Errorf("only %d commands were found: %q", len(all), all)
	}
	for _, command := range all {
		got := run(t, "", append(slices.Clone(command), "--help")...)
		lines := strings.Split(strings.TrimSuffix(got.out, "\n"), "\n")
		if got.status != 0 || got.said != "" || len(lines) < 3 || len(lines) > 24 {
			t.Errorf("%q: status %d, %d lines\n%s%s", command, got.status, len(lines), got.out, got.said)
		}
		for _, line := range lines {
			if utf8.RuneCountInString(line) > 80 {
				t.Errorf("%q: too wide: %s", command, line)
			}
		}
		if as := run(t, "", append([]string{"help"}, command...)...); as.out != got.out {
			t.Errorf("help %q differs from --help", command)
		}
	}
	root := run(t, "")
	if root.status != 0 || !strings.Contains(root.out, "Exit codes: 0 done; 1 done, and the answer is no; 2 it could not be done.") {
		t.Errorf("%+v", root)
	}
}

// Everybody on the machine sees the arguments of a process: no flag takes a token or a secret itself. The issuer's are for
// development.
func TestNoSecretIsAnArgument(t *testing.T) {
	others := []string{"--token-lifetime", "--token-endpoint"}
	secret := regexp.MustCompile(`token|secret|pass|credential|proof`)
	seen := 0
	for _, command := range everyCommand(t) {
		for _, flag := range completed(t, append(slices.Clone(command), "--")...) {
			seen++
			if secret.MatchString(flag) && !strings.HasSuffix(flag, "-file") && !slices.Contains(others, flag) {
				t.Errorf("senderlock %s %s takes a secret", strings.Join(command, " "), flag)
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d flags were seen", seen)
	}
}

func TestCompletion(t *testing.T) {
	for _, test := range []struct {
		line []string
		want string
	}{
		{[]string{"ex"}, "explain"}, {[]string{"key", "th"}, "thumbprint"}, {[]string{"key", "new", "--alg", "ES"}, "ES384"},
		{[]string{"curl", "--token"}, "--token-file"}, {[]string{"conformance", "--profile", ""}, "fapi2"}, {[]string{"completion", "z"}, "zsh"},
	} {
		if got := completed(t, test.line...); !slices.Contains(got, test.want) {
			t.Errorf("%q is completed with %q, want %q", test.line, got, test.want)
		}
	}
	for _, shell := range completed(t, "completion", "") {
		script := expect(t, "", outcome{out: "senderlock"}, "completion", shell)
		path, err := exec.LookPath(shell)
		if err != nil || shell != "bash" {
			continue // the others have no way to read a script without running it
		}
		check := exec.Command(path, "-n")
		check.Stdin = strings.NewReader(script.out)
		if said, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", shell, err, said)
		}
	}
	for _, args := range [][]string{{"completion"}, {"completion", "tcsh"}, {"completion", "bash", "zsh"}} {
		expect(t, "", outcome{said: "name one shell of bash, fish, powershell, zsh", status: 2}, args...)
	}
}
