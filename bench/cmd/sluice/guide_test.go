package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/shellwords"
	"github.com/sluice-engine/sluice/bench/slo"
	"github.com/sluice-engine/sluice/bench/targets"
	"github.com/sluice-engine/sluice/bench/venue"
)

// guidePage is the page whose commands are executed here, one after another, as a reader would.
func guidePage(t *testing.T) string {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "guide", "benchmarks.md"))
	require.NoError(t, err)
	return string(page)
}

var (
	guideBlock = regexp.MustCompile("(?s)\n```(\\w+)\n(.*?)\n```")
	guideSpan  = regexp.MustCompile("`(sluice [^`\n]+)`")
	guideFile  = regexp.MustCompile("(?s)`([\\w-]+\\.\\w+)`\n\n```(?:text|json)\n(.*?)```")
)

// blocksOf returns the fenced blocks in a language.
func blocksOf(page, language string) []string {
	var blocks []string
	for _, found := range guideBlock.FindAllStringSubmatch(page, -1) {
		if found[1] == language {
			blocks = append(blocks, found[2])
		}
	}
	return blocks
}

// commandsOf returns the commands of a page without their first word, in the page's order:
// the lines of its blocks, and what stands in its sentences and tables. A verb alone is a
// name, and no command.
func commandsOf(t *testing.T, page string) [][]string {
	var commands [][]string
	add := func(line string) {
		words, err := shellwords.Split(line)
		require.NoError(t, err, line)
		require.Equal(t, "sluice", words[0], line)
		if len(words) > 2 {
			commands = append(commands, words[1:])
		}
	}
	joined := strings.ReplaceAll(page, "\\\n", " ")
	for i, part := range strings.Split(joined, "```") {
		if block, is := strings.CutPrefix(part, "sh\n"); is && i%2 == 1 {
			for line := range strings.Lines(block) {
				add(line)
			}
		}
		if i%2 == 0 {
			for _, span := range guideSpan.FindAllStringSubmatch(part, -1) {
				add(span[1])
			}
		}
	}
	return commands
}

// reader is somebody who goes through the page in a folder of his own.
type reader struct {
	plain, tls string // addresses of his servers
	workers    []string
	mu         sync.Mutex
	seen       map[string]int // requests by what tells them apart
}

// newReader makes the files that the page shows, and the servers that it speaks of.
func newReader(t *testing.T, page string) *reader {
	r := &reader{seen: make(map[string]int)}
	plain := httptest.NewServer(r)
	t.Cleanup(plain.Close)
	secure := httptest.NewUnstartedServer(r)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	t.Cleanup(secure.Close)
	r.plain, r.tls = plain.Listener.Addr().String(), secure.Listener.Addr().String()
	t.Setenv(tokenVariable, "a token of all machines")
	r.workers = []string{work(t, "--name", "m1"), work(t, "--name", "m2")}
	t.Chdir(t.TempDir())
	for _, file := range guideFile.FindAllStringSubmatch(page, -1) {
		require.NoError(t, os.WriteFile(file[1], []byte(r.here(file[2])), 0o600))
	}
	return r
}

func (r *reader) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	r.mu.Lock()
	r.seen[fmt.Sprintf("%s %s %s %s%s %s", request.Method, request.URL, request.Proto,
		request.Header.Get("X-User"), request.Header.Get("Authorization"), body)]++
	r.mu.Unlock()
	io.WriteString(w, `{"token": "sesame", "order": {"id": 7}}`)
}

// here has what the page says of its addresses be said of the reader's.
func (r *reader) here(text string) string {
	return strings.NewReplacer("127.0.0.1:8080", r.plain, "127.0.0.1:8443", r.tls,
		"m1:7070", r.workers[0], "m2:7070", r.workers[1]).Replace(text)
}

// shorter are what a command gets in a hurry: of flags that come twice the last one counts.
var shorter = map[string][]string{
	"exchange": {"--addr", "127.0.0.1:0", "--for", "100ms"},
	"search":   {"--from", "100/s", "--to", "200/s", "--trial", "200ms", "--warmup", "20ms", "--pause", "1ms", "--confirm", "1", "--width", "50%", "--quiet"},
	"capacity": {"--callers", "1,2,3,4", "--step", "50ms", "--warmup", "10ms", "--pause", "1ms", "--quiet"},
	"ab":       {"--pairs", "2", "--quiet"},
	"peers":    {"--case", "get-1", "--client", "engine", "--rounds", "1"},
}

// hurried returns a command as it is run here: with the reader's addresses, and short.
func (r *reader) hurried(command []string) []string {
	var args []string
	for i := 0; i < len(command); i++ {
		word := r.here(command[i])
		switch {
		case word == "--duration" || word == "--warmup":
			args, i = append(args, word, "300ms"), i+1
		case word == "--stage":
			_, rate, _ := strings.Cut(command[i+1], ":")
			args, i = append(args, word, "300ms:"+rate), i+1
		case word == "-n":
			args, i = append(args, word, "200"), i+1
		case word == "--quick" && command[0] == "peers", word == "--quiet":
		default:
			args = append(args, word)
		}
	}
	if command[0] != "run" {
		return append(args, shorter[command[0]]...)
	}
	args = append(args, "--quiet")
	if slices.Contains(args, "--workers") {
		args = append(args, "--clock-bound", "200ms")
	}
	if timed := slices.ContainsFunc(args, func(word string) bool {
		return slices.Contains([]string{"--duration", "--stage", "--replay", "-n", "--help"}, word)
	}); !timed {
		args = append(args, "--duration", "200ms")
	}
	return args
}

// A busy machine may not hold a rate, or an objective; whatever else goes wrong is the page's fault.
var guideCodes = map[string][]int{
	"run": {0, exitInvalid, exitObjective}, "report": {0, exitInvalid, exitObjective}, "compare": {0, exitRegression, exitInvalid},
	"ab": {0, exitRegression, exitInvalid}, "search": {0, exitInvalid, exitObjective},
	"doctor": {0, exitFound}, "capacity": {0}, "exchange": {0}, "peers": {0},
}

func TestEachCommandOfTheGuideToBenchmarksWorks(t *testing.T) {
	page := guidePage(t)
	r := newReader(t, page)
	done := make(map[string]bool)
	verbs := make(map[string]bool)
	for _, command := range commandsOf(t, page) {
		args := r.hurried(command)
		line := strings.Join(args, " ")
		verbs[command[0]] = true
		if done[line] || command[0] == "worker" { // the reader's workers run already
			continue
		}
		done[line] = true
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		code, out, stderr := sluiceIn(ctx, args...)
		require.NoError(t, ctx.Err(), line)
		cancel()
		refused := command[0] == "compare" && code == exitUsage && strings.Contains(stderr, "INVALID")
		require.True(t, refused || slices.Contains(guideCodes[command[0]], code), "%s: exit %d\n%s\n%s", line, code, stderr, out)
		requireFiles(t, args)
		t.Log(time.Since(begun).Round(time.Millisecond), line)
	}
	for _, verb := range []string{"run", "report", "compare", "ab", "search", "capacity", "worker", "exchange", "doctor", "peers"} {
		require.True(t, verbs[verb], "the page shows no %s", verb)
	}
	r.requireWhatWasSent(t)
}

// requireFiles holds a command to the files that it promises.
func requireFiles(t *testing.T, args []string) {
	for i, arg := range args[:len(args)-1] {
		if name := args[i+1]; arg == "-o" || arg == "--html" {
			info, err := os.Stat(name)
			require.NoError(t, err, args)
			require.NotZero(t, info.Size(), args)
			if args[0] == "run" && arg == "-o" {
				run, err := results.Open(name)
				require.NoError(t, err, args)
				require.True(t, run.Whole, args)
			}
		}
	}
}

// requireWhatWasSent is that the examples mean what the page says of them.
func (r *reader) requireWhatWasSent(t *testing.T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := strings.Join(slices.Sorted(maps.Keys(r.seen)), "\n")
	for _, want := range []string{
		`POST /orders HTTP/1.1 alice {"symbol": "BTCUSDT", "quantity": 1}`, // rows fill targets and their bodies
		`POST /orders HTTP/1.1 bob {"symbol": "ETHUSDT", "quantity": 1}`,
		"POST /orders HTTP/1.1 Bearer sesame", "DELETE /orders/7 HTTP/1.1", // chains use what was answered
		"GET /depth HTTP/1.1",   // the log is replayed
		"GET / HTTP/2.0",        // over TLS
		"GET /api/v3/time HTTP", // below the base URL of venue.json
	} {
		require.Contains(t, all, want)
	}
}

func TestTheExamplesOfTheGuideToBenchmarksAreRead(t *testing.T) {
	page := guidePage(t)
	newReader(t, page)
	for name, format := range map[string]targets.Format{
		"targets.txt": targets.Vegeta, "chains.json": targets.Chains, "access.log": targets.AccessLog,
	} {
		read, err := targets.ReadFile(name, targets.Auto, targets.Options{Base: "http://127.0.0.1:8080"})
		require.NoError(t, err, name)
		require.Equal(t, format, read.Format, name)
	}
	config, err := venue.ReadFile("venue.json", venue.Options{})
	require.NoError(t, err)
	require.Len(t, config.Limits, 1)
	objectives := 0
	for _, block := range blocksOf(page, "slo") {
		for line := range strings.Lines(block) {
			_, err := slo.Parse(line)
			require.NoError(t, err)
			objectives++
		}
	}
	require.GreaterOrEqual(t, objectives, 10)
}

func TestTheGuideToBenchmarksShowsWhatIsCompiled(t *testing.T) {
	source, err := os.ReadFile(filepath.Join("..", "..", "load", "example_guide_test.go"))
	require.NoError(t, err)
	blocks := blocksOf(guidePage(t), "go")
	require.Len(t, blocks, 2)
	for _, block := range blocks {
		require.Contains(t, string(source), "\n"+block+"\n")
	}
}

// A flag in the page's sentences is one of some verb's.
func TestTheGuideToBenchmarksNamesFlagsThatThereAre(t *testing.T) {
	known := make(map[string]bool)
	for _, verb := range newRootCommand().Commands() {
		verb.Flags().VisitAll(func(flag *pflag.Flag) { known["--"+flag.Name] = true })
	}
	for _, found := range regexp.MustCompile("`(--[a-z0-9-]+)").FindAllStringSubmatch(guidePage(t), -1) {
		if found[1] == "--async" { // ghz's
			continue
		}
		require.True(t, known[found[1]], found[1])
	}
}
