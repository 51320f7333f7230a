package rates

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/bench/load"
)

const serverVariable = "SLUICE_RATES_TEST_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) != "" { // this program again, as the server
		if err := Serve(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"))
}

func TestTheServerAnswersEveryRequestHoweverItComes(t *testing.T) {
	in, hold := io.Pipe()
	out, said := io.Pipe()
	served := make(chan error, 1)
	go func() { served <- Serve(in, said) }()
	var url string
	require.NoError(t, json.NewDecoder(out).Decode(&url))
	resp, err := http.Get(url)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	require.NoError(t, err)
	require.Equal(t, "Hello, world!", string(body))
	http.DefaultClient.CloseIdleConnections()

	conn, err := net.Dial("tcp", strings.Trim(strings.TrimPrefix(url, "http://"), "/"))
	require.NoError(t, err)
	for _, part := range []string{"GET / HT", "TP/1.1\r\n\r", "\nGET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n"} {
		_, err = io.WriteString(conn, part)
		require.NoError(t, err)
		time.Sleep(time.Millisecond)
	}
	three := make([]byte, 3*len(answer))
	_, err = io.ReadFull(conn, three)
	require.NoError(t, err)
	require.Equal(t, strings.Repeat(answer, 3), string(three))
	conn.Close()
	hold.Close()
	require.NoError(t, <-served)
}

// aTool puts a program of a name on the path that says something.
func aTool(t *testing.T, dir, name, says string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n/bin/cat > /dev/null\n[ \"$1\" = attack ] || echo '"+says+"'\n"), 0o755))
}

func TestProgramsTakeTurnsAndThoseThatAreMissingAreNamed(t *testing.T) {
	dir := t.TempDir()
	aTool(t, dir, "wrk", "Requests/sec: 1000.50")
	aTool(t, dir, "vegeta", `{"throughput": 500.25}`)
	t.Setenv("PATH", dir)
	t.Setenv(serverVariable, "1")
	var progress bytes.Buffer
	result, err := Run(t.Context(), Config{
		Server: []string{os.Args[0]}, Callers: 4, Turn: 100 * time.Millisecond, Rounds: 2, Clients: []string{load.FastHTTP, load.NetHTTP}, Progress: &progress,
	})
	require.NoError(t, err)
	require.Equal(t, []string{"hey"}, result.Missing)
	names := map[string]Row{}
	for _, row := range result.Rows {
		names[row.Name] = row
		require.Len(t, row.Rates, 2)
		require.Positive(t, row.Median())
	}
	require.Equal(t, 500.25, names["vegeta"].Median())
	require.Contains(t, names, "sluice run --client fasthttp")
	first := strings.Index(progress.String(), "round 1 of 2: sluice run --client fasthttp")
	last := strings.Index(progress.String(), "round 2 of 2: sluice run --client fasthttp")
	require.Equal(t, 0, first)
	require.Greater(t, last, strings.Index(progress.String(), "round 2 of 2: vegeta"), "every other round goes backwards")

	var text bytes.Buffer
	require.NoError(t, result.WriteText(&text))
	require.Contains(t, text.String(), "÷ vegeta")
	require.Contains(t, text.String(), "not compared: ")
}

func TestAProgramThatSaysNoRateIsAnError(t *testing.T) {
	_, err := rateIn([]byte("unable to connect"), nil)
	require.Error(t, err)
	rate, err := rateIn([]byte("  Requests/sec:\t38736.9496\n"), nil)
	require.NoError(t, err)
	require.Equal(t, 38736.9496, rate)
	_, err = Run(t.Context(), Config{})
	require.Error(t, err)
}
