package exchange

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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

func TestWeightsAreBinances(t *testing.T) {
	inFakeTime(t, Config{}, func(t *testing.T, v *venue) {
		for _, c := range []struct {
			target string
			weight int
		}{
			{"/api/v3/ping", 1}, {"/api/v3/time", 1}, {"/api/v3/exchangeInfo", 20},
			{"/api/v3/ticker/price?symbol=BTCUSDT", 2}, {"/api/v3/ticker/price", 4},
			{"/api/v3/ticker/price?symbols=%5B%22BTCUSDT%22%5D", 4},
			{"/api/v3/depth?symbol=BTCUSDT", 5}, {"/api/v3/depth?symbol=BTCUSDT&limit=101", 25},
			{"/api/v3/depth?symbol=BTCUSDT&limit=501", 50}, {"/api/v3/depth?symbol=BTCUSDT&limit=9999", 250},
		} {
			before := v.Report().Limits[0].Weight
			r := v.get(c.target)
			r.is(t, 200, 0)
			used := v.Report().Limits[0].Weight
			require.EqualValues(t, c.weight, used-before, c.target)
			require.Equal(t, fmt.Sprint(used), r.header.Get("X-MBX-USED-WEIGHT-1M"))
		}
		require.Zero(t, v.Violations())
	})
}

func TestAFixedWindowIsAlignedToTheExchangesClock(t *testing.T) {
	c := one(Limit{Quota: 3, Per: time.Minute})
	c.Skew = 10 * time.Second // its minute begins at our second 50
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		time.Sleep(50*time.Second - 1)
		for range 3 {
			v.get("/api/v3/ping").is(t, 200, 0)
		}
		time.Sleep(time.Nanosecond)
		for range 3 {
			v.get("/api/v3/ping").is(t, 200, 0)
		}
		r := v.get("/api/v3/ping")
		r.is(t, 429, -1003)
		require.Equal(t, "60", r.header.Get("Retry-After"))
		time.Sleep(time.Minute)
		v.get("/api/v3/ping").is(t, 200, 0)

		limit := v.Report().Limits[0]
		require.EqualValues(t, 1, limit.RefusedWeight)
		require.EqualValues(t, 3, limit.Peak)
		require.InDelta(t, 1, limit.PeakFill, 0)
		var weights []int64
		for _, w := range limit.Windows {
			weights = append(weights, w.Weight)
		}
		require.Equal(t, []int64{3, 3, 1}, weights)
		require.EqualValues(t, 1, limit.Windows[1].Overrun)
		require.InDelta(t, 1, limit.Utilisation, 0)
	})
}

func TestASlidingWindowRefusesWhatAFixedOneWouldTake(t *testing.T) {
	inFakeTime(t, one(Limit{Quota: 2, Per: time.Second, Policy: Sliding}), func(t *testing.T, v *venue) {
		time.Sleep(900 * time.Millisecond)
		v.get("/api/v3/ping").is(t, 200, 0)
		v.get("/api/v3/ping").is(t, 200, 0)
		time.Sleep(time.Second - 1)
		v.get("/api/v3/ping").is(t, 429, -1003)
		time.Sleep(time.Second)
		v.get("/api/v3/ping").is(t, 200, 0)
	})
}

func TestGoingOnAfterA429IsBannedForLongerEachTime(t *testing.T) {
	inFakeTime(t, one(Limit{Quota: 1, Per: time.Minute}), func(t *testing.T, v *venue) {
		v.get("/api/v3/ping").is(t, 200, 0)
		v.get("/api/v3/ping").is(t, 429, -1003)
		for _, want := range []string{"120", "240", "360"} {
			r := v.get("/api/v3/ping")
			r.is(t, 418, -1003)
			require.Equal(t, want, r.header.Get("Retry-After"))
		}
		time.Sleep(6*time.Minute - 1)
		r := v.get("/api/v3/ping")
		r.is(t, 418, -1003)
		require.Equal(t, "480", r.header.Get("Retry-After"))
		time.Sleep(8 * time.Minute)
		v.get("/api/v3/ping").is(t, 200, 0)

		report := v.Report()
		require.Equal(t, map[Violation]int64{OverLimit: 1, ToldToWait: 1, WhileBanned: 3}, report.Counts)
		require.EqualValues(t, 5, report.Violations())
		require.EqualValues(t, 4, report.Banned)
		require.Equal(t, map[string]int{"200": 2, "429": 1, "418": 4}, report.Routes[0].Statuses)
	})
}

func TestABanIsNeverLongerThanItsMaximum(t *testing.T) {
	p, ban := penalty{}, Ban{Base: time.Minute, Max: 150 * time.Second}
	for _, want := range []time.Duration{60, 120, 150, 150} {
		require.Equal(t, want*time.Second, p.offend(0, ban))
	}
}

func TestGraceSparesWhatWasOnItsWay(t *testing.T) {
	c := one(Limit{Quota: 1, Per: time.Minute})
	c.Ban.Grace = 50 * time.Millisecond
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		v.get("/api/v3/ping").is(t, 200, 0)
		v.get("/api/v3/ping").is(t, 429, -1003)
		time.Sleep(49 * time.Millisecond)
		v.get("/api/v3/ping").is(t, 429, -1003)
		time.Sleep(time.Millisecond)
		v.get("/api/v3/ping").is(t, 418, -1003)
	})
}

func TestWaitingExactlyAsToldIsPoliteWhateverTheClockDoes(t *testing.T) {
	c := one(Limit{Quota: 1, Per: 10 * time.Second, Policy: Sliding})
	c.DriftPPM = -50_000 // its ten seconds take ours more than ten
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		v.get("/api/v3/ping").is(t, 200, 0)
		for range 3 {
			r := v.get("/api/v3/ping")
			r.is(t, 429, -1003)
			wait, err := time.ParseDuration(r.header.Get("Retry-After") + "s")
			require.NoError(t, err)
			time.Sleep(wait + time.Second)
			v.get("/api/v3/ping").is(t, 200, 0)
		}
		require.Zero(t, v.Report().Banned)
	})
}

func TestChargedRefusalsKeepASlidingWindowFull(t *testing.T) {
	for charge, status := range map[bool]int{false: 200, true: 429} {
		c := one(Limit{Quota: 1, Per: 1500 * time.Millisecond, Policy: Sliding})
		c.ChargeRefused, c.Ban.Grace = charge, time.Hour
		inFakeTime(t, c, func(t *testing.T, v *venue) {
			v.get("/api/v3/ping").is(t, 200, 0)
			v.get("/api/v3/ping").is(t, 429, -1003)
			time.Sleep(1200 * time.Millisecond)
			v.get("/api/v3/ping").is(t, 429, 0)
			time.Sleep(800 * time.Millisecond)
			v.get("/api/v3/ping").is(t, status, 0)
		})
	}
}

func TestClientsAreToldApartByAddress(t *testing.T) {
	inFakeTime(t, one(Limit{Quota: 1, Per: time.Minute}), func(t *testing.T, v *venue) {
		v.get("/api/v3/ping").is(t, 200, 0)
		v.get("/api/v3/ping").is(t, 429, 0)
		v.client.Transport.(*http.Transport).CloseIdleConnections()
		v.client.Transport = &http.Transport{DialContext: v.listen.DialFrom("elsewhere.test"), DisableKeepAlives: true}
		v.get("/api/v3/ping").is(t, 200, 0)
	})
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

func TestHowManyAreAdmittedDoesNotDependOnHowManyCome(t *testing.T) {
	for policy := range policyNames {
		l := Limit{Quota: 500, Per: 1000 * time.Hour, Policy: Policy(policy)}
		ex, err := New(one(l))
		require.NoError(t, err)
		var admitted atomic.Int64
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for range 60 {
					w := httptest.NewRecorder()
					ex.ServeHTTP(w, httptest.NewRequest("GET", "/api/v3/ping", nil))
					if w.Code == http.StatusOK {
						admitted.Add(1)
					}
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 500, admitted.Load(), l)
		r := ex.Report()
		require.EqualValues(t, 16*60, r.Requests)
		require.EqualValues(t, 16*60-500, r.Violations(), "every refused request is one violation")
		require.EqualValues(t, 500, r.Limits[0].Peak)
	}
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
