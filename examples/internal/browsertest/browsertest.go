// Package browsertest runs headless Chromium for the tests of examples. A test is skipped where Chromium is not
// installed, and fails under CI=true.
package browsertest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/senderlock/senderlock/internal/fetched"
)

// patience is how long a browser may take for all that a test does.
const patience = 5 * time.Minute

// Browser is one browser with one tab and a profile of its own. Whatever does not work in it fails the test. It is
// for one goroutine.
type Browser struct {
	t   testing.TB
	ctx context.Context

	mu       sync.Mutex
	troubles []string
}

// Start starts a browser, which ends with the test.
func Start(t testing.TB) *Browser {
	t.Helper()
	temporary, err := os.MkdirTemp("", "browser") // where Chromium leaves its socket, whose path has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(temporary) })
	options := slices.Concat(chromedp.DefaultExecAllocatorOptions[:], []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(find(t)),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.Env("TMPDIR=" + temporary),
		chromedp.NoSandbox, // root cannot use it
		chromedp.DisableGPU,
		chromedp.WSURLReadTimeout(patience), // to start, on a machine that does other work
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
	})
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	ctx, cancel := context.WithTimeout(ctx, patience)
	t.Cleanup(cancel)
	b := &Browser{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.listen); err != nil { // starts the browser
		t.Fatal(err)
	}
	return b
}

func find(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	fetched.Missing(t, "Chromium is not installed: apt-get install chromium")
	return ""
}

// listen keeps what the page itself could not handle.
func (b *Browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.troubles = append(b.troubles, (&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error())
	case *log.EventEntryAdded:
		if e.Entry.Source == log.EntrySourceSecurity { // such as a violation of the content security policy
			b.troubles = append(b.troubles, e.Entry.Text)
		}
	}
}

// Troubles returns the exceptions that no script caught, and what the browser refused for the page's safety.
func (b *Browser) Troubles() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.troubles)
}

// Open opens a URL and waits until the page is loaded.
func (b *Browser) Open(url string) {
	b.t.Helper()
	do(b, chromedp.Navigate(url))
}

// Phone makes the tab a phone's, 360 pixels wide.
func (b *Browser) Phone() {
	b.t.Helper()
	do(b, chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile))
}

// Click clicks the element that a CSS selector finds, once it can be seen.
func (b *Browser) Click(selector string) {
	b.t.Helper()
	do(b, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// Type types text into the field that a CSS selector finds, once it can be seen.
func (b *Browser) Type(selector, text string) {
	b.t.Helper()
	do(b, chromedp.SendKeys(chromedp.CSS(selector), text, chromedp.NodeVisible))
}

// Wait waits until a JavaScript expression is true, on this page or on one that the browser goes to meanwhile.
func (b *Browser) Wait(expression string) {
	b.t.Helper()
	for {
		_, err := chromedp.Run(b.ctx, chromedp.Poll[chromedp.Void](expression))
		if err == nil {
			return
		}
		if _, gone := errors.AsType[*cdproto.Error](err); !gone || b.ctx.Err() != nil {
			b.t.Fatalf("in the browser: waiting for %s: %v; the page says: %s", expression, err, b.says())
		}
	}
}

// Value returns the value of a JavaScript expression, awaited if it is a promise.
func Value[T any](b *Browser, expression string) T {
	b.t.Helper()
	return do(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// Screenshot keeps a picture of the page where go test -artifacts keeps what tests leave behind.
func (b *Browser) Screenshot(name string) {
	b.t.Helper()
	picture := do(b, chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(b.t.ArtifactDir(), name+".png"), picture, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func do[T any](b *Browser, action chromedp.Action[T]) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, action)
	if err != nil {
		b.t.Fatalf("in the browser: %v; the page says: %s", err, b.says())
	}
	return value
}

// says returns what the page shows now, for the message of a failed test.
func (b *Browser) says() string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), 5*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.location + ' ' + document.body?.innerText"))
	if err != nil {
		return err.Error()
	}
	return text
}
