package engine_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Imports point one way. For each folder: what of the module it may import;
// the floor may not import the actor library either.
var mayImport = map[string][]string{
	"throttle":       {"internal/quotient"},
	"messages":       {"throttle"},
	"auth":           {"messages", "internal/percent", "internal/quotient", "internal/httpdate"},
	"internal/wire":  {"messages"},
	"internal/clock": {"internal/httpdate"},
	"actors":         {"messages", "throttle", "auth", "internal"},
	"engine":         {"actors", "messages", "throttle", "auth", "internal"},
	"examples":       {"engine", "auth", "throttle", "bench/exchange"},
	"bench":          {"engine", "auth", "throttle", "messages", "internal/clock", "bench"},
	"bench/exchange": {"bench/exchange"},

	"throttle/feedback": {"throttle", "internal/jsonpath", "internal/httpdate"},
	"internal/jsonpath": {"internal/percent"},
}

const module = "github.com/sluice-engine/sluice/"

func TestImportsPointOneWay(t *testing.T) {
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		path = filepath.ToSlash(strings.TrimPrefix(path, "../"))
		allowed, at := allowedFor(path)
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", path), nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range file.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			if strings.Contains(imported, "protoactor-go") {
				require.Equal(t, "actors", at, "%s imports the actor library", path)
			}
			if inside, ok := strings.CutPrefix(imported, module); ok {
				require.True(t, within(inside, append(allowed, at)), "%s imports %s", path, inside)
			}
		}
		return nil
	})
	require.NoError(t, err)
}

// allowedFor finds the rule of the folder, or of the nearest above it.
func allowedFor(path string) (allowed []string, at string) {
	for at = filepath.Dir(path); at != "."; at = filepath.Dir(at) {
		if allowed, ok := mayImport[at]; ok {
			return allowed, at
		}
	}
	return nil, at
}

func within(path string, folders []string) bool {
	for _, f := range folders {
		if path == f || strings.HasPrefix(path, f+"/") {
			return true
		}
	}
	return false
}
