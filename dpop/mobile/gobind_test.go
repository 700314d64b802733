package mobile_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// gobind is the generator of the Java and Objective-C bindings. It is not in go.mod: this test alone needs it.
const gobind = "golang.org/x/mobile/cmd/gobind@v0.0.0-20261011034528-197770444867"

const module = "github.com/senderlock/senderlock"

// bindings fetches gobind into a module beside this one and returns a function that runs it for a package, giving
// the folder of what it generates. Without the network the test is skipped, but not in CI.
func bindings(t *testing.T) func(path string) (folder string) {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) ([]byte, error) {
		cmd := exec.Command("go", args...)
		cmd.Dir = folder
		return cmd.CombinedOutput()
	}
	output, err := run("mod", "edit", "-module=example.com/bindings",
		"-require="+module+"@v0.0.0", "-replace="+module+"="+root)
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if output, err := run("get", "-tool", gobind); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%v: %s", err, output)
		}
		t.Skipf("gobind cannot be fetched: %s", output)
	}
	return func(path string) string {
		t.Helper()
		out := t.TempDir()
		if output, err := run("tool", "gobind", "-lang=go,java,objc", "-outdir="+out, path); err != nil {
			t.Fatalf("gobind: %v: %s", err, output)
		}
		return out
	}
}

// read returns the files of a folder by their names.
func read(t *testing.T, folder string) map[string]string {
	t.Helper()
	generated := map[string]string{}
	err := fs.WalkDir(os.DirFS(folder), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(folder, name))
		generated[filepath.Base(name)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return generated
}

// skipped returns the lines in which gobind says what it left out.
func skipped(generated map[string]string) (lines []string) {
	for _, content := range generated {
		for line := range strings.Lines(content) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "// skipped") && !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// Everything that is exported here can be called from Java and Objective-C.
func TestGobind(t *testing.T) {
	if testing.Short() {
		t.Skip("builds gobind")
	}
	bind := bindings(t)
	generated := read(t, bind(module+"/dpop/mobile"))
	if lines := skipped(generated); len(lines) > 0 {
		t.Errorf("cannot be bound:\n%s", strings.Join(lines, "\n"))
	}
	for file, want := range map[string][]string{
		"Key.java":    {"byte[] publicKey() throws Exception", "byte[] signDigest(byte[] digest) throws Exception"},
		"Signer.java": {"native String proof(String method, String url, String accessToken, String nonce) throws Exception"},
		"Mobile.java": {"boolean needsNonce(long status, String wwwAuthenticate, String body)", "Signer newSigner(Key key)"},
		// As the Swift of README.md calls them: what is _Nonnull beside an error does not throw there.
		"Mobile.objc.h": {"@protocol MobileKey <NSObject>", "thumbprint", "publicJWK",
			"- (NSString* _Nonnull)proof:(NSString* _Nullable)method url:(NSString* _Nullable)url " +
				"accessToken:(NSString* _Nullable)accessToken nonce:(NSString* _Nullable)nonce error:(NSError* _Nullable* _Nullable)error;",
			"- (NSData* _Nullable)publicKey:(NSError* _Nullable* _Nullable)error;",
			"- (NSData* _Nullable)signDigest:(NSData* _Nullable)digest error:(NSError* _Nullable* _Nullable)error;",
			"BOOL MobileNeedsNonce(long status, NSString* _Nullable wwwAuthenticate, NSString* _Nullable body);",
			"MobileSigner* _Nullable MobileNewSigner(id<MobileKey> _Nullable key, NSError* _Nullable* _Nullable error);"},
	} {
		for _, declaration := range want {
			if !strings.Contains(generated[file], declaration) {
				t.Errorf("%s does not declare %q", file, declaration)
			}
		}
	}
	// What shows that an API cannot be bound is still written as expected above.
	if lines := skipped(read(t, bind(module+"/internal/challenge"))); len(lines) == 0 {
		t.Error("gobind no longer says what it skips")
	}
}
