package exchange

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/bench/exchange/memnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// venue is an exchange in a bubble of fake time, and a client of it.
type venue struct {
	*Exchange
	t      *testing.T
	client http.Client
	listen *memnet.Listener
}

// reply is an answer with its body decoded.
type reply struct {
	status int
	header http.Header
	body   map[string]any
	text   string
}

// inFakeTime runs a test against a served exchange in a bubble. The bubble
// starts at midnight UTC on 1 January 2000, the beginning of every window.
func inFakeTime(t *testing.T, c Config, test func(t *testing.T, v *venue)) {
	synctest.Test(t, func(t *testing.T) {
		ex, err := New(c)
		require.NoError(t, err)
		v := &venue{Exchange: ex, t: t, listen: memnet.Listen()}
		transport := &http.Transport{DialContext: v.listen.DialContext}
		v.client.Transport = transport
		go ex.Serve(v.listen)
		defer func() {
			transport.CloseIdleConnections()
			require.NoError(t, ex.Close())
			require.NoError(t, ex.Close(), "closing twice is allowed")
		}()
		test(t, v)
	})
}

func (v *venue) do(method, target, body string, header ...string) (reply, error) {
	req, err := http.NewRequest(method, v.listen.URL()+target, strings.NewReader(body))
	require.NoError(v.t, err)
	if len(header) > 0 {
		req.Header.Set("X-MBX-APIKEY", header[0])
	}
	resp, err := v.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	r := reply{status: resp.StatusCode, header: resp.Header, text: string(text)}
	_ = json.Unmarshal(text, &r.body)
	return r, err
}

func (v *venue) get(target string) reply {
	v.t.Helper()
	r, err := v.do("GET", target, "")
	require.NoError(v.t, err)
	return r
}

// signed sends parameters signed for the demo account at the present time.
func (v *venue) signed(method, path, params string) reply {
	v.t.Helper()
	params = fmt.Sprintf("%s&timestamp=%d", params, v.Now().UnixMilli())
	r, err := v.do(method, path+"?"+params+"&signature="+Sign(DemoSecret, params), "", DemoKey)
	require.NoError(v.t, err)
	return r
}

func (v *venue) order(id string) reply {
	v.t.Helper()
	return v.signed("POST", "/api/v3/order", "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=9000.10&newClientOrderId="+id)
}

func (r reply) is(t *testing.T, status, code int) {
	t.Helper()
	require.Equal(t, status, r.status, r.text)
	if code != 0 {
		require.EqualValues(t, code, r.body["code"], r.text)
		require.NotEmpty(t, r.body["msg"])
	}
}

func one(l Limit) Config { return Config{Limits: []Limit{l}} }
