package auth

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

func TestAKeyAloneIsTheHeaderThatASignedCallHas(t *testing.T) {
	for header, a := range map[string]Authenticator{
		"X-MBX-APIKEY":     Binance("k", "s"),
		"X-MEXC-APIKEY":    MEXC("k", "s"),
		"OK-ACCESS-KEY":    OKX("k", "s", "p"),
		"KC-API-KEY":       KuCoin("k", "s", "p"),
		"X-BAPI-API-KEY":   Bybit("k", "s"),
		"api-key":          BitMEX("k", "s"),
		"KEY":              Gate("k", "s"),
		"bfx-apikey":       BitfinexV2("k-alone", "s"),
		"API-Key":          Kraken{Key: "k-alone", Secret: "c2VjcmV0"},
		"X-GEMINI-APIKEY":  Gemini("k-alone", "s"),
		"X-Own":            APIKey{Header: "X-Own", Key: "k"},
		"X-Wrapped-In-All": WithoutBody{Chain{Bearer{"t"}, APIKey{Header: "X-Wrapped-In-All", Key: "k"}}},
	} {
		t.Run(header, func(t *testing.T) {
			signed := messages.Call{Method: "POST", Path: "/"}
			require.NoError(t, a.Authenticate(&signed, LocalClock(0)))
			want, ok := signed.Header(header)
			require.True(t, ok)
			call := messages.Call{Method: "POST", Path: "/", Query: "a=b", Fields: []messages.Field{{Name: "X-Else", Value: "c"}}}
			require.True(t, SendKey(a, &call))
			require.Equal(t, []messages.Field{{Name: "X-Else", Value: "c"}, {Name: header, Value: want}}, call.Fields)
			require.Equal(t, "a=b", call.Query)
			require.Empty(t, call.Body)
		})
	}
}

func TestWhoeverHasNoPlaceForAKeyAloneLeavesTheCallAsItIs(t *testing.T) {
	for name, a := range map[string]Authenticator{
		"nobody": nil, "bearer": Bearer{"t"}, "basic": Basic{"u", "p"}, "htx": HTX{"k", "s"}, "deribit": Deribit("k", "s"),
		"sigv4": SigV4{AccessKey: "a", Secret: "s", Region: "r", Service: "s"}, "jwt": JWT{}, "chain": Chain{Bearer{"t"}, nil},
		"func": Func(func(*messages.Call, Clock) error { return nil }), "no key": HMACQuery{Secret: "s"}, "no header": Payload{Key: "k"},
	} {
		call := messages.Call{Method: "GET", Path: "/", Query: "a=b"}
		require.False(t, SendKey(a, &call), name)
		require.Equal(t, messages.Call{Method: "GET", Path: "/", Query: "a=b"}, call, name)
	}
}
