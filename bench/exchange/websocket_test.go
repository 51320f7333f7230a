package exchange

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// feed is a client's end of a WebSocket.
type feed struct {
	v    *venue
	conn *websocket.Conn
}

func (v *venue) feed() feed {
	v.t.Helper()
	conn, _, err := websocket.Dial(v.t.Context(), v.listen.URL()+"/ws-api/v3", &websocket.DialOptions{HTTPClient: &v.client})
	require.NoError(v.t, err)
	v.t.Cleanup(func() { conn.CloseNow() })
	return feed{v, conn}
}

func (f feed) send(id int, method string, params map[string]any) {
	f.v.t.Helper()
	text, err := json.Marshal(map[string]any{"id": id, "method": method, "params": params})
	require.NoError(f.v.t, err)
	require.NoError(f.v.t, f.conn.Write(f.v.t.Context(), websocket.MessageText, text))
}

func (f feed) receive() map[string]any {
	f.v.t.Helper()
	_, text, err := f.conn.Read(f.v.t.Context())
	require.NoError(f.v.t, err)
	var answer map[string]any
	require.NoError(f.v.t, json.Unmarshal(text, &answer))
	return answer
}

func (f feed) ask(method string, params map[string]any) map[string]any {
	f.v.t.Helper()
	f.send(7, method, params)
	return f.receive()
}

// signedAs adds what signs a frame: the parameters sorted by name, one behind the other.
func (f feed) signedAs(a Account, params map[string]any) map[string]any {
	params["apiKey"], params["timestamp"] = a.Key, f.v.Now().UnixMilli()
	text := ""
	for _, name := range []string{"apiKey", "newClientOrderId", "price", "quantity", "side", "symbol", "timeInForce", "timestamp", "type"} {
		if v, has := params[name]; has {
			text += fmt.Sprintf("&%s=%v", name, v)
		}
	}
	params["signature"] = Sign(a.Secret, text[1:])
	return params
}

func (f feed) order(a Account, id string) map[string]any {
	return f.signedAs(a, map[string]any{
		"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "9000", "newClientOrderId": id,
	})
}

func TestOrdersOverAWebSocketComeOutOfTheSameBudget(t *testing.T) {
	inFakeTime(t, two(Limit{Quota: 100, Per: time.Hour}, Limit{Kind: Orders, Quota: 2, Per: time.Hour}), func(t *testing.T, v *venue) {
		v.buy(alice, "BTCUSDT", "over-rest").is(t, 200, 0)
		f := v.feed()
		a := f.ask("order.place", f.order(alice, "over-ws"))
		require.EqualValues(t, 7, a["id"])
		require.EqualValues(t, 200, a["status"], "%v", a)
		require.Equal(t, "over-ws", a["result"].(map[string]any)["clientOrderId"])
		require.EqualValues(t, 4, a["rateLimits"].([]any)[0].(map[string]any)["count"], "two orders, and two for the handshake")
		require.EqualValues(t, 2, a["rateLimits"].([]any)[1].(map[string]any)["count"])

		a = f.ask("order.place", f.order(alice, "too-many"))
		require.EqualValues(t, 429, a["status"])
		failed := a["error"].(map[string]any)
		require.EqualValues(t, -1015, failed["code"])
		data := failed["data"].(map[string]any)
		require.InDelta(t, float64(time.Hour.Milliseconds()), data["retryAfter"].(float64)-data["serverTime"].(float64), 1_000)
		require.EqualValues(t, 200, f.ask("order.place", f.order(bob, "his-own"))["status"])

		v.as(alice, "GET", "/api/v3/order", "symbol=BTCUSDT&origClientOrderId=over-ws").is(t, 200, 0)
	})
}

func TestAFrameIsVerifiedLikeARequest(t *testing.T) {
	inFakeTime(t, two(), func(t *testing.T, v *venue) {
		f := v.feed()
		wrong := f.order(alice, "1")
		wrong["price"] = "9001"
		require.EqualValues(t, -1022, f.ask("order.place", wrong)["error"].(map[string]any)["code"])
		unsigned := f.order(alice, "1")
		delete(unsigned, "signature")
		require.EqualValues(t, -1022, f.ask("order.place", unsigned)["error"].(map[string]any)["code"])
		require.EqualValues(t, 401, f.ask("order.place", map[string]any{"symbol": "BTCUSDT"})["status"])
		require.EqualValues(t, 404, f.ask("no.such", nil)["status"])
		require.NoError(t, f.conn.Write(t.Context(), websocket.MessageText, []byte("{")))
		require.EqualValues(t, -1100, f.receive()["error"].(map[string]any)["code"])
		require.EqualValues(t, 2, v.Report().Accounts[0].Violations[BadSignature])
	})
}

func TestFramesArriveInTheirOrderHoweverLongEachTakes(t *testing.T) {
	c := two()
	c.Delay, _ = ParseDelay("uniform:5ms-50ms")
	c.ReturnDelay = c.Delay
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		f := v.feed()
		start := time.Now()
		for i := range 50 {
			f.send(i, "ping", nil)
		}
		for i := range 50 {
			require.EqualValues(t, i, f.receive()["id"])
		}
		require.LessOrEqual(t, time.Since(start), 100*time.Millisecond, "they travel together")
	})
}

func TestAHandshakeWeighsAndIsRefusedLikeARequest(t *testing.T) {
	inFakeTime(t, two(Limit{Quota: 3, Per: time.Hour}), func(t *testing.T, v *venue) {
		v.feed()
		_, response, err := websocket.Dial(t.Context(), v.listen.URL()+"/ws-api/v3", &websocket.DialOptions{HTTPClient: &v.client})
		require.Error(t, err)
		require.Equal(t, http.StatusTooManyRequests, response.StatusCode)
	})
}

func TestClosingTheExchangeEndsItsWebSockets(t *testing.T) {
	inFakeTime(t, two(), func(t *testing.T, v *venue) {
		f := v.feed()
		require.NoError(t, v.Close())
		_, _, err := f.conn.Read(t.Context())
		require.Error(t, err)
	})
}

func TestAFaultOfAFrameEndsItsConnection(t *testing.T) {
	inFakeTime(t, two(), func(t *testing.T, v *venue) {
		f := v.feed()
		v.mu.Lock()
		v.config.Faults = []Fault{{Kind: FaultCloseAfter, Probability: 1}}
		v.mu.Unlock()
		f.send(1, "order.place", f.order(alice, "placed-and-never-told"))
		_, _, err := f.conn.Read(t.Context())
		require.Error(t, err)
		require.EqualValues(t, 1, v.Report().Orders)
	})
}
