package engine_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// messageAt is where a call of a name has the message that is logged.
var messageAt = map[string]int{"Debug": 0, "Info": 0, "Warn": 0, "Error": 0, "warn": 0, "tellPause": 1, "warnOnce": 1, "Log": 2}

// logged are the messages that the source of the engine logs.
func logged(t *testing.T) (messages []string) {
	for _, folder := range []string{"engine", "actors", "messages", "throttle", "auth", "memory", "internal"} {
		require.NoError(t, filepath.WalkDir(filepath.Join("..", folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			require.NoError(t, err)
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				name, ok := call.Fun.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if at, logs := messageAt[name.Sel.Name]; logs && at < len(call.Args) {
					if text := textOf(call.Args[at]); text != "" {
						messages = append(messages, text)
					}
				}
				return true
			})
			return nil
		}))
	}
	slices.Sort(messages)
	return slices.Compact(messages)
}

// textOf is the value of a literal, or of a constant of the same file.
func textOf(e ast.Expr) string {
	if name, ok := e.(*ast.Ident); ok && name.Obj != nil {
		if spec, ok := name.Obj.Decl.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			e = spec.Values[0]
		}
	}
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return ""
	}
	text, _ := strconv.Unquote(literal.Value)
	return text
}

func TestEveryMessageOfTheLogStandsInTheTable(t *testing.T) {
	guide, err := os.ReadFile("../docs/guide/telemetry.md")
	require.NoError(t, err)
	var told []string
	for _, row := range regexp.MustCompile("(?m)^\\| (?:debug|info|warn|error)[^|]* \\| `([^`]+)` \\|").FindAllStringSubmatch(string(guide), -1) {
		told = append(told, row[1])
	}
	slices.Sort(told)
	require.Greater(t, len(told), 30)
	require.Equal(t, logged(t), told)
}

func TestThatRequestsAreTurnedAwayIsToldNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		eng := newServer(t, slowly(time.Hour)).newEngine(t, engine.Config{
			Admission: engine.Admission{MaxInFlight: 1, MaxWaiting: -1}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		go eng.Do(t.Context(), &engine.Request{Path: "/"})
		synctest.Wait()
		for range 63 { // every second, and so at 0, 31 and 62 s
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
			require.ErrorIs(t, err, engine.ErrOverloaded)
			time.Sleep(time.Second)
		}
		require.NoError(t, eng.Close())
		require.Equal(t, 3, strings.Count(log.String(), "requests are turned away"), log.String())
	})
}
