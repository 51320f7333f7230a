package suites

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Dropped is a test of the toolchain's own that cannot be run as it is.
type Dropped struct {
	Test   string
	Reason string
}

// adaptation makes a module of a package of the toolchain. Its test files are
// copied; of those that are inside package net/http only the hooks for the others
// can be.
type adaptation struct {
	source  string // the package's folder
	std     string // its path
	overlay *overlay
	shims   map[string]bool // internal packages that have one
	dropped []Dropped
}

// adapt copies the package into dir. What its tests need of the toolchain's insides
// is laid over the toolchain by over.
func adapt(std, dir string, over *overlay) ([]Dropped, error) {
	a := &adaptation{
		source: filepath.Join(over.goroot, "src", filepath.FromSlash(std)), std: std, overlay: over, shims: map[string]bool{},
	}
	if err := copyTestdata(a.source, dir); err != nil {
		return nil, err
	}
	var err error
	if std == "net/http" {
		err = a.external(dir)
	} else {
		err = a.whole(dir)
	}
	return a.dropped, err
}

func copyTestdata(source, dir string) error {
	from := filepath.Join(source, "testdata")
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return copyTree(from, filepath.Join(dir, "testdata"))
}

// parsed is a file of the package.
type parsed struct {
	name string
	set  *token.FileSet
	file *ast.File
}

func (a *adaptation) parse() ([]parsed, error) {
	names, err := filepath.Glob(filepath.Join(a.source, "*.go"))
	if err != nil {
		return nil, err
	}
	var all []parsed
	for _, name := range names {
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		all = append(all, parsed{filepath.Base(name), set, file})
	}
	return all, nil
}

// whole copies code and tests.
func (a *adaptation) whole(dir string) error {
	files, err := a.parse()
	if err != nil {
		return err
	}
	for _, p := range files {
		if err := a.write(p, dir); err != nil {
			return err
		}
	}
	return nil
}

// external copies the tests outside of the package, which has its hooks for them
// laid into it.
func (a *adaptation) external(dir string) error {
	files, err := a.parse()
	if err != nil {
		return err
	}
	name := path.Base(a.std)
	var outside []parsed
	var hooks, transport *ast.File
	for _, p := range files {
		switch {
		case p.name == "export_test.go":
			hooks = p.file
		case p.name == "transport.go":
			transport = p.file
		case p.file.Name.Name == name+"_test":
			outside = append(outside, p)
		case strings.HasSuffix(p.name, "_test.go"):
			a.drop(p.file, "is inside package "+name+": "+p.name)
			if err := a.lend(p); err != nil {
				return err
			}
		}
	}
	if hooks == nil || transport == nil {
		return fmt.Errorf("%s has no export_test.go or transport.go: package suites knows another toolchain", a.std)
	}
	content, err := os.ReadFile(filepath.Join(a.source, "export_test.go"))
	if err != nil {
		return err
	}
	if err := a.overlay.put(a.std+"/suites_export.go", content); err != nil {
		return err
	}
	a.skip(outside, insights(hooks, transport))
	for _, p := range outside {
		if err := a.write(p, dir); err != nil {
			return err
		}
	}
	return nil
}

// lend lays what a test file inside the package exports to those outside over the
// package.
func (a *adaptation) lend(p parsed) error {
	lent := &ast.File{Name: p.file.Name}
	for _, d := range p.file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if ok && f.Recv == nil && f.Name.IsExported() && !runByGo(f.Name.Name) {
			lent.Decls = append(lent.Decls, f)
		}
	}
	if lent.Decls == nil {
		return nil
	}
	lent.Decls = append(importsOf(p.file, lent), lent.Decls...)
	var out bytes.Buffer
	if err := format.Node(&out, p.set, lent); err != nil {
		return err
	}
	return a.overlay.put(a.std+"/suites_lent_"+strings.TrimSuffix(p.name, "_test.go")+".go", out.Bytes())
}

// importsOf are the imports of a file that declarations taken from it use.
func importsOf(file, taken *ast.File) (imports []ast.Decl) {
	for _, spec := range file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value) // it was parsed
		name := path.Base(imported)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if mentions(taken, map[string]bool{name: true}) != "" {
			imports = append(imports, &ast.GenDecl{Tok: token.IMPORT, Specs: []ast.Spec{&ast.ImportSpec{Name: spec.Name, Path: &ast.BasicLit{Kind: token.STRING, Value: spec.Path.Value}}}})
		}
	}
	return imports
}

// runByGo reports whether the name is that of a test, benchmark, example or fuzz
// target.
func runByGo(name string) bool {
	for _, kind := range []string{"Test", "Benchmark", "Example", "Fuzz"} {
		if strings.HasPrefix(name, kind) {
			return true
		}
	}
	return false
}

func (a *adaptation) drop(file *ast.File, reason string) {
	for _, f := range tests(file) {
		a.dropped = append(a.dropped, Dropped{f.Name.Name, reason})
	}
}

// tests are the file's test functions.
func tests(file *ast.File) []*ast.FuncDecl {
	var all []*ast.FuncDecl
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") && f.Name.Name != "TestMain" && len(f.Type.Params.List) == 1 {
			all = append(all, f)
		}
	}
	return all
}

// insights are the names in export_test.go that look into a Transport, or stop it
// at a place of its own: its methods, and what refers to declarations in
// transport.go. Another RoundTripper has nothing to answer them.
func insights(hooks, transport *ast.File) map[string]bool {
	own := map[string]bool{}
	for _, d := range transport.Decls {
		for _, name := range declared(d) {
			own[name] = name != "Transport" && name != "DefaultTransport"
		}
	}
	found := map[string]bool{}
	for _, d := range hooks.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			if receiver(f) == "Transport" || mentions(f, own) != "" {
				found[f.Name.Name] = true
			}
			if f.Recv == nil && f.Type.Params != nil && f.Body != nil && looksInto(f) {
				found[f.Name.Name] = true
			}
			continue
		}
		for _, spec := range d.(*ast.GenDecl).Specs {
			value, ok := spec.(*ast.ValueSpec)
			if !ok {
				continue
			}
			for i, name := range value.Names {
				if i < len(value.Values) && mentions(value.Values[i], own) != "" {
					found[name.Name] = true
				}
			}
		}
	}
	return found
}

// looksInto reports whether a function reads an unexported field of a Transport that
// it is given. One that only sets a field configures it.
func looksInto(f *ast.FuncDecl) bool {
	given := map[string]bool{}
	for _, p := range f.Type.Params.List {
		star, ok := p.Type.(*ast.StarExpr)
		if id, is := star0(star, ok); is && id.Name == "Transport" {
			for _, name := range p.Names {
				given[name.Name] = true
			}
		}
	}
	set, looks := map[ast.Expr]bool{}, false
	ast.Inspect(f.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				set[left] = true
			}
		case *ast.SelectorExpr:
			id, ok := n.X.(*ast.Ident)
			looks = looks || ok && given[id.Name] && !set[n] && !n.Sel.IsExported()
		}
		return true
	})
	return looks
}

func star0(star *ast.StarExpr, ok bool) (*ast.Ident, bool) {
	if !ok {
		return nil, false
	}
	id, is := star.X.(*ast.Ident)
	return id, is
}

// declared are the names that a declaration adds to its package. Methods add none.
func declared(d ast.Decl) []string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return []string{d.Name.Name}
		}
	case *ast.GenDecl:
		var names []string
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				names = append(names, spec.Name.Name)
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					names = append(names, name.Name)
				}
			}
		}
		return names
	}
	return nil
}

// receiver is the name of a method's type.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	kind := f.Recv.List[0].Type
	if star, ok := kind.(*ast.StarExpr); ok {
		kind = star.X
	}
	if id, ok := kind.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

// mentions returns the first of these names that a node uses.
func mentions(n ast.Node, names map[string]bool) (found string) {
	ast.Inspect(n, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && found == "" && names[id.Name] {
			found = id.Name
		}
		return found == ""
	})
	return found
}

// skip has every test begin with a Skip that uses one of these names, be it in a
// function it calls or a type it uses.
func (a *adaptation) skip(files []parsed, names map[string]bool) {
	because := map[string]string{} // of a function or type of the tests'
	for name := range names {
		because[name] = name
	}
	for grown := true; grown; {
		grown = false
		for _, p := range files {
			for _, d := range p.file.Decls {
				f, ok := d.(*ast.FuncDecl)
				if !ok || f.Body == nil {
					continue
				}
				owner := f.Name.Name
				if f.Recv != nil {
					owner = receiver(f)
				}
				if used := mentions(f.Body, keys(because)); used != "" && because[owner] == "" {
					because[owner], grown = because[used], true
				}
			}
		}
	}
	for _, p := range files {
		for _, f := range tests(p.file) {
			if why := because[f.Name.Name]; why != "" {
				reason := "looks into http.Transport: " + why
				a.dropped = append(a.dropped, Dropped{f.Name.Name, reason})
				prependSkip(f, reason)
			}
		}
	}
}

func keys(m map[string]string) map[string]bool {
	set := make(map[string]bool, len(m))
	for name := range maps.Keys(m) {
		set[name] = true
	}
	return set
}

func prependSkip(f *ast.FuncDecl, reason string) {
	parameter := f.Type.Params.List[0]
	if len(parameter.Names) == 0 {
		parameter.Names = []*ast.Ident{ast.NewIdent("t")}
	}
	call := &ast.CallExpr{
		Fun:  &ast.SelectorExpr{X: ast.NewIdent(parameter.Names[0].Name), Sel: ast.NewIdent("Skip")},
		Args: []ast.Expr{&ast.BasicLit{Kind: token.STRING, Value: strconv.Quote(reason)}},
	}
	f.Body.List = append([]ast.Stmt{&ast.ExprStmt{X: call}}, f.Body.List...)
}

// write writes a file with its imports of internal packages led elsewhere.
func (a *adaptation) write(p parsed, dir string) error {
	for _, spec := range p.file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		if shim, ok := shimPath(imported); ok {
			if err := a.shim(imported, shim); err != nil {
				return err
			}
			if spec.Name == nil {
				spec.Name = ast.NewIdent(path.Base(imported))
			}
			spec.Path.Value = strconv.Quote(shim)
		}
	}
	var out bytes.Buffer
	if err := format.Node(&out, p.set, p.file); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, p.name), out.Bytes(), 0o644)
}

// shimPath is where an internal package of the toolchain is told again, so that
// others may import it; false for one that is not internal.
func shimPath(imported string) (string, bool) {
	if !slices.Contains(strings.Split(imported, "/"), "internal") || strings.Contains(strings.SplitN(imported, "/", 2)[0], ".") {
		return "", false
	}
	return strings.Replace(imported, "internal", "suitesinner", 1), true
}

// shim lays a package over the toolchain that has all another has, under its names.
func (a *adaptation) shim(imported, shim string) error {
	if a.shims[imported] {
		return nil
	}
	a.shims[imported] = true
	names, err := filepath.Glob(filepath.Join(a.overlay.goroot, "src", filepath.FromSlash(imported), "*.go"))
	if err != nil {
		return err
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || constrained(name) {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			return err
		}
		files = append(files, file)
	}
	text, err := shimSource(imported, files)
	if err != nil {
		return err
	}
	return a.overlay.put(shim+"/suites_shim.go", text)
}

// constrained reports whether a file is for some systems only: what it has is in no
// shim.
func constrained(name string) bool {
	text, err := os.ReadFile(name)
	return err != nil || bytes.Contains(text, []byte("\n//go:build ")) || bytes.HasPrefix(text, []byte("//go:build "))
}

// shimSource tells the exported declarations of a package again.
func shimSource(imported string, files []*ast.File) ([]byte, error) {
	name := path.Base(imported)
	var out bytes.Buffer
	fmt.Fprintf(&out, "package %s\n\nimport original %q\n\n", name, imported)
	for _, file := range files {
		for _, d := range file.Decls {
			for _, exported := range declared(d) {
				if ast.IsExported(exported) && !generic(d) {
					fmt.Fprintf(&out, "%s %s = original.%[2]s\n", keyword(d), exported)
				}
			}
		}
	}
	return format.Source(out.Bytes())
}

func keyword(d ast.Decl) string {
	if g, ok := d.(*ast.GenDecl); ok {
		return g.Tok.String()
	}
	return "var" // of a function
}

func generic(d ast.Decl) bool {
	f, ok := d.(*ast.FuncDecl)
	return ok && f.Type.TypeParams != nil
}
