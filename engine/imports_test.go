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

// The map of the module: what of it the packages of a folder may import, and
// the one that stands nearest above a file counts. Imports point one way, and
// the four actors know nothing of one another.
var mayImport = map[string][]string{
	"throttle":           {"internal/whole"},
	"throttle/feedback":  {"throttle", "internal/jsonpath", "internal/clock"},
	"throttle/limitfile": {"throttle"},
	"messages":           {"throttle"},
	"messages/protocol":  {"messages", "throttle"},
	"auth":               {"messages", "internal/percent", "internal/whole"},
	"internal/wire":      {"messages", "messages/protocol"},
	"internal/clock":     {},
	"actors/mailbox":     {"messages/protocol"},
	"actors/ticket":      {"messages", "messages/protocol", "throttle"},
	"actors/throttler":   {"actors/mailbox", "actors/ticket", "messages", "messages/protocol", "throttle", "internal/clock"},
	"actors/pool":        {"actors/mailbox", "actors/ticket", "messages", "messages/protocol", "throttle"},
	"actors/timesync":    {"actors/mailbox", "messages", "messages/protocol", "auth", "internal/clock"},
	"actors/request":     {"actors/mailbox", "actors/ticket", "messages", "messages/protocol", "throttle", "auth", "internal/wire"},
	"actors":             {"actors", "messages", "throttle", "auth", "internal"},
	"engine":             {"actors", "messages", "throttle", "auth", "internal"},
	"examples":           {"engine", "auth", "throttle", "bench/exchange"},
	"bench":              {"engine", "auth", "throttle", "messages", "internal/clock", "bench"},
	"bench/limits":       {"bench", "throttle", "actors/throttler", "actors/ticket"},
	"bench/exchange":     {},
}

// mayImportActors has the folders that may import the actor library.
var mayImportActors = []string{
	"actors", "actors/mailbox", "actors/request", "actors/throttler", "actors/pool", "actors/timesync",
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
				require.Contains(t, mayImportActors, at, "%s imports the actor library", path)
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
