package peers

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/gauge"
)

func TestEveryClientSendsTheSameOrderWithTheSameSignature(t *testing.T) {
	type posted struct{ body, signed, kind string }
	var mu sync.Mutex
	var got []posted
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, posted{r.Method + " " + r.URL.Path + " " + string(body), r.Header.Get(signatureHeader), r.Header.Get(contentType)})
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	for _, name := range ClientNames() {
		client, err := openClient(name, site{origin: server.URL}, 1)
		require.NoError(t, err)
		defer client.Close()
		require.NoError(t, client.Post(t.Context()), name)
		require.Equal(t, posted{"POST /order " + string(order), signature(order), isJSON}, got[len(got)-1], name)
	}
	require.Len(t, got, len(ClientNames()), "nobody repeats")
}

func TestTheServerRefusesWhatIsNotSigned(t *testing.T) {
	server, err := startServer(t.Context(), serverCommand(t))
	require.NoError(t, err)
	defer server.stop()
	defer http.DefaultClient.CloseIdleConnections()
	for signed, want := range map[string]int{signature(order): 200, signature(order[1:]): 401, "": 401} {
		req, err := http.NewRequest("POST", server.sites[HTTP].origin+orderPath, strings.NewReader(string(order)))
		require.NoError(t, err)
		req.Header.Set(signatureHeader, signed)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, want, resp.StatusCode)
	}
	for _, name := range ClientNames() {
		client, err := openClient(name, server.sites[HTTP], 1)
		require.NoError(t, err)
		defer client.Close()
		require.NoError(t, client.Post(t.Context()), name)
		require.NoError(t, client.Get(t.Context()), name)
	}
}

// Each client, as it is opened for many callers, against a server that counts connections.
func TestNoClientHasMoreConnectionsThanTheOthers(t *testing.T) {
	for _, name := range ClientNames() {
		var opened atomic.Int64
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Millisecond)
			_, _ = io.WriteString(w, answer)
		}))
		server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				opened.Add(1)
			}
		}
		server.Start()
		client, err := openClient(name, site{origin: server.URL}, 1000)
		require.NoError(t, err)
		callers := gauge.NewCallers(t.Context(), 1000)
		require.NoError(t, callers.Run(client, 2000), name)
		callers.Stop()
		client.Close()
		server.Close()
		require.LessOrEqual(t, opened.Load(), int64(connections*5/4), "%s: one that was lost is replaced, and no more", name)
		require.Greater(t, opened.Load(), int64(connections/2), name)
	}
}

func TestCasesApartAndFansOutRunWithEveryClient(t *testing.T) {
	result, err := Run(t.Context(), Config{
		Server: serverCommand(t), Brief: true, Begun: func(string) {},
		Cases: []Case{
			{Name: "many", Callers: 200, Requests: 2000, Clients: everyone},
			{Name: "fan", Requests: 2000, FanOut: true, Clients: everyone},
		},
	})
	require.NoError(t, err)
	require.Len(t, result.Rows, 2*len(everyone))
	for i, row := range result.Rows {
		require.Equal(t, everyone[i%len(everyone)], row.Client)
		require.Positive(t, row.CPU)
		if row.Client == Engine {
			require.Len(t, row.CPURatio, len(everyone)-1)
		}
	}
}

func TestAFanOutMakesEachRequestOnceAndStopsAtTheFirstFailure(t *testing.T) {
	for _, name := range everyone {
		var asked atomic.Int64
		var broken atomic.Bool
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			if broken.Load() {
				w.WriteHeader(http.StatusTeapot)
			}
			_, _ = io.WriteString(w, answer)
		}))
		defer server.Close()
		client, err := openClient(name, site{origin: server.URL}, connections)
		require.NoError(t, err)
		defer client.Close()
		require.NoError(t, fanOut(t.Context(), client, 500), name)
		require.EqualValues(t, 500, asked.Load(), name)
		broken.Store(true)
		require.ErrorIs(t, fanOut(t.Context(), client, 100_000), errWrongAnswer, name)
		require.Less(t, asked.Load(), int64(50_000), name)
	}
}

func TestAHalfWithoutAGuestIsNobodysPair(t *testing.T) {
	cost := func(us float64) gauge.Cost { return gauge.Cost{CPU: us} }
	mine, theirs := together([]gauge.Cost{cost(1), cost(2), cost(3), cost(4)}, []gauge.Cost{cost(10), {}, cost(30), {}})
	require.Equal(t, []gauge.Cost{cost(1), cost(3)}, mine)
	require.Equal(t, []gauge.Cost{cost(10), cost(30)}, theirs)
}

func TestGuestsTakePartInTheirRoundsAlone(t *testing.T) {
	result, err := Run(t.Context(), Config{
		Server: serverCommand(t), Rounds: 3,
		Cases: []Case{{Name: "get", Callers: 2, Requests: 20, Clients: []string{Engine, NetHTTP}, Guests: []string{Resty}, GuestsEvery: 2}},
	})
	require.NoError(t, err)
	require.Len(t, result.Rows, 3)
	require.Positive(t, result.Rows[2].CPU)
	require.Positive(t, result.Rows[0].CPURatio[Resty])
}
