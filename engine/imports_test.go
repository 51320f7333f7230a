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

// The map of the module: which of its packages those of a folder may import.
// The rule of the folder counts, or of the nearest above it that has one; it
// names packages one by one, and with "/..." all that is below a folder as well.
// Imports point one way, and the actors know nothing of one another.
var mayImport = map[string][]string{
	// the floor
	"internal/httpdate":    {},
	"internal/jsonpath":    {"internal/percent"},
	"internal/weblink":     {},
	"internal/percent":     {},
	"internal/hostport":    {},
	"internal/unit":        {},
	"internal/strictjson":  {},
	"internal/eventstream": {},
	"internal/scribe":      {},
	"internal/quotient":    {},
	"internal/contain":     {},
	"internal/clock":       {"internal/httpdate"},
	"throttle":             {"internal/quotient", "internal/unit"},
	"throttle/feedback":    {"throttle", "internal/clock", "internal/jsonpath", "internal/httpdate"},
	"throttle/limitfile":   {"throttle", "internal/strictjson"},
	"memory":               {},
	"internal/journal":     {"memory", "throttle", "internal/contain", "internal/quotient"},
	"internal/jsontext":    {},
	"internal/loan":        {},
	"internal/callsite":    {},
	"messages":             {"throttle", "internal/contain", "internal/jsontext", "internal/loan"},
	"messages/protocol":    {"messages", "throttle", "throttle/feedback"},
	"auth":                 {"messages", "internal/percent", "internal/quotient", "internal/httpdate", "internal/jsonpath", "internal/unit"},
	"auth/oauth2":          {"auth", "messages", "internal/contain", "internal/unit"},
	"internal/wire":        {"internal/contain", "internal/loan", "messages", "messages/protocol"},
	"internal/wire/dial":   {"internal/wire", "internal/wire/h2", "messages", "messages/protocol"},
	"internal/wire/h2":     {"internal/loan", "internal/wire", "messages", "messages/protocol"},

	// the actors
	"actors/mailbox":   {"messages/protocol"},
	"actors/ticket":    {"messages", "messages/protocol", "throttle", "throttle/feedback"},
	"actors/throttler": {"actors/mailbox", "actors/ticket", "messages", "messages/protocol", "throttle", "throttle/feedback", "internal/clock"},
	"actors/pool":      {"actors/mailbox", "actors/ticket", "messages", "messages/protocol", "throttle", "internal/contain", "internal/unit"},
	"actors/permit":    {"actors/mailbox", "actors/ticket", "messages", "messages/protocol", "throttle", "throttle/feedback", "internal/wire", "internal/callsite"},
	"actors/timesync":  {"actors/mailbox", "messages", "messages/protocol", "auth", "internal/clock"},
	"actors/request": {
		"actors/mailbox", "actors/ticket", "messages", "messages/protocol", "throttle", "throttle/feedback", "auth",
		"internal/jsontext", "internal/wire", "internal/percent", "internal/hostport", "internal/callsite", "internal/unit",
	},
	"actors": {
		"actors/mailbox", "actors/permit", "actors/pool", "actors/request", "actors/throttler", "actors/ticket", "actors/timesync",
		"messages", "messages/protocol", "throttle", "auth", "internal/clock",
	},

	// the door
	"engine": {
		"actors", "actors/permit", "actors/pool", "actors/request", "actors/timesync", "messages", "messages/protocol",
		"throttle", "throttle/feedback", "auth", "internal/callsite", "internal/clock", "internal/eventstream", "internal/hostport", "internal/httpdate", "internal/jsonpath", "internal/jsontext", "internal/scribe", "internal/weblink", "internal/wire", "internal/wire/dial", "internal/unit",
		"memory", "internal/journal",
	},

	"engine/inspect": {"auth", "engine", "throttle"},

	// whoever stands outside
	"telemetry":        {"engine", "auth", "messages"},
	"examples":         {"engine/...", "auth", "throttle/...", "bench/exchange/...", "telemetry"},
	"bench":            {"engine", "auth", "throttle/...", "messages", "internal/clock", "bench/..."},
	"bench/limits":     {"throttle", "throttle/feedback", "actors/throttler", "actors/ticket", "bench/exchange", "bench/parallel"}, // drives the throttler's desk
	"bench/crew":       {"internal/clock", "bench/load", "bench/results", "bench/schedule", "bench/slo", "bench/targets"},
	"bench/exchange":   {"bench/exchange/..."},
	"bench/referee":    {"engine", "auth", "throttle/..."}, // judges from outside
	"bench/hostile":    {"engine", "engine/inspect", "auth/...", "throttle/...", "messages", "bench/exchange/memnet", "bench/hostile/..."},
	"bench/kills":      {"engine", "auth", "throttle", "memory", "bench/child", "bench/gauge"}, // looks at the file as well
	"bench/mutants":    {},
	"bench/telemetry":  {"engine", "engine/inspect", "telemetry", "throttle", "bench/child", "bench/gauge"},
	"bench/page":       {"engine", "engine/inspect", "auth", "throttle", "bench/exchange"},
	"bench/targets":    {"internal/jsonpath", "internal/percent", "internal/strictjson"},
	"bench/venue":      {"engine", "auth/...", "throttle/...", "messages", "internal/strictjson"},
	"bench/cmd/sluice": {"engine", "bench/...", "throttle", "throttle/limitfile"},
}

// mayImportActors has the folders that may import the actor library.
var mayImportActors = []string{
	"actors", "actors/mailbox", "actors/request", "actors/throttler", "actors/pool", "actors/timesync",
	"bench/crew", // machines talk by its remote part
}

const module = "github.com/sluice-engine/sluice/"

func TestImportsPointOneWay(t *testing.T) {
	met := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		path = filepath.ToSlash(strings.TrimPrefix(path, "../"))
		if strings.HasPrefix(path, "internal/wire/wiretest/") {
			return nil // imported by tests only
		}
		allowed, at, found := ruleFor(filepath.Dir(path))
		require.True(t, found, "%s is in a folder that is not on the map", path)
		met[at] = true
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", path), nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range file.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			require.NotContains(t, imported, "wiretest", path)
			if strings.Contains(imported, "protoactor-go") {
				require.Contains(t, mayImportActors, at, "%s imports the actor library", path)
			}
			if inside, ok := strings.CutPrefix(imported, module); ok {
				require.True(t, allows(allowed, inside), "%s imports %s", path, inside)
			}
		}
		return nil
	})
	require.NoError(t, err)
	for folder := range mayImport {
		require.True(t, met[folder], "%s is on the map, and has no file", folder)
	}
}

// The actors are the rooms that must not know one another, whatever the map
// above comes to say.
func TestNoActorKnowsAnother(t *testing.T) {
	rooms := []string{"actors/request", "actors/throttler", "actors/pool", "actors/timesync", "actors/permit"}
	for _, room := range rooms {
		for _, other := range append(rooms, "actors") {
			require.NotContains(t, mayImport[room], other, room)
		}
	}
}

func ruleFor(folder string) (allowed []string, at string, found bool) {
	for at = folder; at != "."; at = filepath.Dir(at) {
		if allowed, ok := mayImport[at]; ok {
			return allowed, at, true
		}
	}
	return nil, "", false
}

func allows(rules []string, imported string) bool {
	for _, rule := range rules {
		folder, below := strings.CutSuffix(rule, "/...")
		if imported == folder || below && strings.HasPrefix(imported, folder+"/") {
			return true
		}
	}
	return false
}
