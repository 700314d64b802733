package senderlock_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// page is a Markdown file, taken apart.
type page struct {
	name   string // from the root of the module, with slashes
	fences []fence
	prose  []string // the lines outside of fences
}

// fence is a fenced block.
type fence struct {
	language string
	mark     string // what the comment says that stands on the line before it: <!-- mark -->
	line     int    // of the file, of the opening fence
	text     string
}

func (f fence) at(p page) string { return fmt.Sprintf("%s:%d", p.name, f.line) }

// takeApart reads a page.
func takeApart(name, text string) (page, error) {
	p := page{name: name}
	var open *fence
	var block strings.Builder
	mark := ""
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case open == nil && strings.HasPrefix(trimmed, "```"):
			open = &fence{language: strings.TrimPrefix(trimmed, "```"), mark: mark, line: i + 1}
			block.Reset()
		case open != nil && trimmed == "```":
			open.text = block.String()
			p.fences = append(p.fences, *open)
			open, mark = nil, ""
		case open != nil:
			block.WriteString(line + "\n")
		default:
			p.prose = append(p.prose, line)
			mark = ""
			if inside, is := strings.CutPrefix(trimmed, "<!-- "); is {
				mark = strings.TrimSuffix(inside, " -->")
			}
		}
	}
	if open != nil {
		return page{}, fmt.Errorf("%s: the block that line %d opens has no end", name, open.line)
	}
	return p, nil
}

func TestTakeApart(t *testing.T) {
	const text = "text\n```go\na\n\nb\n```\n<!-- run -->\n```sh\nc\n```\n```\n```go\n```\n"
	got, err := takeApart("page", text)
	want := []fence{{"go", "", 2, "a\n\nb\n"}, {"sh", "run", 8, "c\n"}, {"", "", 11, "```go\n"}}
	if err != nil || !slices.Equal(got.fences, want) {
		t.Errorf("takeApart = %+v, %v", got, err)
	}
	if _, err := takeApart("page", "```go\na\n"); err == nil {
		t.Error("a block without an end was accepted")
	}
}

// pages are the Markdown files under a folder.
func pages(t *testing.T, folder string) (all []page) {
	t.Helper()
	err := filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules"):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".md"):
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		p, err := takeApart(filepath.ToSlash(name), string(text))
		all = append(all, p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// anchors are the names that code hosts give to the headings of a page.
func (p page) anchors() map[string]bool {
	found := map[string]bool{}
	for _, line := range p.prose {
		heading := strings.TrimLeft(line, "#")
		if heading == line || !strings.HasPrefix(heading, " ") {
			continue
		}
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(heading))
		for i, base := 1, name; found[name]; i++ {
			name = fmt.Sprint(base, "-", i)
		}
		found[name] = true
	}
	return found
}
