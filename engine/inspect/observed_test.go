package inspect_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/engine/inspect"
)

func TestSlowAndFailedRequestsAreShownWithoutWhatTheyCarry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		api := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/slow":
				time.Sleep(3 * time.Second)
			case "/again":
				if attempts++; attempts == 1 {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
			case "/broken":
				panic(http.ErrAbortHandler)
			}
		}))
		page := inspect.New(inspect.Config{})
		eng := newEngine(t, engine.Config{
			BaseURL: "http://api.test", Auth: auth.Bearer{Token: "sesame-token"}, Header: http.Header{"X-Key": {"sesame-header"}},
			Dial: engine.Dial{DialContext: api.dial}, Observers: []engine.Observer{page.Observer()},
			Retry: engine.Retry{Max: 1, Statuses: []int{503}},
		})
		page.Attach("a", eng)
		html := text(t, get(t, page, "GET", "/"))
		has(t, html, "No request has ended lately.")
		has(t, html, "No request has failed.")
		for _, path := range []string{"/slow", "/again", "/broken"} {
			_, _ = eng.Do(t.Context(), &engine.Request{
				Path: path + "?q=sesame-query", Query: engine.Values{"k": "sesame-value"}, Auth: true, Key: "sesame-key", Account: "",
				Header: http.Header{"X-Other": {"sesame-header"}}, Body: engine.AsJSON{Value: "sesame-body"}, Method: "PUT", Idempotent: true,
			})
		}
		time.Sleep(time.Second)
		html = text(t, get(t, page, "GET", "/"))
		require.NotContains(t, html+text(t, get(t, page, "GET", "/state.json")), "sesame")
		has(t, html, `<dt>Ended</dt><dd><b>3</b>`)
		has(t, html, `<dt>Failed</dt><dd><b>1</b>`)
		has(t, html, `<dt>Retries</dt><dd><b>2</b><small>attempts that another was meant to follow</small>`)
		slow := within(t, html, "<caption>Slowest requests", "</table>")
		first := within(t, slow, "<tbody", "</tr>")
		has(t, first, "PUT /slow")
		has(t, first, "3.0 s to the first byte")
		has(t, first, `<span>200</span>`)
		has(t, within(t, slow, "PUT /again", "</tr>"), `data-name="Attempts"><span>2</span>`)
		failed := within(t, html, "<caption>Last failed requests", "</table>")
		has(t, failed, "PUT /broken")
		has(t, failed, "http://api.test:80")
		require.NotContains(t, failed, "/slow")
		time.Sleep(6 * time.Minute)
		html = text(t, get(t, page, "GET", "/"))
		has(t, html, "No request has ended lately.", "the slow ones are forgotten after a while")
		has(t, html, "PUT /broken")
	})
}

func TestAServerThatAnswersEverythingWithAnErrorIsNotCalledWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := http.StatusInternalServerError
		api := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "sesame-body", status) }))
		page := inspect.New(inspect.Config{})
		eng := newEngine(t, engine.Config{
			BaseURL: "http://api.test", Auth: auth.Bearer{Token: "sesame-token"}, Retry: engine.Retry{Max: -1},
			Dial: engine.Dial{DialContext: api.dial}, Observers: []engine.Observer{page.Observer()},
		})
		page.Attach("a", eng)
		do := func() {
			response, err := eng.Do(t.Context(), &engine.Request{Path: "/balance?q=sesame-query", Auth: true, Key: "sesame-key"})
			require.NoError(t, err)
			require.Equal(t, status, response.StatusCode)
		}
		for range 49 {
			do()
		}
		status = http.StatusUnauthorized
		do()
		html, state := text(t, get(t, page, "GET", "/")), text(t, get(t, page, "GET", "/state.json"))
		require.NotContains(t, html+state, "sesame")
		const verdict = "50 of the last 50 requests were answered with an error, the last of them with status 401. Nothing waits, and nothing is in flight."
		has(t, html, `<p class="verdict stopped" id="verdict">`+verdict+`</p>`)
		has(t, html, `<dt>Ended</dt><dd><b>50</b>`)
		has(t, html, `<dt>Failed</dt><dd><b>0</b>`, "the engine has done its part")
		has(t, html, `<dt>Error answers</dt><dd><b>50</b><small>of status 400 and above</small>`)
		failed := within(t, html, "<caption>Last failed requests and error answers", "</table>")
		has(t, within(t, failed, "<tbody", "</tr>"), `<span>GET /balance</span><small>http://api.test:80</small>`)
		has(t, within(t, failed, "<tbody", "</tr>"), `<span>status 401</span><small>outcome rejected</small>`)
		has(t, failed, `<span>status 500</span><small>outcome unknown</small>`)
		has(t, state, `"ended":50,"failed":0,"error_answers":50,`)
		has(t, state, `"error":"status 401","status":401,"outcome":"rejected",`)
		has(t, state, `"verdict":"`+verdict)

		status = http.StatusOK
		for range 40 { // of the last 64 fewer than half are such
			do()
		}
		time.Sleep(time.Second)
		html = text(t, get(t, page, "GET", "/"))
		has(t, html, `<p class="verdict calm" id="verdict">Nothing waits, and nothing is in flight.</p>`)
		has(t, html, `<dt>Error answers</dt><dd><b>50</b>`, "they are not forgotten")
	})
}

func TestErrorAnswersOfLongAgoAreNoVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotFound) }))
		page := inspect.New(inspect.Config{})
		eng := newEngine(t, engine.Config{BaseURL: "http://api.test", Dial: engine.Dial{DialContext: api.dial}, Observers: []engine.Observer{page.Observer()}})
		page.Attach("a", eng)
		verdict := func() string {
			time.Sleep(time.Second)
			return within(t, text(t, get(t, page, "GET", "/")), `id="verdict">`, "</p>")
		}
		for i := range 3 {
			require.Equal(t, "Nothing waits, and nothing is in flight.", verdict(), "%d are too few to judge by", i)
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/nowhere"})
			require.NoError(t, err)
		}
		require.Equal(t, "3 of the last 3 requests were answered with an error, the last of them with status 404. Nothing waits, and nothing is in flight.", verdict())
		time.Sleep(6 * time.Minute)
		require.Equal(t, "Nothing waits, and nothing is in flight.", verdict())
	})
}
