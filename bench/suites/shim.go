package suites

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Internal packages of the toolchain, told again where others may import them.

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
