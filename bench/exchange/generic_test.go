package exchange

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func decimalOf(n int64) string { return strconv.FormatInt(n, 10) }

func mustRoutes(t testing.TB, texts ...string) (list []Route) {
	t.Helper()
	for _, text := range texts {
		r, err := ParseRoute(text)
		require.NoError(t, err)
		list = append(list, r)
	}
	return list
}

// ask sends a request with headers given as name, value, name, value.
func (v *venue) ask(method, target, body string, headers ...string) *http.Response {
	v.t.Helper()
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	v.ServeHTTP(w, req)
	return w.Result()
}

func TestRoutesAreReadAsTheyAreWritten(t *testing.T) {
	require.Equal(t, []Route{
		{Method: "GET", Path: "/v1/items", Weight: 2},
		{Method: "*", Path: "/*", Weight: 1},
		{Method: "POST", Path: "/v1/orders", Weight: 0, Order: true, Keyed: true, ID: "clientOrderId", Status: 201, Type: "text/plain", Body: `{"a":1,"b":"c=d"}`},
		{Method: "PUT", Path: "/x", Weight: 1, Signed: true},
	}, mustRoutes(t, "GET /v1/items=weight 2", "* /*", `POST /v1/orders=weight 0,order,keyed,id clientOrderId,status 201,type text/plain,body {"a":1,"b":"c=d"}`, "PUT /x=signed"))
}

func TestAWrongRouteSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"/v1":                 "want METHOD PATH",
		"get /v1":             "capitals",
		"GET v1":              "begin with /",
		"GET /v1?x":           "have no query",
		"GET /v1=weight x":    "not a whole number",
		"GET /v1=weight":      "wants a value",
		"GET /v1=weight -1":   "below zero",
		"GET /v1=status 99":   "from 200 to 599",
		"GET /v1=keyed yes":   "takes no value",
		"GET /v1=heavy":       "unknown option",
		"GET /v1=weight 1,,x": "unknown option",
	} {
		_, err := ParseRoute(text)
		require.ErrorContains(t, err, want, text)
	}
	_, err := New(Config{Routes: mustRoutes(t, "GET /a", "GET /a=weight 2"), Metrics: "/a"})
	require.ErrorContains(t, err, "is there twice")
	require.ErrorContains(t, err, "is that of a route")
	_, err = New(Config{Metrics: "metrics", KeyHeader: "a b", SequenceHeader: "ä"})
	require.ErrorContains(t, err, "must begin with /")
	require.ErrorContains(t, err, `header "a b"`)
	require.ErrorContains(t, err, `header "ä"`)
}

func FuzzParseRoute(f *testing.F) {
	for _, seed := range []string{"GET /v1/items=weight 2", "* /*=body {},x", "POST /a=order,signed,keyed,id X", "= =", "GET /=type ,"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRoute(text)
		if err != nil {
			return
		}
		require.Empty(t, r.mistakes())
		_, err = New(Config{Routes: []Route{r}})
		require.NoError(t, err)
	})
}

func TestAnyAPIIsLimitedAndAnsweredAsItsRoutesSay(t *testing.T) {
	c := one(Limit{Quota: 10, Per: time.Minute})
	c.Routes = mustRoutes(t, `GET /v1/items=weight 4,type text/csv,body a,b`, "GET /v1/*=weight 0,status 204", "* /v2/*=weight 1")
	c.Weights = map[string]int64{"* /v2/*": 3}
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		r := v.get("/v1/items?page=1&page=2;x")
		r.is(t, 200, 0)
		require.Equal(t, "a,b", r.text)
		require.Equal(t, "text/csv", r.header.Get("Content-Type"))
		v.get("/v1/other").is(t, 204, 0)
		r, err := v.do("PATCH", "/v2/anything", `{"not":"a form","%zz":1}`)
		require.NoError(t, err)
		r.is(t, 200, 0)
		require.Equal(t, "{}", r.text)
		require.Equal(t, "application/json;charset=UTF-8", r.header.Get("Content-Type"))
		v.get("/v1/items").is(t, 429, -1003)
		v.get("/v3/nothing").is(t, 418, -1003)
		report := v.Report()
		require.EqualValues(t, 7, report.Limits[0].Weight)
		require.Equal(t, 0.7, report.Limits[0].Windows[0].Share)
		require.Equal(t, "* /v2/*", report.Routes[0].Route)
		require.EqualValues(t, 3, report.Routes[0].Weight)
		require.Equal(t, "2 violations in 1 windows, used 70.0 % of the allowance", report.Headline())
		text, err := json.Marshal(report)
		require.NoError(t, err)
		var told map[string]any
		require.NoError(t, json.Unmarshal(text, &told))
		require.Equal(t, report.Headline(), told["headline"])
		require.EqualValues(t, 2, told["violations"])
		require.EqualValues(t, 1, told["sent_while_told_to_wait"])
	})
}

func TestAccountsOfAnyAPIAreKnownByAHeaderOfAnyName(t *testing.T) {
	c := Config{
		Accounts:  []Account{{Name: "a", Key: "ka", Secret: "s"}, {Name: "b", Key: "kb", Secret: "s"}, {Name: "c", Key: "kc", Secret: "s"}},
		Limits:    []Limit{{Kind: AccountWeight, Quota: 6, Per: time.Minute}, {Kind: Orders, Quota: 1, Per: time.Minute}},
		Routes:    mustRoutes(t, "GET /mine=weight 3,keyed", "POST /order=weight 0,order", "GET /all", "GET /sealed=weight 3,signed"),
		KeyHeader: "Authorization",
	}
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		status := func(method, target, key string) int {
			return v.ask(method, target, "", "Authorization", key).StatusCode
		}
		require.Equal(t, 200, status("GET", "/mine", "Bearer ka"))
		require.Equal(t, 200, status("GET", "/mine", "ka"))
		require.Equal(t, 429, status("GET", "/mine", "ka"), "six of weight are spent")
		require.Equal(t, 200, status("GET", "/mine", "kb"), "of a alone")
		require.Equal(t, 200, status("POST", "/order", "kb"))
		require.Equal(t, 429, status("POST", "/order", "kb"))
		require.Equal(t, 401, status("GET", "/mine", ""))
		require.Equal(t, 401, status("POST", "/order", "who"))
		require.Equal(t, 200, status("GET", "/all", "kb"))
		require.Equal(t, 200, status("GET", "/all", ""))
		params := "timestamp=" + decimalOf(v.Now().UnixMilli())
		require.Equal(t, 200, status("GET", "/sealed?"+params+"&signature="+Sign("s", params), "kc"))
		require.Equal(t, 400, status("GET", "/sealed?"+params+"&signature=00", "kc"))
		r := v.Report()
		require.EqualValues(t, []int64{2, 3, 1}, []int64{r.Accounts[0].Executed, r.Accounts[1].Executed, r.Accounts[2].Executed})
		require.InDelta(t, 36.0/(3*14), r.Fairness, 1e-9)
		require.Contains(t, r.String(), "fairness among accounts: 0.857")
	})
}

func TestAnIDThatWasAnsweredIsNotToComeAgain(t *testing.T) {
	c := Config{Routes: mustRoutes(t, "POST /order=id client_oid,body done", "POST /pay", "GET /look=id client_oid")}
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		for _, again := range []struct{ method, target, body string }{
			{"POST", "/order?client_oid=1", ""}, {"POST", "/order", `{"client_oid":"2"}`}, {"POST", "/order", `{"client_oid":3}`},
		} {
			before := v.Violations()
			require.Equal(t, 200, v.ask(again.method, again.target, again.body).StatusCode)
			require.Equal(t, before, v.Violations())
			require.Equal(t, 200, v.ask(again.method, again.target, again.body).StatusCode, "answered as the first time")
			require.Equal(t, before+1, v.Violations(), again)
		}
		v.ask("POST", "/pay", "", "Idempotency-Key", "1")
		v.ask("GET", "/look?client_oid=1", "")
		v.ask("GET", "/look?client_oid=1", "")
		v.ask("POST", "/order", "no id")
		v.ask("POST", "/order", "no id")
		require.EqualValues(t, 3, v.Report().Counts[DuplicateID], "ids are those of a route, and of what changes something")

		v.mu.Lock()
		v.config.Faults = []Fault{{Kind: FaultStatusAfter, Status: 500, Probability: 1}}
		v.mu.Unlock()
		for range 3 {
			require.Equal(t, 500, v.ask("POST", "/pay", "", "Idempotency-Key", "2").StatusCode)
		}
		r := v.Report()
		require.EqualValues(t, 3, r.Counts[DuplicateID], "who was not told may ask again")
		require.Equal(t, Outcomes{Unknown: 3, Repeated: 2}, r.Outcomes)
	})
}

// An answer that was cut, or whose client had gone, was none.
func TestAnIDWhoseAnswerWasNotDeliveredMayComeAgain(t *testing.T) {
	for fault, hidden := range map[string]bool{"truncate": true, "half-close": true, "long-length": true, "slow": true, "short-length": false} {
		c := always(t, fault)
		c.Routes, c.SlowBody = mustRoutes(t, "POST /order=id client_oid,body 0123456789012345678901234567890123456789"), 5*time.Second
		inFakeTime(t, c, func(t *testing.T, v *venue) {
			v.client.Timeout = time.Second
			for range 2 {
				_, _ = v.do("POST", "/order?client_oid=1", "")
				time.Sleep(2 * time.Minute) // nothing is held any more
			}
			r := v.Report()
			if hidden {
				require.Zero(t, v.Violations(), fault)
				require.Equal(t, Outcomes{Unknown: 2, Repeated: 1}, r.Outcomes, fault)
			} else {
				require.EqualValues(t, 1, r.Counts[DuplicateID], fault)
				require.Zero(t, r.Outcomes, fault)
			}
		})
	}
}

func TestASlowAnswerThatIsReadToItsEndIsOne(t *testing.T) {
	c := always(t, "slow")
	c.Routes, c.SlowBody = mustRoutes(t, "POST /order=id client_oid,body done"), 5*time.Second
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		for range 2 {
			_, err := v.do("POST", "/order?client_oid=1", "")
			require.NoError(t, err)
		}
		require.EqualValues(t, 1, v.Report().Counts[DuplicateID])
		require.Zero(t, v.Report().Outcomes)
	})
}

func TestAClientThatWentBeforeItsAnswerMaySendItAgain(t *testing.T) {
	c := Config{Routes: mustRoutes(t, "POST /order=id client_oid,body done"), ReturnDelay: mustDelay(t, "2s")}
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		v.client.Timeout = time.Second
		_, err := v.do("POST", "/order?client_oid=1", "")
		require.Error(t, err)
		v.client.Timeout = 0
		_, err = v.do("POST", "/order?client_oid=1", "") // while the first answer is on its way
		require.NoError(t, err)
		require.Zero(t, v.Violations())
		require.Equal(t, Outcomes{Unknown: 1, Repeated: 1}, v.Report().Outcomes)
		_, err = v.do("POST", "/order?client_oid=1", "")
		require.NoError(t, err)
		require.EqualValues(t, 1, v.Report().Counts[DuplicateID], "now it was told")
		require.Empty(t, v.outcomes.open)
	})
}

func TestAClientThatDoesNotWaitForItsAnswerIsADuplicateOnceThatCame(t *testing.T) {
	c := Config{Routes: mustRoutes(t, "POST /order=id client_oid,body done"), ReturnDelay: mustDelay(t, "2s")}
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		var all sync.WaitGroup
		for i := range 3 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				_, err := v.do("POST", "/order?client_oid=1", "")
				require.NoError(t, err)
			})
		}
		all.Wait()
		require.EqualValues(t, 2, v.Report().Counts[DuplicateID])
		require.Zero(t, v.Report().Outcomes)
	})
}

func TestOldIDsAreForgottenInTheOrderTheyCame(t *testing.T) {
	const kept = 100
	o := newOutcomes()
	o.most = kept
	c := &call{client: "x"}
	for i := range 10*kept + 2 {
		o.executed(c, "", decimalOf(int64(i)))
		c.effects = c.effects[:0]
	}
	require.Len(t, o.known, kept)
	require.False(t, o.repeated(c, "", decimalOf(9*kept+1)))
	require.True(t, o.repeated(c, "", decimalOf(9*kept+2)))
}

func TestTheOrderOfNumberedRequestsIsFollowedByKeyAndPriority(t *testing.T) {
	inFakeTime(t, Config{Routes: mustRoutes(t, "* /*")}, func(t *testing.T, v *venue) {
		for _, number := range []string{"BTC:1", "BTC:2", "BTC:4", "BTC:3", "BTC:4", "BTC:8", "ETH:7", "BTC:8", "nonsense", "-1"} {
			v.ask("GET", "/", "", "X-Sequence", number)
		}
		v.ask("GET", "/", "", "X-Sequence", "BTC:0", "X-Priority", "high")
		require.Equal(t, []SequenceReport{
			{Of: "192.0.2.1", Key: "BTC", Requests: 7, Late: 1, Repeated: 2, Missing: 3},
			{Of: "192.0.2.1", Key: "BTC", Priority: "high", Requests: 1},
			{Of: "192.0.2.1", Key: "ETH", Requests: 1},
		}, v.Report().Sequences)
		require.Regexp(t, `192\.0\.2\.1 +BTC +7 +1 +2 +3\n`, v.Report().String())
		require.Zero(t, v.Violations(), "connections may overtake one another")
	})
}

func TestASequenceInOrderIsWholeAndKeysAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s sequences
		first, n := rapid.Uint64Range(0, math.MaxUint64-100).Draw(t, "first"), rapid.Uint64Range(1, 99).Draw(t, "n")
		dropped := int64(0)
		for i := range n {
			if i > 0 && i+1 < n && rapid.Bool().Draw(t, "drop") {
				dropped++
				continue
			}
			s.executed(lane{}, first+i)
		}
		require.Equal(t, []SequenceReport{{Requests: int64(n) - dropped, Missing: dropped}}, s.report())
	})
	var s sequences
	for i := range keptSequences + 5 {
		s.executed(lane{key: decimalOf(int64(i))}, 1)
	}
	require.Len(t, s.report(), keptSequences)
	require.EqualValues(t, 5, s.other)
}

func TestJainsIndexIsOneForTheEvenAndOneNthForTheGreedy(t *testing.T) {
	require.Equal(t, 1.0, JainIndex(nil))
	require.Equal(t, 1.0, JainIndex([]int64{0, 0}))
	require.Equal(t, 0.25, JainIndex([]int64{0, 7, 0, 0}))
	rapid.Check(t, func(t *rapid.T) {
		shares := rapid.SliceOfN(rapid.Int64Range(0, 1<<40), 1, 20).Draw(t, "shares")
		index := JainIndex(shares)
		require.GreaterOrEqual(t, index, 1/float64(len(shares))-1e-9)
		require.LessOrEqual(t, index, 1+1e-9)
	})
}

func TestMetricsAreThoseOfTheReportAndCountForNothing(t *testing.T) {
	c := one(Limit{Quota: 2, Per: time.Minute})
	c.Metrics = "/metrics"
	c.Accounts = []Account{{Name: "a \"quoted\"\n\\name", Key: "k", Secret: "hush"}}
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		v.get("/api/v3/ping").is(t, 200, 0)
		v.get("/api/v3/ping").is(t, 200, 0)
		v.get("/api/v3/ping").is(t, 429, 0)
		v.get("/api/v3/ping").is(t, 418, 0)
		text := v.get("/metrics").text
		require.EqualValues(t, 4, v.Requests())
		for _, want := range []string{
			`sluice_exchange_requests_total{route="GET /api/v3/ping",status="200"} 2`,
			`sluice_exchange_violations_total{kind="over limit"} 1`,
			`sluice_exchange_violations_total{kind="told to wait"} 1`,
			`sluice_exchange_violations_total{kind="duplicate id"} 0`,
			`sluice_exchange_waits_broken_total 1`,
			`sluice_exchange_banned_total 1`,
			`sluice_exchange_limit_utilisation{limit="weight=2/1m,fixed",of="127.0.0.1"} 1`,
			`sluice_exchange_limit_window_share{limit="weight=2/1m,fixed",of="127.0.0.1"} 1`,
			`sluice_exchange_account_executed_total{account="a \"quoted\"\n\\name"} 0`,
			`sluice_exchange_fairness 1`,
			"# TYPE sluice_exchange_limit_quota gauge\n",
		} {
			require.Contains(t, strings.ReplaceAll(text, v.Report().Limits[0].Scope, "127.0.0.1"), want)
		}
		require.NotContains(t, text, "hush")
		wellFormed(t, text)
	})
}

// wellFormed reads a text as Prometheus does: each line is a comment or a sample, each name has
// its type before its samples, and no sample comes twice.
func wellFormed(t *testing.T, text string) {
	t.Helper()
	sample := regexp.MustCompile(`^([a-z_]+)((?:\{(?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)+\})?) ([-+0-9.eInf]+)$`)
	types, seen := map[string]bool{}, map[string]bool{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		var name, kind string
		if n, _ := fmt.Sscanf(line, "# TYPE %s %s", &name, &kind); n == 2 {
			require.False(t, types[name], line)
			types[name] = true
			continue
		}
		if strings.HasPrefix(line, "# HELP ") {
			continue
		}
		parts := sample.FindStringSubmatch(line)
		require.NotNil(t, parts, line)
		require.True(t, types[parts[1]], line)
		require.False(t, seen[parts[1]+parts[2]], line)
		seen[parts[1]+parts[2]] = true
	}
}

func FuzzMetricsOfAnyNameAreWellFormed(f *testing.F) {
	f.Add("GET /", "x")
	f.Add("\"\\\n}", "\xff{=,")
	f.Fuzz(func(t *testing.T, route, scope string) {
		r := Report{
			Routes: []RouteReport{{Route: route, Statuses: map[string]int{scope: 1}}},
			Limits: []LimitReport{{Limit: scope, Scope: route, Utilisation: math.Inf(1)}},
		}
		if !strings.ContainsAny(route+scope, "\r\v\f\u0085\u2028\u2029") { // the reader above splits there, Prometheus does not
			wellFormed(t, string(r.metrics()))
		}
	})
}
