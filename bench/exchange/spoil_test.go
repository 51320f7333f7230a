package exchange

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// always is a configuration in which every answer has one fault.
func always(t *testing.T, fault string) Config {
	t.Helper()
	faults, err := ParseFaults(fault + ":100%")
	require.NoError(t, err)
	return Config{Faults: faults}
}

func TestAResetIsAResetAndSaysNothingOfTheOutcome(t *testing.T) {
	for fault, orders := range map[string]int64{"reset": 0, "after-reset": 1} {
		ex, err := New(always(t, fault))
		require.NoError(t, err)
		url, err := ex.Start("127.0.0.1:0")
		require.NoError(t, err)
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		require.NoError(t, err)
		params := "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1&newClientOrderId=a&timestamp=" + decimalOf(ex.Now().UnixMilli())
		_, err = io.WriteString(conn, "POST /api/v3/order?"+params+"&signature="+Sign(DemoSecret, params)+
			" HTTP/1.1\r\nHost: x\r\nX-MBX-APIKEY: "+DemoKey+"\r\nContent-Length: 0\r\n\r\n")
		require.NoError(t, err)
		_, err = io.ReadAll(conn)
		require.ErrorIs(t, err, syscall.ECONNRESET)
		require.NoError(t, conn.Close())
		require.NoError(t, ex.Close())
		require.Equal(t, orders, ex.Report().Orders, fault)
		require.Equal(t, orders, ex.Report().Outcomes.Unknown, fault)
	}
}

func TestAHalfClosedConnectionStillReads(t *testing.T) {
	inFakeTime(t, always(t, "half-close"), func(t *testing.T, v *venue) {
		r, err := v.do("GET", "/api/v3/time", "")
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Equal(t, 200, r.status)
		require.Equal(t, `{"serverTime"`, r.text[:13])

		conn, err := v.listen.Dial()
		require.NoError(t, err)
		_, err = io.WriteString(conn, "GET /api/v3/time HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		_, err = io.ReadAll(conn)
		require.NoError(t, err, "its side has ended")
		_, err = io.WriteString(conn, "more")
		require.NoError(t, err, "ours has not")
		require.NoError(t, conn.Close())
	})
}

func TestASlowBodyTakesItsTime(t *testing.T) {
	c := always(t, "slow")
	c.SlowBody = 20 * time.Second
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		sent := time.Now()
		v.get("/api/v3/time").is(t, 200, 0)
		require.Equal(t, 20*time.Second, time.Since(sent))
		c.Routes = nil
		failed := make(chan error)
		go func() { _, err := v.do("GET", "/api/v3/time", ""); failed <- err }()
		synctest.Wait()
		sent = time.Now()
		require.NoError(t, v.Close(), "it does not wait for a slow body")
		require.Error(t, <-failed)
		require.Zero(t, time.Since(sent))
	})
}

func TestWrongLengthsMisleadTheClient(t *testing.T) {
	inFakeTime(t, always(t, "short-length"), func(t *testing.T, v *venue) {
		conn, err := v.listen.Dial()
		require.NoError(t, err)
		_, err = io.WriteString(conn, "GET /api/v3/time HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		reader := bufio.NewReader(conn)
		answer, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err, "the answer looks whole")
		require.NotContains(t, string(body), "}")
		rest, err := reader.Peek(wrongBy)
		require.NoError(t, err)
		require.Equal(t, "}", string(rest[wrongBy-1:]), "the end is in the way of the next answer")
		require.NoError(t, conn.Close())
	})
	inFakeTime(t, always(t, "long-length"), func(t *testing.T, v *venue) {
		v.client.Timeout = 3 * time.Second
		sent := time.Now()
		r, err := v.do("GET", "/api/v3/time", "")
		require.Error(t, err, "what is announced does not come")
		require.Equal(t, 200, r.status)
		require.Equal(t, 3*time.Second, time.Since(sent))
	})
	inFakeTime(t, always(t, "long-length"), func(t *testing.T, v *venue) {
		sent := time.Now()
		_, err := v.do("GET", "/api/v3/time", "")
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Equal(t, holding, time.Since(sent), "nobody waits for ever")
	})
}

func TestWhatWasExecutedAndNotAnsweredIsFollowed(t *testing.T) {
	inFakeTime(t, Config{}, func(t *testing.T, v *venue) {
		hide := func(share float64) {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.config.Faults = nil
			if share > 0 {
				v.config.Faults = []Fault{{Kind: FaultStatusAfter, Status: 504, Probability: share}}
			}
		}
		hide(1)
		for _, id := range []string{"asked", "listed", "repeated", "left"} {
			v.order(id).is(t, 504, -1000)
		}
		v.get("/api/v3/time").is(t, 504, -1000) // of no consequence
		hide(0)
		v.order("told").is(t, 200, 0)
		require.Equal(t, Outcomes{Unknown: 4}, v.Report().Outcomes)
		v.signed("GET", "/api/v3/order", "symbol=BTCUSDT&origClientOrderId=asked").is(t, 200, 0)
		v.signed("GET", "/api/v3/order", "symbol=BTCUSDT&origClientOrderId=asked").is(t, 200, 0)
		v.signed("GET", "/api/v3/order", "symbol=BTCUSDT&origClientOrderId=told").is(t, 200, 0)
		require.Equal(t, Outcomes{Unknown: 4, Asked: 1}, v.Report().Outcomes)
		v.order("repeated").is(t, 400, -2010)
		v.order("told").is(t, 400, -2010)
		require.Equal(t, Outcomes{Unknown: 4, Asked: 1, Repeated: 1}, v.Report().Outcomes)
		v.signed("GET", "/api/v3/openOrders", "symbol=BTCUSDT")
		require.Equal(t, Outcomes{Unknown: 4, Asked: 3, Repeated: 1}, v.Report().Outcomes, "a list tells of listed and left")
		require.EqualValues(t, 2, v.Report().Counts[DuplicateOrder])
		require.Contains(t, v.Report().String(), "executed and not answered: 4; of them looked up afterwards: 3, sent again: 1")
	})
}
