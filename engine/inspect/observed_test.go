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
