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
	for _, folder := range []string{"engine", "actors", "messages", "throttle", "auth", "memory", "internal", "telemetry"} {
		err := filepath.WalkDir(filepath.Join("..", folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, path, nil, 0)
			require.NoError(t, err)
			ast.Inspect(file, func(n ast.Node) bool {
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
				return true
			})
			return nil
		})
		require.NoError(t, err)
	}
	require.Greater(t, counted, 1000, "the folders were looked for in vain")
}
