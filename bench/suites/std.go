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
	"os"
	"path"
	"path/filepath"
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
	needs   map[string]string // what a test uses that only an http.Transport has
}

// adapt copies the package into dir. What its tests need of the toolchain's insides
// is laid over the toolchain by over.
func adapt(std, dir string, over *overlay) (*adaptation, error) {
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
	return a, err
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
	var hooks, transport, server *ast.File
	for _, p := range files {
		switch {
		case p.name == "export_test.go":
			hooks = p.file
		case p.name == "transport.go":
			transport = p.file
		case p.name == "server.go":
			server = p.file
		case p.file.Name.Name == name+"_test":
			outside = append(outside, p)
		case strings.HasSuffix(p.name, "_test.go"):
			a.drop(p.file, "is inside package "+name+": "+p.name)
			if err := a.lend(p); err != nil {
				return err
			}
		}
	}
	if hooks == nil || transport == nil || server == nil {
		return fmt.Errorf("%s has no export_test.go, transport.go or server.go: package suites knows another toolchain", a.std)
	}
	content, err := os.ReadFile(filepath.Join(a.source, "export_test.go"))
	if err != nil {
		return err
	}
	if err := a.overlay.put(a.std+"/suites_export.go", content); err != nil {
		return err
	}
	a.skip(outside, insights(hooks, transport))
	a.needs = needs(outside, ownOf(transport, server))
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
