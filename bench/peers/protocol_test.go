package peers

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryCaseRunsWithItsOwnClientsAndProtocol(t *testing.T) {
	cases := Cases()[2:6]
	for i := range cases {
		cases[i].Callers, cases[i].Requests = 8, 40
	}
	result, err := Run(t.Context(), Config{Server: serverCommand(t), Cases: cases, Rounds: 1})
	require.NoError(t, err)
	var ran [][2]string
	for _, row := range result.Rows {
		ran = append(ran, [2]string{row.Case, row.Client})
		require.Equal(t, isOurs(row.Client), row.CPURatio[NetHTTP] > 0)
		require.Equal(t, row.Cannot == "", row.CPU > 0)
	}
	require.Equal(t, [][2]string{
		{"https-64", Engine}, {"https-64", NetHTTP}, {"https-64", FastHTTP},
		{"https-64", Resty}, {"https-64", Retryable}, {"https-64", Failsafe}, {"https-64", Req},
		{"roundtripper-64", RoundTripper}, {"roundtripper-64", NetHTTP},
		{"http2-64", Engine}, {"http2-64", NetHTTP},
		{"http2-64", Resty}, {"http2-64", Retryable}, {"http2-64", Failsafe}, {"http2-64", Req}, {"http2-64", FastHTTP},
		{"post-64", Engine}, {"post-64", NetHTTP}, {"post-64", FastHTTP},
		{"post-64", Resty}, {"post-64", Retryable}, {"post-64", Failsafe}, {"post-64", Req},
	}, ran)
}

func TestACaseWithoutAnyOfTheClientsIsLeftOut(t *testing.T) {
	_, err := Run(t.Context(), Config{
		Server: []string{"none"}, Cases: Cases()[3:4], Clients: []string{FastHTTP},
	})
	require.ErrorContains(t, err, "no case has any of the clients fasthttp")
}

func TestNobodyFallsBackFromHTTP2Unnoticed(t *testing.T) {
	server, err := startServer(t.Context(), serverCommand(t))
	require.NoError(t, err)
	defer server.stop()
	at := server.sites[HTTP2]
	at.protocol = HTTPS
	for _, name := range slices.Concat([]string{Engine, NetHTTP}, guests) {
		client, err := openClient(name, at, 1)
		require.NoError(t, err)
		defer client.Close()
		require.Error(t, client.Get(t.Context()), name)
	}
}

func TestAnUnknownAuthorityIsRefused(t *testing.T) {
	server, err := startServer(t.Context(), serverCommand(t))
	require.NoError(t, err)
	defer server.stop()
	other, err := startServer(t.Context(), serverCommand(t))
	require.NoError(t, err)
	defer other.stop()
	at := server.sites[HTTPS]
	at.roots = other.sites[HTTPS].roots
	for _, name := range ClientNames() {
		client, err := openClient(name, at, 1)
		require.NoError(t, err)
		defer client.Close()
		require.Error(t, client.Get(t.Context()), name)
	}
}

func TestACrowdIsMeasuredAgainstAFew(t *testing.T) {
	result, err := Run(t.Context(), Config{
		Server: serverCommand(t), Cases: []Case{{Name: "crowd", Callers: 200, Requests: 600, Few: 8, Clients: []string{Engine}}},
	})
	require.NoError(t, err)
	require.Len(t, result.Rows, 1)
	crowd := result.Rows[0].Crowd
	require.Positive(t, crowd.Throughput)
	require.Positive(t, crowd.P99)
	require.Greater(t, crowd.ThroughputRatio, 0.05, "a ratio of neighbours, however busy the machine is")
	require.Less(t, crowd.ThroughputRatio, 20.0)
	require.Greater(t, crowd.P99Ratio, 0.3)
	require.Greater(t, crowd.BytesPerCaller, 2000.0, "a goroutine's stack alone is that large")
	require.Contains(t, crowd.String(), "that of 8 callers")
}

func TestACrowdNeedsTwoRequestsForEveryCaller(t *testing.T) {
	_, err := Run(t.Context(), Config{
		Server: []string{"none"}, Cases: []Case{{Name: "crowd", Callers: 200, Requests: 399, Few: 8}},
	})
	require.ErrorContains(t, err, `"crowd": 399 requests`)
}
