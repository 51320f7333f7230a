package main

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/shellwords"
)

// folder makes files in a folder of their own, and goes there.
func folder(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
}

// requireFolder holds the folder to the files that it had.
func requireFolder(t *testing.T, files map[string]string, args []string) {
	t.Helper()
	there, err := os.ReadDir(".")
	require.NoError(t, err)
	kept := make(map[string]string)
	for _, entry := range there {
		if entry.Type().IsRegular() {
			text, err := os.ReadFile(entry.Name())
			require.NoError(t, err)
			kept[entry.Name()] = string(text)
		}
	}
	require.Equal(t, files, kept, "%v", args)
}

func TestNoVerbWritesToAFileThatIsReadOrWrittenOtherwise(t *testing.T) {
	url, served := greeting(t)
	files := map[string]string{
		"targets.txt": "GET " + url + "/a\n@body.json\n", "body.json": "{}", "users.csv": "user\nanna\n",
		"access.log":  "127.0.0.1 - - [27/Jul/2026:10:00:00 +0000] \"GET /ticker HTTP/1.1\" 200 5\n",
		"chains.json": `{"base": "` + url + `", "data": "users.csv", "chains": [{"steps": [{"url": "/{{user}}"}]}]}`,
		"venue.json":  `{"base_url": "` + url + `", "limits_file": "limits.json", "default_limit": "a"}`,
		"limits.json": `{"limits": [{"id": "a", "quota": 1000, "per": "1s"}]}`,
		"results":     "whatever it is",
	}
	folder(t, files)
	for name, to := range map[string]string{"link.txt": "targets.txt", "new.html": "new.x", "again.html": "new.x"} {
		require.NoError(t, os.Symlink(to, name))
	}
	for line, want := range map[string]string{
		"run --targets targets.txt -n 2 -o targets.txt":                            "--out targets.txt is a file that --targets reads",
		"run --targets targets.txt -n 2 -o ./targets.txt":                          "--out ./targets.txt is a file that --targets reads",
		"run --targets targets.txt -n 2 --html link.txt":                           "--html link.txt is a file that --targets reads",
		"run --targets targets.txt -n 2 -o body.json":                              "--out body.json is a file that --targets reads",
		"run --targets chains.json -n 2 -o users.csv":                              "--out users.csv is a file that --targets reads",
		"run --targets targets.txt --data users.csv -n 2 -o users.csv":             "--out users.csv is a file that --data reads",
		"run --replay access.log --base " + url + " -o access.log":                 "--out access.log is a file that --replay reads",
		"run " + url + " --body-file body.json -n 2 --html body.json":              "--html body.json is a file that --body-file reads",
		"run /a --config venue.json -n 2 -o venue.json":                            "--out venue.json is a file that --config reads",
		"run /a --config venue.json -n 2 -o limits.json":                           "--out limits.json is a file that --config reads",
		"run " + url + " -n 2 -o same.x --html same.x":                             "--html same.x is where --out writes",
		"run " + url + " -n 2 -o same.x --html ./same.x":                           "--html ./same.x is where --out writes",
		"run " + url + " -n 2 -o new.html --html again.html":                       "--html again.html is where --out writes",
		"run " + url + " -n 2 -o - --html -":                                       "--html - is where --out writes",
		"run " + url + " --rate 5 --workers 127.0.0.1:1 -o same.x --html same.x":   "--html same.x is where --out writes",
		"search --targets targets.txt --slo p99<5ms --json targets.txt":            "--json targets.txt is a file that --targets reads",
		"capacity --targets targets.txt --callers 16 --json link.txt":              "--json link.txt is a file that --targets reads",
		"ab --a= --b '--body-file body.json' -c 1 --json body.json " + url:         "--json body.json is a file that --body-file reads",
		"ab --a= --b= -o same.x --json same.b.x " + url:                            "--json same.b.x is where --out writes",
		"ab --a= --b= -o - " + url:                                                 "--out -: there are two files",
		"compare results results --json results":                                   "--json results is one of the files to be read",
		"compare --old results --new results --json ./results":                     "--json ./results is one of the files to be read",
		"report results -o ./results":                                              "--out ./results is one of the files to be read",
		"scale --html same.x --json same.x":                                        "--json same.x is where --html writes",
		"scale --curve limits --json same.x --markdown ./same.x":                   "--markdown ./same.x is where --json writes",
		"limits --json same.x --json-scenarios same.x":                             "--json-scenarios same.x is where --json writes",
		"peers --client engine --json same.x --cpuprofile same.x":                  "--cpuprofile same.x is where --json writes",
		"peers --client engine --cpuprofile -":                                     "--cpuprofile -: give it a file",
		"run " + url + " -n 2 -o ./missing/run.jsonl --html ./missing/run.html":    "--out: open ./missing/run.jsonl: no such file or directory; --html: ",
		"run " + url + " --slo p99<5ms --slo GET&/nope:p99<5ms -n 2 -o run.jsonl":  `--slo: objective "GET /nope:p99<5ms": there is no operation "GET /nope"; there are "GET /"`,
		"search " + url + "/a --slo GET&/:p99<5ms --json search.json":              `there is no operation "GET /"; there are "GET /a"`,
		"run --targets chains.json --slo GET&/anna:p99<5ms -n 2":                   `there is no operation "GET /anna"; there are "GET /{{user}}"`,
		"run --replay access.log --base " + url + " --slo GET&/nope:p99<5ms":       `there is no operation "GET /nope"; there are "GET /ticker"`,
		"run " + url + " --rate 5 --workers 127.0.0.1:1 --slo GET&/nope:errors<1%": `there is no operation "GET /nope"; there are "GET /"`,
	} {
		args, err := shellwords.Split(line)
		require.NoError(t, err)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "&", " ")
		}
		code, out, stderr := sluice(t, args...)
		require.Equal(t, exitUsage, code, "%s\n%s", line, stderr)
		require.Empty(t, out, line)
		require.Contains(t, stderr, want, line)
		require.Equal(t, 2, strings.Count(stderr, "\n"), stderr)
		requireFolder(t, files, args)
	}
	require.Zero(t, served.Load(), "nothing has started")
}

// A run of hours must not be lost at its end to a folder that is not there, whatever the verb.
func TestEveryVerbFindsOutAtOnceThatAFileCannotBeWritten(t *testing.T) {
	folder(t, nil)
	for _, line := range []string{
		"exchange --addr 127.0.0.1:0 --report", "live --json", "clock --json", "doctor --json=", "parked --json", "counters --json", "fanout --json",
		"limits --json", "limits --json-scenarios", "scale --html", "scale --json", "scale --markdown", "peers --json", "peers --client engine --cpuprofile",
		"rates --json", "run http://x/ -n 1 -o", "run http://x/ -n 1 --html", "search http://x/ --slo p99<5ms --json", "capacity http://x/ --json",
		"ab --a= --b= http://x/ -o", "ab --a= --b= http://x/ --json",
	} {
		args := strings.Fields(line)
		if strings.HasSuffix(line, "=") {
			args[len(args)-1] += "missing/x"
		} else {
			args = append(args, "missing/x")
		}
		code, out, stderr := sluice(t, args...)
		require.Equal(t, exitUsage, code, line)
		require.Empty(t, out, line)
		require.Contains(t, stderr, "no such file", line)
	}
	requireFolder(t, map[string]string{}, nil)
}

func TestViolationsWinOverAReportThatCanNoLongerBeWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	require.NoError(t, os.Mkdir(dir, 0o700))
	code, out := serve(t, func(url string) {
		hit(t, url+"/api/v3/time", 200)
		hit(t, url+"/api/v3/time", 429)
		require.NoError(t, os.Remove(dir))
	}, "--limit", "weight=1/1h", "--report", filepath.Join(dir, "report.json"))
	require.Equal(t, exitFound, code, out)
	require.Contains(t, out, "1 violations")
	err := (&exchangeFlags{report: filepath.Join(dir, "report.json")}).conclude(exchange.Report{Counts: map[exchange.Violation]int64{"some": 1}}, outputs{people: io.Discard})
	require.ErrorIs(t, err, finding{"1 violations"})
	require.ErrorContains(t, err, "--report: open", "and that is told as well")
}

// A pipe or a terminal can be shared, and is not opened to see: its reader would take that for its end.
func TestFilesThatAreNotKeptCanBeShared(t *testing.T) {
	folder(t, nil)
	var files namedFiles
	files.reads("--targets", os.DevNull)
	files.writes("--out", os.DevNull)
	files.writes("--html", os.DevNull)
	require.NoError(t, files.check())
}

func TestStandardInputAndOutputAreFilesToo(t *testing.T) {
	folder(t, map[string]string{"in": "results", "out": ""})
	in, err := os.Open("in")
	require.NoError(t, err)
	out, err := os.OpenFile("out", os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	wasIn, wasOut := os.Stdin, os.Stdout
	t.Cleanup(func() {
		os.Stdin, os.Stdout = wasIn, wasOut
		in.Close()
		out.Close()
	})
	os.Stdin, os.Stdout = in, out
	var files namedFiles
	files.reads("", "-")
	files.writes("--out", "in")
	require.EqualError(t, files.check(), "--out in is the file of standard input")
	files = nil
	files.writes("--html", "out")
	require.EqualError(t, files.check(), "standard output is where --html writes")
	files = nil
	files.reads("", "-")
	files.writes("--out", "-")
	require.NoError(t, files.check())
}

func TestResultsOfARunGoThroughAPipeToReport(t *testing.T) {
	url, _ := greeting(t)
	folder(t, nil)
	code, out, stderr := sluice(t, "run", url+"/a", "-n", "20", "--quiet", "-o", "-")
	require.Zero(t, code, stderr)
	run, err := results.Read(strings.NewReader(out))
	require.NoError(t, err)
	require.True(t, run.Whole)
	require.EqualValues(t, 20, run.Total[""].Count)
	require.Contains(t, stderr, "GET /a", "people are told elsewhere")
	root := newRootCommand()
	var told console
	root.SetArgs([]string{"report", "-", "-o", "-"})
	root.SetIn(strings.NewReader(out))
	root.SetOut(&told)
	require.NoError(t, root.ExecuteContext(t.Context()))
	require.Contains(t, told.String(), "20 completed")
	requireFolder(t, map[string]string{}, nil)
}

func TestAPageAndAReportGoToStandardOutputWhereAsked(t *testing.T) {
	url, _ := greeting(t)
	folder(t, nil)
	code, out, stderr := sluice(t, "run", url+"/a", "-n", "20", "--quiet", "--html", "-")
	require.Zero(t, code, stderr)
	require.True(t, strings.HasPrefix(strings.ToLower(out), "<!doctype html>"))
	require.Contains(t, stderr, "closed")
	code, out, stderr = sluice(t, "exchange", "--addr", "127.0.0.1:0", "--for", "10ms", "--report", "-")
	require.Zero(t, code, stderr)
	require.True(t, json.Valid([]byte(out)), out)
	require.Contains(t, stderr, "simulated exchange at")
	code, out, stderr = sluice(t, "limits", "--scenario", "urgent-beside-bulk", "--quick", "--json-scenarios", "-")
	require.Zero(t, code, stderr)
	require.True(t, json.Valid([]byte(out)), out)
	require.NotEmpty(t, stderr)
	requireFolder(t, map[string]string{}, nil)
}

func TestAReportIsCompressedByItsName(t *testing.T) {
	file := aFile(t, t.TempDir(), "run.jsonl", "1", "one", finished())
	folder(t, nil)
	for name, want := range map[string]string{"p.html.gz": "<!doctype html>", "p.json.GZ": `"format": "sluice-report/1"`, "p.gz": "VALID\n"} {
		code, out, stderr := sluice(t, "report", file, "-o", name)
		require.Zero(t, code, stderr)
		require.Empty(t, out)
		packed, err := os.Open(name)
		require.NoError(t, err)
		unpacked, err := gzip.NewReader(packed)
		require.NoError(t, err)
		text, err := io.ReadAll(unpacked)
		require.NoError(t, err)
		require.NoError(t, packed.Close())
		require.Contains(t, strings.ToLower(string(text)), strings.ToLower(want), name)
	}
}
