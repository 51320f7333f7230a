package actors

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/pool"
	"github.com/sluice-engine/sluice/actors/timesync"
	"github.com/sluice-engine/sluice/internal/clock"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// word is a row of the table in messages/protocol.
type word struct {
	name string // as its receivers write it: protocol.X or ticket.X
	to   []string
}

// table reads the words from the doc of messages/protocol, whose columns are
// apart by two blanks or more.
func table(t *testing.T) []word {
	text, err := os.ReadFile("../messages/protocol/doc.go")
	require.NoError(t, err)
	var words []word
	for line := range strings.Lines(string(text)) {
		row, ok := strings.CutPrefix(line, "//\t")
		if !ok {
			continue
		}
		columns := regexp.MustCompile(` {2,}`).Split(strings.TrimSpace(row), -1)
		require.Len(t, columns, 5, row)
		if columns[0] == "word" || columns[0] == "----" {
			continue
		}
		w := word{name: columns[0], to: strings.Split(columns[2], ", ")}
		if !strings.Contains(w.name, ".") {
			w.name = "protocol." + w.name
		}
		words = append(words, w)
	}
	return words
}

// declared returns the struct types of a file, but for those that are no words.
func declared(t *testing.T, path, prefix string) []string {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	require.NoError(t, err)
	var names []string
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok && spec.Name.IsExported() && spec.Name.Name != "PoolStats" && spec.Name.Name != "Waiter" {
			if _, ok := spec.Type.(*ast.StructType); ok {
				names = append(names, prefix+spec.Name.Name)
			}
		}
		return true
	})
	return names
}

func TestTheTableOfWordsHasEveryWordOnce(t *testing.T) {
	var inTable []string
	for _, w := range table(t) {
		inTable = append(inTable, w.name)
	}
	all := declared(t, "ticket/words.go", "ticket.")
	files, err := filepath.Glob("../messages/protocol/*.go")
	require.NoError(t, err)
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			all = append(all, declared(t, file, "protocol.")...)
		}
	}
	require.ElementsMatch(t, all, inTable)
}

// receivers has the files in which an actor says what it does at a word.
var receivers = map[string][]string{
	"supervisor": {"supervisor.go"},
	"throttler":  {"throttler/actor.go"},
	"pool":       {"pool/actor.go"},
	"timesync":   {"timesync/actor.go"},
	"request":    {"request/request.go"},
	"permit":     {"permit/bearer.go"},
}

func TestEveryActorKnowsTheWordsItIsToldAndNoOthers(t *testing.T) {
	for room, paths := range receivers {
		var told []string
		for _, w := range table(t) {
			for _, to := range w.to {
				if to == room || to == "whoever asked" && room == "request" {
					told = append(told, w.name)
				}
			}
		}
		handled := map[string]bool{}
		for _, path := range paths {
			for name := range casesOf(t, path) {
				handled[name] = true
			}
		}
		for _, name := range told {
			require.True(t, handled[name], "%s does not know %s", room, name)
			delete(handled, name)
		}
		require.Empty(t, handled, "%s expects what nobody tells it", room)
	}
}

// casesOf returns the words that a file looks for in type switches and
// assertions, but for the actor library's and the mailbox's own.
func casesOf(t *testing.T, path string) map[string]bool {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	require.NoError(t, err)
	words := map[string]bool{}
	note := func(e ast.Expr) {
		if s, ok := e.(*ast.SelectorExpr); ok {
			if from := s.X.(*ast.Ident).Name; from == "protocol" || from == "ticket" {
				words[from+"."+s.Sel.Name] = true
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CaseClause:
			for _, e := range n.List {
				note(e)
			}
		case *ast.TypeAssertExpr:
			note(n.Type)
		}
		return true
	})
	return words
}

func TestAWordThatNobodyKnowsIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s, err := Start(Config{
			Logger: slog.New(slog.NewTextHandler(&log, nil)), Pool: pool.Config{MaxConns: 1},
			Sample: func(context.Context, time.Time, timesync.Patience) (clock.Sample, error) {
				return clock.Sample{}, context.Canceled
			},
		})
		require.NoError(t, err)
		door, err := s.openPool(t.Context(), messages.Origin{Scheme: "http", Addr: "server.test:80"}, "")
		require.NoError(t, err)
		type unheardOf struct{ secret string }
		for _, actor := range []protocol.Recipient{s.supervisor, s.throttler, s.timesync, door} {
			actor.Tell(unheardOf{"hunter2"})
		}
		door.Leave()
		s.Close()
		require.NoError(t, s.Wait(context.Background()))
		for _, room := range []string{"supervisor", "throttler", "timesync", "pool"} {
			require.Contains(t, log.String(), room+" was told a word it does not know")
		}
		require.Contains(t, log.String(), "word=actors.unheardOf")
		require.NotContains(t, log.String(), "hunter2")
		time.Sleep(time.Second) // the actor library's own timers
	})
}
