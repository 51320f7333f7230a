package panels

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/bench/results"
)

// Invariant: points of a run that goes on are exact sums too, however late its answers come and
// however often stretches were put together.
func TestLivePointsAreExactSumsOfAllIntervals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		live, series := NewLive(results.Header{}), anyIntervals(t)
		far := rapid.SampledFrom([]int{1, 7, 40, 900}).Draw(t, "far")
		for i := range series {
			series[i].Second *= far
		}
		for _, at := range rapid.Permutation(indexes(len(series))).Draw(t, "order") {
			require.NoError(t, live.Add(series[at]))
			if at%5 == 0 { // somebody looks in between
				_, err := live.look()
				require.NoError(t, err)
			}
		}
		require.LessOrEqual(t, len(live.slots), mostLivePoints)
		var offered, all float64
		for i := range live.slots {
			p := live.slots[i].look(float64(live.step))
			slowly(t, series, p)
			offered += p.offered
		}
		for _, in := range series {
			all += float64(in.Offered)
		}
		require.Equal(t, all, offered)
	})
}

func indexes(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func TestADayIsRememberedInLittleMemory(t *testing.T) {
	live := NewLive(usual().header())
	in := usual().run().Series[40]
	before := heap()
	for second := 0; second < 86_400; second += 10 {
		in.Second = second
		require.NoError(t, live.Add(in))
	}
	d, err := live.look()
	require.NoError(t, err)
	event, err := d.event("message", "")
	require.NoError(t, err)
	grown := heap() - before
	t.Logf("%d slots of %d s, %d bytes more, a picture of %d bytes", len(live.slots), live.step, grown, len(event))
	require.LessOrEqual(t, len(live.slots), mostLivePoints)
	require.Less(t, grown, int64(24<<20))
	require.Less(t, len(event), 400_000)
	require.Equal(t, 8640*in.Operations["GET /price"].Count, live.total["GET /price"].Count)
	runtime.KeepAlive(live)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestASecondThatCannotBeIsRefused(t *testing.T) {
	live := NewLive(results.Header{})
	require.Error(t, live.Add(results.Interval{Second: -1}))
	require.Error(t, live.Add(results.Interval{Second: 1 << 40}))
	require.NoError(t, live.Add(results.Interval{Second: farthest, Operations: map[string]*results.Operation{"a": nil}}))
	require.LessOrEqual(t, len(live.slots), mostLivePoints)
}

func TestALineOfAFileOfResultsFeedsThePage(t *testing.T) {
	live, run := NewLive(usual().header()), usual().run()
	var file bytes.Buffer
	w, err := results.NewWriter(io.MultiWriter(&file, live), run.Header)
	require.NoError(t, err)
	for _, in := range run.Series {
		require.NoError(t, w.Add(in))
	}
	require.NoError(t, w.End(run.End))
	n, err := live.Write([]byte("{torn\n"))
	require.NoError(t, err)
	require.Equal(t, 6, n)
	read, err := results.Read(&file)
	require.NoError(t, err)
	d, err := live.look()
	require.NoError(t, err)
	whole, err := newDocument([]*results.Run{read})
	require.NoError(t, err)
	require.Equal(t, len(whole.charts), len(d.charts))
	for i, c := range whole.charts {
		mine, err := json.Marshal(c)
		require.NoError(t, err)
		theirs, err := json.Marshal(d.charts[i])
		require.NoError(t, err)
		require.Equal(t, string(mine), string(theirs), c.ID)
	}
}

func ask(t *testing.T, h http.Handler, method, target, host string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	r.Host = host
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestThePageIsShownToThoseWhoAskThisMachineAndOnlyLookedAt(t *testing.T) {
	live := NewLive(usual().header(), "bench.example")
	for _, c := range []struct {
		method, target, host string
		headers              []string
		status               int
	}{
		{"GET", "/", "127.0.0.1:8080", nil, 200},
		{"HEAD", "/", "localhost", nil, 200},
		{"GET", "/", "[::1]:8080", nil, 200},
		{"GET", "/", "app.localhost.:1", nil, 200},
		{"GET", "/", "Bench.Example:8080", nil, 200},
		{"GET", "/", "rebound.evil.test:8080", nil, 421},
		{"GET", "/?format=events", "rebound.evil.test", nil, 421},
		{"GET", "/", "", nil, 421},
		{"GET", "/", "localhost.evil.test", nil, 421},
		{"GET", "/", "127.0.0.1:8080", []string{"Origin", "http://evil.test"}, 403},
		{"GET", "/", "127.0.0.1:8080", []string{"Origin", "null"}, 403},
		{"GET", "/", "127.0.0.1:8080", []string{"Origin", "http://127.0.0.1:8080"}, 200},
		{"GET", "/?format=events", "127.0.0.1:8080", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, 403},
		{"GET", "/", "127.0.0.1:8080", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, 200},
		{"POST", "/", "127.0.0.1", nil, 405},
		{"DELETE", "/?format=events", "127.0.0.1", nil, 405},
		{"GET", "/other", "127.0.0.1", nil, 404},
		{"GET", "/?format=json", "127.0.0.1", nil, 404},
		{"HEAD", "/?format=events", "127.0.0.1", nil, 200},
	} {
		w := ask(t, live, c.method, c.target, c.host, c.headers...)
		require.Equal(t, c.status, w.Code, "%v", c)
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		require.Equal(t, "DENY", w.Header().Get("X-Frame-Options"))
		require.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'")
		require.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
	}
	require.Empty(t, live.viewers)
}

func TestWhoAsksInALoopTakesNothingFromTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live := NewLive(usual().header())
		first := ask(t, live, "GET", "/", "localhost").Body.String()
		in := usual().run().Series[40]
		require.NoError(t, live.Add(in))
		require.Equal(t, first, ask(t, live, "GET", "/", "localhost").Body.String(), "within a second it is drawn once")
		time.Sleep(every)
		require.Contains(t, ask(t, live, "GET", "/", "localhost").Body.String(), "half were answered within")
		require.NotContains(t, first, "half were answered within")
	})
}

func FuzzLiveWrite(f *testing.F) {
	var file bytes.Buffer
	m := usual()
	m.seconds, m.names = 2, m.names[:1]
	run := m.run()
	w, err := results.NewWriter(&file, run.Header)
	require.NoError(f, err)
	require.NoError(f, w.Add(run.Series[0]))
	f.Add(file.Bytes())
	f.Add([]byte(`{"interval":{"s":-5,"ops":{"":null}}}`))
	f.Add([]byte(`{"interval":{"s":31536000,"phase":"main","gauges":{"limits":[{"id":"x","used":-9223372036854775808,"quota":0}]},"ops":{"a":{"n":3,"errors":{"x":5},"statuses":{"429":1}}}}}`))
	f.Fuzz(func(t *testing.T, lines []byte) {
		live := NewLive(results.Header{})
		n, err := live.Write(lines)
		require.NoError(t, err)
		require.Equal(t, len(lines), n)
		require.LessOrEqual(t, len(live.slots), mostLivePoints)
		d, err := live.look()
		require.NoError(t, err)
		event, err := d.event("message", "")
		require.NoError(t, err)
		require.Equal(t, 3, bytes.Count(event, []byte("\n")), "an event is three lines, whatever is in it")
	})
}

func TestAnAddressWithoutAHostIsOfThisMachineAlone(t *testing.T) {
	live := NewLive(results.Header{})
	url, end, err := Serve(":0", live)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(url, "http://127.0.0.1:"), url)
	answer, err := http.Get(url)
	require.NoError(t, err)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	http.DefaultClient.CloseIdleConnections()
	require.Contains(t, string(body), "RUNNING")
	require.NoError(t, end())
	for _, address := range []string{"nowhere", "127.0.0.1", "256.0.0.1:0"} {
		_, _, err := Serve(address, live)
		require.Error(t, err, address)
	}
}

// stream is an http.ResponseWriter whose writes block while it is told so.
type stream struct {
	httptest.ResponseRecorder
	blocked chan struct{} // nil if it takes everything
	gone    context.Context
}

func newStream(gone context.Context, blocked chan struct{}) *stream {
	return &stream{ResponseRecorder: *httptest.NewRecorder(), blocked: blocked, gone: gone}
}

func (s *stream) Write(text []byte) (int, error) {
	if s.blocked != nil && !bytes.HasPrefix(text, []byte("retry")) {
		select {
		case <-s.blocked:
		case <-s.gone.Done():
			return 0, s.gone.Err()
		}
	}
	return s.ResponseRecorder.Write(text)
}

func TestNobodyWaitsForAViewerWhoIsSlowAndNothingRunsWhenAllAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live := NewLive(usual().header())
		ctx, leave := context.WithCancel(t.Context())
		watch := func(s *stream) chan struct{} {
			done := make(chan struct{})
			r := httptest.NewRequest("GET", "/?format=events", nil).WithContext(ctx)
			r.Host = "localhost"
			go func() {
				defer close(done)
				live.ServeHTTP(s, r)
			}()
			return done
		}
		quick := newStream(ctx, nil)
		slow := newStream(ctx, make(chan struct{}))
		quickDone, slowDone := watch(quick), watch(slow)
		synctest.Wait()
		series := usual().run().Series
		for second := range 20 {
			in := series[40+second%20]
			in.Second = second
			began := time.Now()
			require.NoError(t, live.Add(in))
			live.Watch(results.Snapshot{Elapsed: time.Duration(second) * time.Second})
			require.Zero(t, time.Since(began), "whoever feeds the page waits for nobody")
			time.Sleep(time.Second)
		}
		live.mu.Lock()
		require.Len(t, live.viewers, 1, "the slow one was dropped")
		live.mu.Unlock()
		leave()
		<-quickDone
		<-slowDone
		synctest.Wait()
		live.mu.Lock()
		require.Empty(t, live.viewers)
		require.Nil(t, live.stop)
		live.mu.Unlock()
		live.running.Wait()
		pictures := strings.Count(quick.Body.String(), "\n\n") - 1
		require.InDelta(t, 20, pictures, 1)
		require.LessOrEqual(t, strings.Count(slow.Body.String(), "\n\n")-1, behind)
		spoken := map[string]bool{}
		for _, line := range strings.Split(quick.Body.String(), "\n") {
			if data, is := strings.CutPrefix(line, "data: "); is {
				var picture struct{ Said string }
				require.NoError(t, json.Unmarshal([]byte(data), &picture))
				spoken[picture.Said] = true
			}
		}
		require.LessOrEqual(t, len(spoken), 3, "a screen reader is not told of every picture")
	})
}

func TestSixteenLookAndTheNextIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live := NewLive(results.Header{})
		ctx, leave := context.WithCancel(t.Context())
		for range mostViewers {
			r := httptest.NewRequest("GET", "/?format=events", nil).WithContext(ctx)
			r.Host = "localhost"
			go live.ServeHTTP(newStream(ctx, nil), r)
		}
		synctest.Wait()
		require.Equal(t, 503, ask(t, live, "GET", "/?format=events", "localhost").Code)
		require.Equal(t, 200, ask(t, live, "GET", "/", "localhost").Code, "the page itself is shown")
		leave()
		synctest.Wait()
		live.Close()
		live.Close()
		require.Equal(t, 503, ask(t, live, "GET", "/?format=events", "localhost").Code)
	})
}

func TestTheEndReachesThoseWhoLookAndThoseWhoComeLater(t *testing.T) {
	live, run := NewLive(usual().header()), usual().run()
	url, end, err := Serve("127.0.0.1:0", live)
	require.NoError(t, err)
	connection, err := net.Dial("tcp", strings.Trim(strings.TrimPrefix(url, "http://"), "/"))
	require.NoError(t, err)
	_, err = io.WriteString(connection, "GET /?format=events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	require.NoError(t, err)
	reader := bufio.NewReader(connection)
	for line := ""; !strings.HasPrefix(line, "event: message"); {
		line, err = reader.ReadString('\n')
		require.NoError(t, err)
	}
	require.NoError(t, live.End(run))
	require.ErrorContains(t, live.End(run), "ended already")
	require.Error(t, live.End(nil))
	require.NoError(t, end(), "it waits until the last picture was taken")
	rest, err := io.ReadAll(reader)
	require.NoError(t, err)
	require.NoError(t, connection.Close())
	require.Contains(t, string(rest), "event: end\ndata: {")
	require.Contains(t, string(rest), "1 of 3 objectives failed.")

	live = NewLive(usual().header())
	require.NoError(t, live.End(run))
	require.Contains(t, ask(t, live, "GET", "/?format=events", "localhost").Body.String(), "event: end\ndata: {")
	require.Equal(t, textOf(t, run), ask(t, live, "GET", "/", "localhost").Body.String(), "the page is that of the file")
	require.NoError(t, live.Add(run.Series[0]))
	live.Close()
}

func TestALivePageGrowsInABrowserAndBecomesTheLastOne(t *testing.T) {
	m := usual()
	m.name, m.seconds = `Live <b>"&`, 60
	run := m.run()
	live := NewLive(run.Header)
	url, end, err := Serve("127.0.0.1:0", live)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, end()) })
	feed := func(from, to int) {
		for s := from; s < to; s++ {
			require.NoError(t, live.Add(run.Series[s]))
		}
		live.Watch(results.Snapshot{Header: run.Header, Elapsed: time.Duration(to) * time.Second, Phase: results.Main, InFlight: 7})
	}
	b := open(t, url)
	b.look(t, wide)
	b.visit(t, url)
	b.Until(t, `document.getElementById("live").textContent === "live"`)
	require.Equal(t, 10, value[int](t, b, `document.querySelectorAll(".panel .empty").length`))
	feed(0, 30)
	b.Until(t, `document.querySelectorAll(".plot canvas").length === 10`)
	require.Empty(t, value[[]string](t, b, blank))
	b.Until(t, passed("30 s of 1 min have passed"))

	// What the reader chose stays as it is while the page grows.
	value[any](t, b, `(() => {
		document.getElementById("r1-latency-table-details").open = true;
		document.querySelector('[data-chart="r1-latency-chart"] [data-name="scale"]').click();
		document.querySelector('[data-chart="r1-latency-chart"] [data-name="line p90"]').click();
		document.querySelector("#r1-operations-table th:nth-child(6) button").click();
		document.querySelector("#r1-operations-table th:nth-child(6) button").focus();
	})()`)
	chosen := `[
		document.getElementById("r1-latency-table-details").open,
		document.querySelector('[data-chart="r1-latency-chart"] [data-name="scale"]').textContent,
		document.querySelector('[data-chart="r1-latency-chart"] [data-name="line p90"]').getAttribute("aria-pressed"),
		document.querySelector("#r1-operations-table th:nth-child(6)").getAttribute("aria-sort"),
		document.querySelector("#r1-operations-table tbody th").textContent,
		document.activeElement.parentElement.cellIndex,
	].join()`
	before := value[string](t, b, chosen)
	require.Contains(t, before, "true,Linear scale,false,descending,GET /account,5")
	feed(30, 50)
	b.Until(t, passed("50 s of 1 min have passed"))
	require.Equal(t, before, value[string](t, b, chosen))
	b.picture(t, "live")

	feed(50, 60)
	require.NoError(t, live.End(run))
	b.Until(t, `document.getElementById("live").textContent === "The run has ended."`)
	require.Equal(t, "VALID", value[string](t, b, `document.querySelector(".verdict strong").textContent`))
	require.Equal(t, before, value[string](t, b, chosen))
	require.Equal(t, m.name, value[string](t, b, `document.querySelector("h1").textContent`))
	require.Empty(t, value[[]string](t, b, blank))
	b.WantQuiet(t, url)

	b.Do(t, chromedp.Navigate(url))
	b.Until(t, drawn+` && document.getElementById("live") === null`)
	b.WantQuiet(t, url)
}

// A page elsewhere can neither read the live page nor show it as its own.
func TestAPageElsewhereCannotReadTheLivePage(t *testing.T) {
	live := NewLive(usual().header())
	url, end, err := Serve("127.0.0.1:0", live)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, end()) })
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<!doctype html><title>elsewhere</title>")
	}))
	t.Cleanup(elsewhere.Close)
	b := open(t, "http://")
	b.Do(t, chromedp.Navigate(elsewhere.URL))
	require.Equal(t, "refused,refused", value[string](t, b, `Promise.all([
		fetch("`+url+`").then((r) => r.text()).catch(() => "refused"),
		new Promise((done) => { const e = new EventSource("`+url+`?format=events"); e.onopen = () => done("open"); e.onerror = () => { e.close(); done("refused"); }; }),
	]).then((all) => all.join())`))
	require.Empty(t, live.viewers)
}

// passed is whether the verdict says so; numbers are tied to their units.
func passed(words string) string {
	return `document.querySelector(".verdict p").textContent.replaceAll("\u00a0", " ").includes("` + words + `")`
}
