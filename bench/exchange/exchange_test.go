package exchange

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEveryMistakeIsReportedAtOnce(t *testing.T) {
	_, err := New(Config{
		Accounts: []Account{{Key: "k", Secret: "hush"}, {Key: "k", Secret: "hush"}, {}},
		Limits:   []Limit{{Quota: 0, Per: time.Second}, {Quota: 1, Per: time.Minute}, {Quota: 2, Per: time.Minute}},
		Weights:  map[string]int64{"GET /nowhere": 1, "GET /api/v3/time": -1},
		Symbols:  []Symbol{{Name: "A", Price: -1}},
		DriftPPM: 1e9, Skew: 1 << 62, Ban: Ban{Base: time.Hour, Max: time.Minute, Grace: -1},
		Faults: []Fault{{Probability: 2, Status: 503}, {Kind: 99, Probability: 0.1}},
	})
	for _, want := range []string{
		"there twice", "account 2: key and secret", "a quota of 0", "there is another", `unknown route "GET /nowhere"`,
		"below zero", `symbol "A"`, "drift of", "skew of", "ban: want", "grace", "probability must be", "unknown kind",
	} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "hush")
}

func TestTheClockIsSkewedOnDemand(t *testing.T) {
	inFakeTime(t, Config{Skew: 2 * time.Second, DriftPPM: 100}, func(t *testing.T, v *venue) {
		ahead := func() float64 {
			r := v.get("/api/v3/time")
			return r.body["serverTime"].(float64) - float64(time.Now().UnixMilli())
		}
		require.InDelta(t, 2000, ahead(), 0)
		time.Sleep(10_000 * time.Second)
		require.InDelta(t, 3000, ahead(), 0)
		v.SetSkew(-5 * time.Second)
		require.InDelta(t, -5000, ahead(), 0)
		v.SetDrift(-200)
		time.Sleep(10_000 * time.Second)
		require.InDelta(t, -7000, ahead(), 0)

		date, err := http.ParseTime(v.get("/api/v3/ping").header.Get("Date"))
		require.NoError(t, err)
		require.Equal(t, v.Now().Truncate(time.Second), date, "the Date header tells the exchange's time")
	})
}

func TestDelaysLieBeforeAndAfterTheArrival(t *testing.T) {
	c := Config{Delay: mustDelay(t, "30ms"), ReturnDelay: mustDelay(t, "50ms")}
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		sent := time.Now()
		r := v.get("/api/v3/time")
		require.Equal(t, 80*time.Millisecond, time.Since(sent))
		require.EqualValues(t, sent.UnixMilli()+30, r.body["serverTime"])
	})
}

func TestARequestArrivesThoughItsClientHasLeft(t *testing.T) {
	inFakeTime(t, Config{Delay: mustDelay(t, "1s")}, func(t *testing.T, v *venue) {
		v.client.Timeout = 100 * time.Millisecond
		_, err := v.do("GET", "/api/v3/ping", "")
		require.Error(t, err)
		require.Zero(t, v.Requests())
		time.Sleep(time.Second)
		require.EqualValues(t, 1, v.Requests())
	})
}

func TestCloseDoesNotWaitForDelays(t *testing.T) {
	inFakeTime(t, Config{Delay: mustDelay(t, "1h")}, func(t *testing.T, v *venue) {
		failed := make(chan error)
		go func() { _, err := v.do("GET", "/api/v3/ping", ""); failed <- err }()
		synctest.Wait()
		start := time.Now()
		require.NoError(t, v.Close())
		require.Error(t, <-failed)
		require.Zero(t, time.Since(start))
	})
}

func TestInjectedFaultsSpoilTheAnswer(t *testing.T) {
	for text, check := range map[string]func(*testing.T, *venue){
		"503:1": func(t *testing.T, v *venue) {
			v.order("a").is(t, 503, -1000)
			require.Zero(t, v.Report().Orders)
		},
		"after-504:1": func(t *testing.T, v *venue) {
			v.order("a").is(t, 504, -1000)
			require.EqualValues(t, 1, v.Report().Orders)
		},
		"close:1": func(t *testing.T, v *venue) {
			_, err := v.do("POST", "/api/v3/order", "x")
			require.Error(t, err)
			require.Equal(t, map[string]int{"none": 1}, v.Report().Routes[0].Statuses)
		},
		"truncate:1": func(t *testing.T, v *venue) {
			r, err := v.do("GET", "/api/v3/time", "")
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.Equal(t, 200, r.status)
			require.Equal(t, `{"serverTime"`, r.text[:13])
		},
	} {
		faults, err := ParseFaults(text)
		require.NoError(t, err)
		inFakeTime(t, Config{Faults: faults}, func(t *testing.T, v *venue) {
			check(t, v)
			require.Len(t, v.Report().Faults, 1, text)
			require.EqualValues(t, 1, v.Report().Limits[0].Weight, "a spoiled request is charged")
		})
	}
}

func TestAnUnknownEndpointIsCountedAndRefused(t *testing.T) {
	inFakeTime(t, Config{}, func(t *testing.T, v *venue) {
		v.get("/api/v9/nothing").is(t, 404, -1000)
		require.Equal(t, "unknown", v.Report().Routes[0].Route)
	})
}

func TestExchangeInfoTellsTheLimits(t *testing.T) {
	inFakeTime(t, Config{}, func(t *testing.T, v *venue) {
		r := v.get("/api/v3/exchangeInfo")
		limits, err := json.Marshal(r.body["rateLimits"])
		require.NoError(t, err)
		require.JSONEq(t, `[
			{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000},
			{"rateLimitType":"RAW_REQUESTS","interval":"MINUTE","intervalNum":5,"limit":300000},
			{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":100},
			{"rateLimitType":"ORDERS","interval":"DAY","intervalNum":1,"limit":200000}]`, string(limits))
	})
}

func TestTheReportIsReadableAndRoundTripsThroughJSON(t *testing.T) {
	inFakeTime(t, one(Limit{Quota: 1, Per: time.Minute}), func(t *testing.T, v *venue) {
		v.get("/api/v3/ping")
		v.get("/api/v3/ping")
		r := v.Report()
		require.Contains(t, r.String(), "weight=1/1m,fixed")
		require.True(t, strings.HasSuffix(r.String(), "violations: 1\n"))
		require.NotContains(t, r.String(), DemoSecret)
		text, err := json.Marshal(r)
		require.NoError(t, err)
		var again Report
		require.NoError(t, json.Unmarshal(text, &again))
		require.Equal(t, r.Limits, again.Limits)
		require.EqualValues(t, 1, again.Violations())
	})
}

func TestItServesOnARealSocketToo(t *testing.T) {
	ex, err := New(Config{})
	require.NoError(t, err)
	url, err := ex.Start("127.0.0.1:0")
	require.NoError(t, err)
	transport := &http.Transport{}
	resp, err := (&http.Client{Transport: transport}).Get(url + "/api/v3/ping")
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, 200, resp.StatusCode)
	transport.CloseIdleConnections()
	require.NoError(t, ex.Close())
	_, err = ex.Start("127.0.0.1:0")
	require.ErrorIs(t, err, http.ErrServerClosed)
}

func TestTheSameSeedBringsTheSameFaultsAndDelays(t *testing.T) {
	statuses := func(seed uint64) (got []int) {
		faults, err := ParseFaults("503:0.3,after-500:0.2")
		require.NoError(t, err)
		inFakeTime(t, Config{Faults: faults, Seed: seed, Delay: mustDelay(t, "exp:5ms")}, func(t *testing.T, v *venue) {
			for range 40 {
				sent := time.Now()
				got = append(got, v.get("/api/v3/ping").status, int(time.Since(sent)))
			}
		})
		return got
	}
	require.Equal(t, statuses(7), statuses(7))
	require.NotEqual(t, statuses(7), statuses(8))
}

func TestHeaderNamesAreSpeltAsBinanceSpellsThem(t *testing.T) {
	inFakeTime(t, Config{}, func(t *testing.T, v *venue) {
		c, err := v.listen.Dial()
		require.NoError(t, err)
		_, err = c.Write([]byte("GET /api/v3/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
		require.NoError(t, err)
		answer, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Contains(t, string(answer), "\r\nX-MBX-USED-WEIGHT-1M: 1\r\n")
		require.NoError(t, c.Close())
	})
}

func TestAHugeBodyIsRefused(t *testing.T) {
	inFakeTime(t, Config{}, func(t *testing.T, v *venue) {
		r, err := v.do("POST", "/api/v3/order", strings.Repeat("x", maxBody+1))
		require.NoError(t, err)
		r.is(t, 413, -1000)
	})
}

func TestSecretsAreNotPrinted(t *testing.T) {
	c := Config{Accounts: []Account{{Key: "abcdefghijkl", Secret: "hush"}}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		text := fmt.Sprintf(verb, c)
		require.NotContains(t, text, "hush", verb)
		require.NotContains(t, text, "abcdefghijkl", verb)
	}
}

func TestADepthHasAsManyLevelsAsAskedAndIsNotCrossed(t *testing.T) {
	inFakeTime(t, Config{}, func(t *testing.T, v *venue) {
		r := v.get("/api/v3/depth?symbol=LTCBTC&limit=5000")
		bids, asks := r.body["bids"].([]any), r.body["asks"].([]any)
		require.Len(t, bids, 5000)
		require.Len(t, asks, 5000)
		require.Equal(t, "0.00149999", bids[0].([]any)[0], "%.80s", r.text)
		require.Equal(t, "0.00150002", asks[0].([]any)[0])
		v.get("/api/v3/depth?symbol=LTCBTC&limit=x").is(t, 400, -1100)
		v.get("/api/v3/depth?symbol=NONE").is(t, 400, -1121)
	})
}
