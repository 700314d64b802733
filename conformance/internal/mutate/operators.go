package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strings"
)

// mutant is one small change of a source.
type mutant struct {
	number   int
	file     string // below the root
	line     int
	function string
	operator string
	text     string // what is changed
	again    int    // how many stand before it in its function that are called the same
}

func (m mutant) String() string { return fmt.Sprintf("%s:%d: %s", m.file, m.line, m.change()) }

// key is what a mutant is called in the file of survivors: without its line, which moves.
func (m mutant) key() string { return m.file + ": " + m.change() }

func (m mutant) change() string {
	text := fmt.Sprintf("%s: %s: %s", m.function, m.operator, m.text)
	if m.again > 0 {
		text += fmt.Sprintf(" (%d)", m.again+1)
	}
	return text
}

// edit replaces octets of a source. Of edits at one place those that close come first, the inner ones before the outer;
// then those that open, the outer ones before the inner.
type edit struct {
	offset, length int
	text           string
	opens          bool
	order          int
}

// source is a file in which all mutants stand at once, each behind its switch.
type source struct {
	set     *token.FileSet
	path    string
	text    string
	next    func() int
	edits   []edit
	mutants []mutant
	errors  [][]bool // of the functions around: which results are errors

	within     string            // the function that is read
	known      map[string]int    // how many mutants are called so
	conditions map[ast.Expr]bool // of if and switch
}

// plant reads a file and puts every mutant that the operators know into it.
func plant(root, path string, next func() int) (*source, error) {
	text, err := os.ReadFile(root + "/" + path)
	if err != nil {
		return nil, err
	}
	s := &source{set: token.NewFileSet(), path: path, text: string(text), next: next,
		known: map[string]int{}, conditions: map[ast.Expr]bool{}}
	file, err := parser.ParseFile(s.set, path, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	s.replace(file.Name.End(), 0, "; "+mutantImport, false) // a file may have no imports yet
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil && f.Name.Name != "init" {
			s.within = name(f)
			s.function(f.Type, f.Body)
		}
	}
	return s, nil
}

// name is that of a function, with its receiver's type before it.
func name(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	kind := f.Recv.List[0].Type
	if star, ok := kind.(*ast.StarExpr); ok {
		kind = star.X
	}
	if of, ok := kind.(*ast.IndexExpr); ok {
		kind = of.X
	}
	return fmt.Sprint(kind, ".", f.Name.Name)
}

// function plants mutants in a body.
func (s *source) function(kind *ast.FuncType, body *ast.BlockStmt) {
	s.errors = append(s.errors, errorResults(kind))
	defer func() { s.errors = s.errors[:len(s.errors)-1] }()
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			s.function(n.Type, n.Body)
			return false
		case *ast.IfStmt:
			s.condition(n.Cond)
		case *ast.SwitchStmt:
			if n.Tag == nil {
				for _, c := range n.Body.List {
					for _, e := range c.(*ast.CaseClause).List { // by the grammar
						s.condition(e)
					}
				}
			}
		case *ast.BinaryExpr:
			s.binary(n)
		case *ast.ReturnStmt:
			s.results(n)
		case *ast.BlockStmt:
			s.statements(n.List)
		case *ast.CaseClause:
			s.statements(n.Body)
		}
		return true
	})
}

func errorResults(kind *ast.FuncType) (list []bool) {
	if kind.Results == nil {
		return nil
	}
	for _, field := range kind.Results.List {
		name, ok := field.Type.(*ast.Ident)
		for range max(1, len(field.Names)) {
			list = append(list, ok && name.Name == "error")
		}
	}
	return list
}

// condition makes a check that always holds, and one that never does.
func (s *source) condition(e ast.Expr) {
	s.conditions[e] = true
	s.wrap(e, "always", "mutant.Or(%d, ")
	s.wrap(e, "never", "mutant.And(%d, ")
}

// binary leaves out one side of a condition, moves a bound by one, and turns a comparison around.
func (s *source) binary(e *ast.BinaryExpr) {
	switch e.Op {
	case token.LAND:
		s.wrap(e.X, "without this side", "mutant.Or(%d, ")
		s.wrap(e.Y, "without this side", "mutant.Or(%d, ")
	case token.LOR:
		s.wrap(e.X, "without this side", "mutant.And(%d, ")
		s.wrap(e.Y, "without this side", "mutant.And(%d, ")
	case token.LSS, token.LEQ, token.GTR, token.GEQ:
		name := map[token.Token]string{token.LSS: "Less", token.LEQ: "LessEqual", token.GTR: "Greater", token.GEQ: "GreaterEqual"}[e.Op]
		n := s.add(e, "bound moved")
		s.replace(e.X.Pos(), 0, fmt.Sprintf("mutant.%s(%d, ", name, n), true)
		s.replace(e.OpPos, len(e.Op.String()), ",", false)
		s.replace(e.Y.End(), 0, ")", false)
	case token.EQL, token.NEQ:
		if s.conditions[e] {
			return // always and never say more
		}
		s.wrap(e, "turned around", "mutant.Flip(%d, ")
	}
}

// results returns no error in place of one, and the other of true and false.
func (s *source) results(r *ast.ReturnStmt) {
	kinds := s.errors[len(s.errors)-1]
	if len(kinds) != len(r.Results) {
		return
	}
	// Beside an error nobody looks at what else comes back.
	fails := false
	for i, e := range r.Results {
		fails = fails || kinds[i] && s.of(e) != "nil"
	}
	for i, e := range r.Results {
		name, isName := e.(*ast.Ident)
		switch {
		case isName && (name.Name == "true" || name.Name == "false") && !fails:
			s.wrap(e, "the other", "mutant.Flip(%d, ")
		case kinds[i] && !(isName && name.Name == "nil"):
			s.wrap(e, "no error", "mutant.NoError(%d, ")
		}
	}
}

// statements leaves out calls and assignments.
func (s *source) statements(list []ast.Stmt) {
	for _, st := range list {
		switch st := st.(type) {
		case *ast.ExprStmt:
			if call, ok := st.X.(*ast.CallExpr); !ok || strings.HasPrefix(s.of(call), "panic(") || locks(s.of(call)) || silent(s.of(call)) {
				continue
			}
		case *ast.AssignStmt:
			if st.Tok == token.DEFINE || s.of(st.Lhs[0]) == "_" {
				continue
			}
		case *ast.IncDecStmt, *ast.DeferStmt:
			if _, isDefer := st.(*ast.DeferStmt); isDefer {
				continue // a lock that is never given back tells nothing
			}
		default:
			continue
		}
		n := s.add(st, "left out")
		s.replace(st.Pos(), 0, fmt.Sprintf("if !mutant.On(%d) { ", n), true)
		s.replace(st.End(), 0, " }", false)
	}
}

// locks reports whether a call takes or gives back a lock: without it tests hang or pass by chance. The race detector is
// asked about those.
func locks(call string) bool {
	return strings.HasSuffix(call, "Lock()") || strings.HasSuffix(call, "Unlock()")
}

// silent reports whether a call changes nothing that an answer shows: it makes room, or gives it back, or tells the log.
func silent(call string) bool { return silence.MatchString(call) }

var silence = regexp.MustCompile(`^[\w.]*(\.Grow|\.CloseIdleConnections|[pP]ool\.Put|\b[lL]og\.\w+|\bslog\.\w+)\(`)

func (s *source) wrap(e ast.Expr, operator, open string) {
	n := s.add(e, operator)
	s.replace(e.Pos(), 0, fmt.Sprintf(open, n), true)
	s.replace(e.End(), 0, ")", false)
}

func (s *source) add(n ast.Node, operator string) int {
	text, _, more := strings.Cut(s.of(n), "\n")
	if more {
		text += " …"
	}
	number := s.next()
	m := mutant{number: number, file: s.path, line: s.set.Position(n.Pos()).Line, function: s.within, operator: operator, text: text}
	key := m.key()
	m.again = s.known[key]
	s.known[key]++
	s.mutants = append(s.mutants, m)
	return number
}

func (s *source) of(n ast.Node) string {
	return s.text[s.set.Position(n.Pos()).Offset:s.set.Position(n.End()).Offset]
}

func (s *source) replace(at token.Pos, length int, text string, opens bool) {
	s.edits = append(s.edits, edit{s.set.Position(at).Offset, length, text, opens, len(s.edits)})
}

// planted is the source with all its mutants.
func (s *source) planted() string {
	slices.SortFunc(s.edits, func(a, b edit) int {
		switch {
		case a.offset != b.offset:
			return a.offset - b.offset
		case a.opens != b.opens:
			if b.opens {
				return -1
			}
			return 1
		case a.opens:
			return a.order - b.order
		}
		return b.order - a.order
	})
	var b strings.Builder
	at := 0
	for _, e := range s.edits {
		b.WriteString(s.text[at:e.offset] + e.text)
		at = e.offset + e.length
	}
	b.WriteString(s.text[at:])
	return b.String()
}

const mutantImport = `import mutant "github.com/senderlock/senderlock/internal/switches"`

// mutantSource is the package with the switches. It exists in the mutants' build alone.
const mutantSource = `package mutant

import (
	"cmp"
	"os"
	"strconv"
	"sync/atomic"
)

var (
	active, _ = strconv.Atoi(os.Getenv("SENDERLOCK_MUTANT"))
	reached   = os.Getenv("SENDERLOCK_REACHED")
	seen      [1 << 16]atomic.Bool // no allocation, since some tests count them
)

// On reports whether a mutant is the one that is asked, at a place where it makes a difference.
func On(n int) bool {
	if reached != "" {
		note(n)
	}
	return n == active
}

// note writes down that a test has come by a mutant which would have made a difference there.
func note(n int) {
	if seen[n].Swap(true) {
		return
	}
	file, err := os.OpenFile(reached, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	_, _ = file.WriteString(strconv.Itoa(n) + "\n")
	_ = file.Close()
}

func Or(n int, b bool) bool { return b || On(n) }

func And(n int, b bool) bool { return b && !On(n) }

func Flip(n int, b bool) bool { return b != On(n) }

func NoError(n int, err error) error {
	if err != nil && On(n) {
		return nil
	}
	return err
}

func Less[T cmp.Ordered](n int, a, b T) bool { return a < b || a == b && On(n) }

func LessEqual[T cmp.Ordered](n int, a, b T) bool { return a < b || a == b && !On(n) }

func Greater[T cmp.Ordered](n int, a, b T) bool { return a > b || a == b && On(n) }

func GreaterEqual[T cmp.Ordered](n int, a, b T) bool { return a > b || a == b && !On(n) }
`
