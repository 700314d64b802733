package conformance

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"
)

//go:embed report.html
var page string

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"of": func(r *Report, o string) int { return r.Count[Outcome(o)] },
	"in": func(g GroupCount, o string) int { return g.Count[Outcome(o)] },
	"share": func(g GroupCount, o string) string {
		return fmt.Sprintf("%.2f%%", 100*float64(g.Count[Outcome(o)])/float64(max(1, len(g.Results))))
	},
	"all": func(r *Report, o string) string {
		return fmt.Sprintf("%.2f%%", 100*float64(r.Count[Outcome(o)])/float64(max(1, len(r.Results))))
	},
	"only":  func(r *Report, o string) []Result { return r.with(Outcome(o)) },
	"list":  func() []Outcome { return []Outcome{Pass, Fail, Warn, Note, Skip} },
	"join":  strings.Join,
	"round": func(d time.Duration) string { return d.Round(time.Millisecond).String() },
	"date":  func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") },
}).Parse(page))

// WriteHTML writes the report as one page that needs nothing else: no script, no font, no picture.
func (r *Report) WriteHTML(w io.Writer) error { return pageTemplate.Execute(w, r) }
