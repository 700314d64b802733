package mobile_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// gobind is the generator of the Java and Objective-C bindings. It is not in go.mod: this test alone needs it.
const gobind = "golang.org/x/mobile/cmd/gobind@v0.0.0-20261011034528-197770444867"

const module = "github.com/senderlock/senderlock"

// unbound is a package of which gobind skips something.
const unbound = "challenge"

var errFetch = errors.New("gobind cannot be fetched")

// bindings are the files that gobind generates for this package and for unbound, by their names below the folder with both.
// Without the network the test is skipped, but not in CI.
func bindings(t *testing.T) map[string]string {
	t.Helper()
	files, err := generated()
	if errors.Is(err, errFetch) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// generated fetches gobind into a module beside this one and runs it, once for all tests: it reads every package that these
// need, the standard library's too.
var generated = sync.OnceValues(func() (map[string]string, error) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "gobind-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(folder, name), b, 0o600); err != nil {
			return nil, err
		}
	}
	run := func(args ...string) error {
		cmd := exec.Command("go", args...)
		cmd.Dir, cmd.Env = folder, append(os.Environ(), "GOGC=off", "GOMEMLIMIT=1GiB")
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go %s: %w: %s", args[0], err, output)
		}
		return nil
	}
	if err := run("mod", "edit", "-module=example.com/bindings",
		"-require="+module+"@v0.0.0", "-replace="+module+"="+root); err != nil {
		return nil, err
	}
	if err := run("get", "-tool", gobind); err != nil {
		return nil, fmt.Errorf("%w: %w", errFetch, err)
	}
	if err := run("tool", "gobind", "-lang=go,java,objc", "-outdir=bindings",
		module+"/dpop/mobile", module+"/internal/"+unbound); err != nil {
		return nil, err
	}
	return read(os.DirFS(filepath.Join(folder, "bindings")))
})

// read returns the files of a folder by their names.
func read(folder fs.FS) (map[string]string, error) {
	files := map[string]string{}
	return files, fs.WalkDir(folder, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := fs.ReadFile(folder, name)
		files[name] = string(b)
		return err
	})
}

// skipped returns the lines in which gobind says what it left out, of unbound or of anything else.
func skipped(files map[string]string, ofUnbound bool) (lines []string) {
	for name, content := range files {
		if strings.Contains(strings.ToLower(name), unbound) != ofUnbound {
			continue
		}
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
	files := bindings(t)
	if lines := skipped(files, false); len(lines) > 0 {
		t.Errorf("cannot be bound:\n%s", strings.Join(lines, "\n"))
	}
	for file, want := range map[string][]string{
		"java/mobile/Key.java":    {"byte[] publicKey() throws Exception", "byte[] signDigest(byte[] digest) throws Exception"},
		"java/mobile/Signer.java": {"native String proof(String method, String url, String accessToken, String nonce) throws Exception"},
		"java/mobile/Mobile.java": {"boolean needsNonce(long status, String wwwAuthenticate, String body)", "Signer newSigner(Key key)"},
		// As the Swift of README.md calls them: what is _Nonnull beside an error does not throw there.
		"src/gobind/Mobile.objc.h": {"@protocol MobileKey <NSObject>", "thumbprint", "publicJWK",
			"- (NSString* _Nonnull)proof:(NSString* _Nullable)method url:(NSString* _Nullable)url " +
				"accessToken:(NSString* _Nullable)accessToken nonce:(NSString* _Nullable)nonce error:(NSError* _Nullable* _Nullable)error;",
			"- (NSData* _Nullable)publicKey:(NSError* _Nullable* _Nullable)error;",
			"- (NSData* _Nullable)signDigest:(NSData* _Nullable)digest error:(NSError* _Nullable* _Nullable)error;",
			"BOOL MobileNeedsNonce(long status, NSString* _Nullable wwwAuthenticate, NSString* _Nullable body);",
			"MobileSigner* _Nullable MobileNewSigner(id<MobileKey> _Nullable key, NSError* _Nullable* _Nullable error);"},
	} {
		for _, declaration := range want {
			if !strings.Contains(files[file], declaration) {
				t.Errorf("%s does not declare %q", file, declaration)
			}
		}
	}
	// What shows that an API cannot be bound is still written as expected above.
	if lines := skipped(files, true); len(lines) == 0 {
		t.Error("gobind no longer says what it skips")
	}
}
