package senderlock_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// requirementsOf are the versions that a module's go.mod asks for.
func requirementsOf(t *testing.T, file string) map[string]string {
	t.Helper()
	output, err := exec.Command("go", "mod", "edit", "-json", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal(output, &parsed); err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, r := range parsed.Require {
		versions[r.Path] = r.Version
	}
	return versions
}

// The command line, the examples and the histories are tested with the versions that a user of the library gets, and what
// only they need is not asked of a user: whoever requires a module has to take the versions in its go.mod.
func TestModulesApart(t *testing.T) {
	library := requirementsOf(t, "go.mod")
	for file, only := range map[string][]string{
		"cmd/senderlock/go.mod":       {"github.com/spf13/cobra", "github.com/envoyproxy/go-control-plane/envoy"},
		"examples/go.mod":             {"github.com/chromedp/chromedp", "github.com/prometheus/client_golang"},
		"redisstore/histories/go.mod": {"github.com/anishathalye/porcupine"},
	} {
		apart := requirementsOf(t, file)
		for path, version := range apart {
			if own := library[path]; own != "" && own != version {
				t.Errorf("%s requires %s %s, go.mod %s: run go work sync", file, path, version, own)
			}
		}
		for _, path := range only {
			if library[path] != "" || apart[path] == "" {
				t.Errorf("%s belongs into %s alone", path, file)
			}
		}
	}
}

// A user needs a Go, not the newest patch of it: a module asks for the first release of one, and for no toolchain.
func TestFloorIsNoPatch(t *testing.T) {
	files := []string{"go.work"}
	for _, folder := range modules(t) {
		files = append(files, path.Join(folder, "go.mod"))
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// 1.26 and 1.26.0 are one Go: dependencies that say the one have go mod tidy write it.
		if !regexp.MustCompile(`(?m)^go 1\.26(\.0)?$`).Match(text) || regexp.MustCompile(`(?m)^toolchain `).Match(text) {
			t.Errorf("%s asks for another Go than 1.26", file)
		}
	}
	if !strings.Contains(strings.Join(readme(t), "\n"), "takes Go 1.26 or later") {
		t.Error("README.md does not say from which Go on")
	}
}

// Every module of the workspace is kept up to date, and tested.
func TestModulesAreKeptUpToDate(t *testing.T) {
	var visited struct {
		Version int
		Updates []struct {
			Ecosystem   string `yaml:"package-ecosystem"`
			Directory   string
			Directories []string
			Schedule    map[string]string
			Groups      map[string]map[string][]string
		}
	}
	readYAML(t, ".github/dependabot.yml", &visited)
	var folders []string
	actions := false
	for _, u := range visited.Updates {
		switch u.Ecosystem {
		case "gomod":
			folders = append(folders, u.Directories...)
		case "github-actions":
			actions = u.Directory == "/" // the workflows, and action.yml
		}
	}
	if !actions {
		t.Error(".github/dependabot.yml does not visit the actions")
	}
	modules := modules(t)
	for _, module := range modules {
		if folder := path.Join("/", module); !slices.Contains(folders, folder) {
			t.Errorf(".github/dependabot.yml does not visit %s", folder)
		}
	}
	// And everything that is done in one is done in all.
	for file, of := range map[string]func(folder string) string{
		"README.md":                func(folder string) string { return "./" + path.Join(folder, "...") },
		".ci/run":                  func(folder string) string { return folder },
		".ci/deprecated":           func(folder string) string { return path.Join(folder, "go.mod") },
		".github/workflows/ci.yml": func(folder string) string { return "./" + path.Join(folder, "...") },
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, module := range modules {
			if place := of(module); !slices.Contains(strings.FieldsFunc(string(text), notInPath), place) {
				t.Errorf("%s does not visit %s", file, place)
			}
		}
	}
}

// modules are the folders of the modules in go.work.
func modules(t *testing.T) (folders []string) {
	t.Helper()
	output, err := exec.Command("go", "work", "edit", "-json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var workspace struct{ Use []struct{ DiskPath string } }
	if err := json.Unmarshal(output, &workspace); err != nil {
		t.Fatal(err)
	}
	for _, use := range workspace.Use {
		folders = append(folders, path.Clean(use.DiskPath))
	}
	if len(folders) < 4 {
		t.Errorf("go.work lists %d modules", len(folders))
	}
	return folders
}

func notInPath(r rune) bool { return !unicode.IsLetter(r) && !strings.ContainsRune("./_-", r) }

// linked are the libraries in what a user of a folder builds, besides the standard library.
var linked = map[string][]string{
	"conformance": {"golang.org/x/net", "golang.org/x/text"}, // HTTP/2 as a transport of its own
	"storetest":   slices.Concat(ofDPoP, []string{"go.etcd.io/bbolt", "golang.org/x/sys"}),
	"dpop":        ofDPoP,
	"mtls":        {"github.com/dunglas/httpsfv"},
	"revocation":  {"go.etcd.io/bbolt", "golang.org/x/sys"},
	"access":      ofAccess,
	"echoauth": slices.Concat(ofAccess, []string{echo + "/v4", "github.com/labstack/gommon", "github.com/mattn",
		"github.com/valyala", "golang.org/x/time"}),
}

var (
	ofDPoP = []string{"filippo.io/bigmod", "filippo.io/edwards25519", "filippo.io/nistec", "github.com/go-json-experiment/json", "github.com/dgraph-io/ristretto",
		"github.com/cespare/xxhash", "github.com/dustin/go-humanize", "golang.org/x/net", "golang.org/x/sys", "golang.org/x/text"}
	ofAccess = slices.Concat(ofDPoP, []string{"github.com/dunglas/httpsfv", "github.com/lestrrat-go", "go.etcd.io/bbolt",
		"golang.org/x/crypto", "golang.org/x/sync"})
)

// What is linked is what a user has to trust and to keep up to date.
func TestUsersLinkNoMore(t *testing.T) {
	g := goList(t)
	for folder, allowed := range linked {
		for path := range reached(g, module+"/"+folder) {
			if _, own := inModule(path); !own && strings.Contains(strings.Split(path, "/")[0], ".") && !in(path, allowed...) {
				t.Errorf("%s links %s", folder, path)
			}
		}
	}
}
