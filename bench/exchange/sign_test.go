package exchange

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The key pair of Binance's documented examples.
const (
	sampleKey    = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
	sampleSecret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
)

func TestBinancesDocumentedSignaturesVerify(t *testing.T) {
	const order = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
	const signature = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
	for name, v := range map[string]struct{ query, body string }{
		"in the query":   {order + "&signature=" + signature, ""},
		"in the body":    {"", order + "&signature=" + signature},
		"split in two":   {"symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC", "quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559&signature=0fd168b8ddb4876a0358a8d14d0c9f3da0e9b20c5d52b2a00fcf7d1c602f9a77"},
		"query has it":   {"symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&signature=0fd168b8ddb4876a0358a8d14d0c9f3da0e9b20c5d52b2a00fcf7d1c602f9a77", "quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"},
		"encoded symbol": {"symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559&signature=e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3", ""},
		"upper case":     {order + "&signature=C8DB56825AE71D6D79447849E617115F4A920FA2ACDCAB2B053C4B2838BD6B71", ""},
	} {
		require.Empty(t, verify(sampleSecret, v.query, v.body), name)
	}
	usdm := "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943"
	require.Equal(t, "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9",
		Sign("2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9", usdm))
}

func TestAWrongSignatureSaysWhy(t *testing.T) {
	sign := func(payload string) string { return "&signature=" + Sign("s", payload) }
	for _, c := range []struct{ query, body, want string }{
		{"a=1", "", "no signature"},
		{"a=1" + sign("a=1") + "&b=2", "", "signature is not the last parameter"},
		{"signature=" + Sign("s", "a=1") + "&a=1", "", "signature is not the last parameter"},
		{"a=2" + sign("a=1"), "", "signature does not match query||body as sent"},
		{"a=1" + sign("a=1"), "b=2", "signature does not match query||body as sent"},
		{"a=1&signature=", "", "signature does not match query||body as sent"},
		{"a=\xef" + sign("a=\xef"), "", "parameters are not percent-encoded"},
		{"", "a=x y" + sign("a=x y"), "parameters are not percent-encoded"},
	} {
		require.Equal(t, c.want, verify("s", c.query, c.body), c.query)
	}
}

func TestTheTimestampWindowEndsAtTheExactMillisecond(t *testing.T) {
	const server = 1_000_000
	for timestamp, want := range map[int64]timestampFault{
		server + 999: inTime, server + 1000: ahead, server: inTime, server - 5000: inTime, server - 5001: behind,
	} {
		require.Equal(t, want, checkTimestamp(timestamp, server, 5000), timestamp-server)
	}
}

func TestRecvWindowIsMillisecondsWithThreeDecimals(t *testing.T) {
	for text, want := range map[string]float64{"": 5000, "60000": 60000, "0": 0, "5.125": 5.125} {
		got, failed := parseRecvWindow(text)
		require.Nil(t, failed, text)
		require.InDelta(t, want, got, 0, text)
	}
	for text, code := range map[string]int{"60001": -1131, "60000.001": -1131, "-1": -1100, "1e3": -1100, "5.1234": -1100, "NaN": -1100} {
		_, failed := parseRecvWindow(text)
		require.NotNil(t, failed, text)
		require.Equal(t, code, failed.Code, text)
	}
}
