package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/internal/built"
)

// program is the built command, which the tests run as a user does.
var program string

func TestMain(m *testing.M) { os.Exit(built.Main(m, &program, true)) }

// outcome is what a run of the program left.
type outcome struct {
	out, said string // standard output and standard error
	status    int
}

// user is somebody with a home, in which the program finds nothing of whoever runs the tests.
type user struct {
	*testing.T
	home string
	env  []string
}

func newUser(t *testing.T) *user { return &user{T: t, home: t.TempDir()} }

// start makes a run of the program.
func (u *user) start(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, program, args...)
	command.Env = append(os.Environ(), "HOME="+u.home, "XDG_CONFIG_HOME="+u.home, "AppData="+u.home)
	command.Env = append(command.Env, u.env...)
	return command
}

// run runs the program to its end.
func (u *user) run(stdin string, args ...string) outcome {
	u.Helper()
	command := u.start(u.Context(), args...)
	var out, said bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(stdin), &out, &said
	err := command.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		u.Fatal(err)
	}
	return outcome{out.String(), said.String(), command.ProcessState.ExitCode()}
}

// expect runs the program and compares the exit code and, in part, what it prints; an empty text means that it prints
// nothing there.
func (u *user) expect(stdin string, want outcome, args ...string) outcome {
	u.Helper()
	got := u.run(stdin, args...)
	differs := func(got, want string) bool { return !strings.Contains(got, want) || want == "" && got != "" }
	if differs(got.out, want.out) || differs(got.said, want.said) || got.status != want.status {
		u.Errorf("senderlock %q ended with %d\nout:  %s\nsaid: %s\nwant %+v", args, got.status, got.out, got.said, want)
	}
	return got
}

// run runs the program for somebody of whom nothing is there yet.
func run(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	return newUser(t).run(stdin, args...)
}

// expect is that of a new user.
func expect(t *testing.T, stdin string, want outcome, args ...string) outcome {
	t.Helper()
	return newUser(t).expect(stdin, want, args...)
}

// decode reads the one JSON object that a run has printed.
func decode[T any](t *testing.T, text string) (value T) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&value); err != nil || decoder.More() {
		t.Fatalf("not one JSON object: %v\n%s", err, text)
	}
	return value
}

func TestVersion(t *testing.T) {
	expect(t, "", outcome{out: "senderlock (devel), go1."}, "version")
	got := decode[struct{ Version, Go, System string }](t, run(t, "", "version", "--json").out)
	if got.Version != "(devel)" || got.Go != runtime.Version() || got.System != runtime.GOOS+"/"+runtime.GOARCH {
		t.Errorf("%+v", got)
	}
}

// What the release script puts in is what a release says of itself.
func TestVersionOfARelease(t *testing.T) {
	script := text(t, "../../.ci/release")
	variable := regexp.MustCompile(`-X (main\.\w+)=\$version`).FindStringSubmatch(script)
	if variable == nil {
		t.Fatal(".ci/release puts no version in")
	}
	released := filepath.Join(t.TempDir(), "senderlock.exe")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-s -w -X "+variable[1]+"=v9.8.7", "-o", released, ".")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if said, err := exec.CommandContext(t.Context(), released, "version").Output(); !strings.HasPrefix(string(said), "senderlock v9.8.7, go1.") {
		t.Errorf("%s %v", said, err)
	}
}

func TestWrongArguments(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		said string
	}{
		"unknown command": {[]string{"versoin"}, `unknown command "versoin" for "senderlock"`},
		"below key":       {[]string{"key", "nwe"}, `senderlock key: unknown command "nwe" (senderlock key --help lists them)`},
		"no value":        {[]string{"proof", "--key"}, "senderlock proof: flag needs an argument: --key (senderlock proof --help lists"},
		"unknown letter":  {[]string{"curl", "-z"}, "senderlock curl: unknown shorthand flag: 'z' in -z (senderlock curl --help lists"},
		"unknown flag":    {[]string{"version", "--fast"}, "senderlock version: unknown flag: --fast (senderlock version --help lists"},
		"an argument":     {[]string{"version", "2"}, `senderlock version: unknown command "2" for "senderlock version"`},
	} {
		t.Run(name, func(t *testing.T) { expect(t, "", outcome{said: test.said, status: 2}, test.args...) })
	}
}
