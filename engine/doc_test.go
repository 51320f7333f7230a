package engine_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sources are the files of a folder, without its tests.
func sources(t *testing.T, folder string) []*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		require.NoError(t, err)
		files = append(files, file)
	}
	return files
}

// importsOf are the packages of the module that a file knows, by their names.
func importsOf(file *ast.File) map[string]string {
	imports := map[string]string{}
	for _, spec := range file.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		if inside, ok := strings.CutPrefix(path, module); ok {
			name := inside[strings.LastIndexByte(inside, '/')+1:]
			if spec.Name != nil {
				name = spec.Name.Name
			}
			imports[name] = inside
		}
	}
	return imports
}

func TestTheDoorShowsNothingOfWhatIsBehindIt(t *testing.T) {
	for _, file := range sources(t, ".") {
		imports := importsOf(file)
		for name, shown := range exported(file) {
			for _, node := range shown {
				ast.Inspect(node, func(n ast.Node) bool {
					selector, ok := n.(*ast.SelectorExpr)
					if !ok {
						return true
					}
					if from, ok := selector.X.(*ast.Ident); ok {
						assert.False(t, allows([]string{"actors/...", "internal/..."}, imports[from.Name]),
							"%s shows %s.%s", name, from.Name, selector.Sel.Name)
					}
					return true
				})
			}
		}
	}
}

// exported returns what a file's exported declarations show of themselves, by
// their names: signatures, exported fields, types, and values without a type.
func exported(file *ast.File) map[string][]ast.Node {
	shown := map[string][]ast.Node{}
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			if name, ok := exportedFunc(d); ok {
				shown[name] = append(shown[name], d.Type)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				addSpec(shown, spec)
			}
		}
	}
	return shown
}

// exportedFunc reports whether a function, or a method and its receiver's type,
// can be named by others.
func exportedFunc(f *ast.FuncDecl) (name string, ok bool) {
	if f.Recv == nil {
		return f.Name.Name, f.Name.IsExported()
	}
	receiver := f.Recv.List[0].Type
	if pointer, is := receiver.(*ast.StarExpr); is {
		receiver = pointer.X
	}
	if generic, is := receiver.(*ast.IndexExpr); is {
		receiver = generic.X
	}
	of := receiver.(*ast.Ident)
	return of.Name + "." + f.Name.Name, of.IsExported() && f.Name.IsExported()
}

func addSpec(shown map[string][]ast.Node, spec ast.Spec) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() {
			shown[s.Name.Name] = typeShown(s)
		}
	case *ast.ValueSpec:
		for i, name := range s.Names {
			switch {
			case !name.IsExported():
			case s.Type != nil:
				shown[name.Name] = []ast.Node{s.Type}
			case i < len(s.Values):
				shown[name.Name] = []ast.Node{s.Values[i]} // its type is the value's
			}
		}
	}
}

// typeShown is the right-hand side of a type, or of a struct its exported fields.
func typeShown(spec *ast.TypeSpec) []ast.Node {
	structure, ok := spec.Type.(*ast.StructType)
	if !ok {
		return []ast.Node{spec.Type}
	}
	var shown []ast.Node
	for _, field := range structure.Fields.List {
		hidden := len(field.Names) > 0
		for _, name := range field.Names {
			hidden = hidden && !name.IsExported()
		}
		if !hidden {
			shown = append(shown, field.Type) // what is embedded is shown, whatever its name
		}
	}
	return shown
}

func TestEveryAliasSaysWhatItIsAndWhereItsFieldsAre(t *testing.T) {
	aliases := 0
	for _, file := range sources(t, ".") {
		for _, declaration := range file.Decls {
			d, ok := declaration.(*ast.GenDecl)
			if !ok || d.Tok != token.TYPE {
				continue
			}
			for _, spec := range d.Specs {
				if s := spec.(*ast.TypeSpec); s.Assign.IsValid() && s.Name.IsExported() {
					aliases++
					of := s.Type.(*ast.SelectorExpr)
					wantAliasDoc(t, of.X.(*ast.Ident).Name+"."+of.Sel.Name, s.Name.Name, d.Doc.Text()+s.Doc.Text())
				}
			}
		}
	}
	require.NotZero(t, aliases)
}

// wantAliasDoc asserts a sentence that begins with the name, and the one command
// that shows the rest, in the package that it is from.
func wantAliasDoc(t *testing.T, of, name, doc string) {
	t.Helper()
	first, _, _ := strings.Cut(doc, "\n\n")
	assert.True(t, strings.HasPrefix(first, name+" "), "%s does not say what it is", name)
	var commands []string
	for line := range strings.Lines(doc) {
		if _, command, ok := strings.Cut(line, ": go doc "); ok && strings.HasPrefix(line, "Its ") {
			commands = append(commands, strings.TrimSpace(command))
		}
	}
	assert.Equal(t, []string{module + of}, commands, "%s", name)
}
