package browsertest

import (
	"context"
	_ "embed"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

//go:embed flaws.js
var flaws string

// Look looks at the page on a phone of 360 pixels and on a desk, each by day and by night, keeps a picture of each, and
// returns what somebody could not read or use: see flaws.js. It leaves the tab as on a desk by day.
func (b *Browser) Look(name string) (found []string) {
	b.t.Helper()
	for _, at := range []struct {
		name   string
		screen chromedp.Action[chromedp.Void]
	}{
		{"phone", chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile, chromedp.EmulateTouch)},
		{"desk", chromedp.EmulateViewport(1280, 900)},
	} {
		do(b, at.screen)
		for _, scheme := range []string{"dark", "light"} {
			do(b, prefers(scheme))
			for _, flaw := range Value[[]string](b, flaws) {
				found = append(found, at.name+", "+scheme+": "+flaw)
			}
			b.Screenshot(name + "-" + at.name + "-" + scheme)
		}
	}
	return found
}

func prefers(scheme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
		})
		return err
	})
}
