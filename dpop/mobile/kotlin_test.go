package mobile_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/fetched"
)

// compiler is a Kotlin compiler with the libraries that README.md uses, as testdata/kotlin/pom.xml pins them.
type compiler struct{ java, libraries string }

// patience is for a machine that does other work too: ten seconds of one core are what the compiler takes.
const patience = 5 * time.Minute

func fetchCompiler(t *testing.T) compiler {
	t.Helper()
	c := compiler{java: fetched.Program(t, "java")}
	folder, err := fetched.Folder(t, "kotlin", []string{"testdata/kotlin/pom.xml"}, fetched.Program(t, "mvn"), "-q", "-B",
		"org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies", "-DoutputDirectory=libraries")
	if err != nil {
		fetched.Missing(t, "the Kotlin compiler cannot be fetched: "+err.Error())
	}
	c.libraries = filepath.Join(folder, "libraries")
	return c
}

func run(t *testing.T, name string, args ...string) (output string, err error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	return string(out), err
}

// compile compiles Kotlin, with Java beside it, and warnings as errors.
func (c compiler) compile(t *testing.T, sources ...string) (output string, err error) {
	t.Helper()
	jars, err := filepath.Glob(filepath.Join(c.libraries, "*.jar"))
	if err != nil {
		t.Fatal(err)
	}
	classes := strings.Join(jars, string(filepath.ListSeparator))
	args := []string{
		"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", classes, "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler",
		"-no-stdlib", "-no-reflect", "-Werror", "-cp", classes, "-d", t.TempDir(),
	}
	return run(t, c.java, append(args, sources...)...)
}

var kotlin = regexp.MustCompile("(?s)```kotlin\n(.*?)```")

// block writes the only Kotlin of a page to a file, inside of a text.
func block(t *testing.T, page, before, after string) (file string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	blocks := kotlin.FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 1 {
		t.Fatalf("%s has %d blocks of Kotlin, want one", page, len(blocks))
	}
	return source(t, before+blocks[0][1]+after)
}

func source(t *testing.T, text string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "Client.kt")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// javaFiles writes the Java that gobind made for this package, and what it shares with others, to a folder.
func javaFiles(t *testing.T, generated map[string]string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for name, content := range generated {
		file := filepath.Join(folder, filepath.FromSlash(name))
		if !strings.HasPrefix(name, "java/mobile/") && !strings.HasPrefix(name, "java/go/") {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, "java")
}

// The Kotlin of README.md, and the lines of docs/clients.md that use it, compile against the Java that gobind makes, OkHttp,
// and stand-ins for Android's own classes.
func TestKotlin(t *testing.T) {
	if testing.Short() || os.Getenv("CI") != "true" {
		t.Skip("fetches and runs a Kotlin compiler, in CI=true alone")
	}
	c := fetchCompiler(t)
	java := javaFiles(t, bindings(t))
	classes := block(t, "README.md", "", "")
	lines := block(t, "../../docs/clients.md", `
import okhttp3.HttpUrl.Companion.toHttpUrl
import okhttp3.OkHttpClient
import okhttp3.Request

fun lines(token: String) {
`, "}\n")
	if out, err := c.compile(t, java, "testdata/kotlin", classes, lines); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	wrong := source(t, `fun wrong(s: mobile.Signer) = s.proof("GET", "https://api.example.com", 7, "")`)
	if out, err := c.compile(t, java, "testdata/kotlin", wrong); err == nil || !strings.Contains(out, "Client.kt:1:") {
		t.Errorf("a call that fits no signature was compiled (%v): %s", err, out)
	}
}
