package engine_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	mostFields = 22 // of a struct; more than that are several lifetimes in one
	mostLines  = 45 // of a function; more than that are several ideas in one
)

// descriptions are filled in by callers, and read once: they have one lifetime, and
// as many fields as there is to say.
var descriptions = map[string]int{"engine.Config": 29, "messages.Request": 27, "throttle.Limit": 30, "limitfile.entry": 30}

func TestNoStructAndNoFunctionOutgrowsAScreen(t *testing.T) {
	counted := 0
	inSources(t, func(path string, files *token.FileSet, file *ast.File, n ast.Node) {
		switch n := n.(type) {
		case *ast.TypeSpec:
			if s, ok := n.Type.(*ast.StructType); ok {
				most := max(mostFields, descriptions[file.Name.Name+"."+n.Name.Name])
				require.LessOrEqual(t, s.Fields.NumFields(), most, "%s: fields of %s", path, n.Name)
				counted++
			}
		case *ast.FuncDecl:
			lines := files.Position(n.End()).Line - files.Position(n.Pos()).Line + 1
			require.LessOrEqual(t, lines, mostLines, "%s: lines of %s", path, n.Name)
			counted++
		}
	})
	require.Greater(t, counted, 1000, "the folders were looked for in vain")
}

func TestEveryPanicErrorIsMadeOfACutWhichSaysWhereItWas(t *testing.T) {
	made := 0
	inSources(t, func(path string, _ *token.FileSet, _ *ast.File, n ast.Node) {
		if literal, ok := n.(*ast.CompositeLit); ok && nameOf(literal.Type) == "PanicError" {
			require.Equal(t, "Stack", stackOf(literal), "%s: see contain.NewCut", path)
			made++
		}
	})
	require.Positive(t, made, "the folders were looked for in vain")
}

// inSources looks at every part of the module's own files that are no tests.
func inSources(t *testing.T, look func(path string, files *token.FileSet, file *ast.File, n ast.Node)) {
	for _, folder := range []string{"engine", "actors", "messages", "throttle", "auth", "memory", "internal", "telemetry"} {
		err := filepath.WalkDir(filepath.Join("..", folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, path, nil, 0)
			require.NoError(t, err)
			ast.Inspect(file, func(n ast.Node) bool {
				look(path, files, file, n)
				return true
			})
			return nil
		})
		require.NoError(t, err)
	}
}

// nameOf is the last name of a type, or of a value, that is written down.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// stackOf is the name of what a literal has for its Stack.
func stackOf(literal *ast.CompositeLit) string {
	for _, element := range literal.Elts {
		if pair, ok := element.(*ast.KeyValueExpr); ok && nameOf(pair.Key) == "Stack" {
			return nameOf(pair.Value)
		}
	}
	return ""
}
