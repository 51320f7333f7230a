package inspect_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/engine/inspect"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// take has so many permits of a limit used up, one after the other.
func take(t *testing.T, eng *engine.Engine, n int, charge engine.Charge) {
	for range n {
		permit, err := eng.TryAcquire(charge)
		require.NoError(t, err)
		permit.Done(engine.Done)
	}
}

func TestThePageSaysThatWhatIsLeftIsKeptForMoreUrgentRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{BaseURL: "http://api.test", DefaultLimitID: "w", Limits: []throttle.Limit{
			{ID: "w", Quota: 20, Per: time.Minute, Reserve: []throttle.Reserve{{Priority: engine.High, Weight: 10}}},
		}})
		page := inspect.New(inspect.Config{})
		page.Attach("main", eng)
		const kept = "10 kept for priority high and above"
		has(t, text(t, get(t, page, http.MethodGet, "/")), "<span>open</span><small>room for 20, "+kept+"</small>", "also while nobody waits")
		take(t, eng, 10, engine.Charge{})
		wait(t, eng, engine.Charge{})
		time.Sleep(time.Second)
		html := text(t, get(t, page, http.MethodGet, "/"))
		has(t, html, "One limit with "+kept+"; one waits, the next leaves at ")
		has(t, within(t, html, "<caption>Limits", "</table>"), "<small>room for 10, "+kept+"</small>")
		has(t, within(t, html, "<caption>Who waits", "</table>"), "<span>limit w</span><small>"+kept+"</small>")

		x, err := eng.Explain(&engine.Request{Path: "/"})
		require.NoError(t, err)
		has(t, x.String(), `waits for "w" (`+kept+`) until `)
		has(t, x.String(), `charged 1 to "w", which has room for 10 of 20, `+kept)
		has(t, eng.Stats().String(), "10 of 20 used, 1 queued, "+kept)
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/", Timeout: 300 * time.Millisecond})
		require.ErrorIs(t, err, throttle.ErrDeadline)
		has(t, err.Error(), `limit "w": no room before the deadline (`+kept+`)`)

		take(t, eng, 10, engine.Charge{Priority: engine.High})
		time.Sleep(time.Second) // what is younger than a tenth is shown again
		html = text(t, get(t, page, http.MethodGet, "/?format=json"))
		has(t, html, `"verdict":"One limit full; one waits, `, "now it is used up")
	})
}

func TestThePageSaysWhatPacingKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{
			BaseURL: "http://api.test", DefaultLimitID: "w", Throttle: throttle.Options{Pacing: &throttle.Pacing{Z: 3}},
			Limits: []throttle.Limit{{ID: "w", Quota: 20, Per: time.Minute}},
		})
		page := inspect.New(inspect.Config{})
		page.Attach("main", eng)
		take(t, eng, 2, engine.Charge{Priority: engine.Urgent})
		take(t, eng, 1, engine.Charge{})
		wait(t, eng, engine.Charge{})
		time.Sleep(200 * time.Millisecond)
		html := text(t, get(t, page, http.MethodGet, "/"))
		has(t, html, "One limit paced for urgent requests; one waits, the next leaves at ", "there is more room than is kept, and it is spread over the window")
		has(t, within(t, html, "<caption>Limits", "</table>"), "<small>room for 17, paced for urgent requests</small>")

		take(t, eng, 8, engine.Charge{Priority: engine.Urgent})
		time.Sleep(200 * time.Millisecond)
		html = text(t, get(t, page, http.MethodGet, "/"))
		has(t, html, "One limit with 10 kept for priority 1 and above; one waits, the next leaves at ")
		has(t, within(t, html, "<caption>Limits", "</table>"), "<small>room for 9, 10 kept for priority 1 and above</small>")
		x, err := eng.Explain(&engine.Request{Path: "/"})
		require.NoError(t, err)
		has(t, x.String(), `waits for "w" (10 kept for priority 1 and above) until `)
	})
}

func TestALimitThatAServerRefusedAloneHasNotTooLittleRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuses := true
		served := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if refuses {
				w.Header().Set("Retry-After", "9")
				w.WriteHeader(http.StatusTooManyRequests)
			}
			refuses = false
		}))
		eng := newEngine(t, engine.Config{
			BaseURL: "http://api.test", DefaultLimitID: "l", Dial: engine.Dial{DialContext: served.dial}, Retry: engine.Retry{Max: -1},
			Feedback: func(a feedback.Answer) feedback.Feedback {
				said := feedback.RetryAfter(a)
				said.OwnLimit = true
				return said
			},
			Limits: []throttle.Limit{{ID: "l", Quota: 20, Per: time.Minute}},
		})
		page := inspect.New(inspect.Config{})
		page.Attach("main", eng)
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		pending := eng.Submit(ctx, &engine.Request{Path: "/"})
		synctest.Wait()
		limits := within(t, text(t, get(t, page, http.MethodGet, "/")), "<caption>Limits", "</table>")
		has(t, limits, "<small>in 9.0 s</small>")
		require.NotContains(t, limits, "too little")
		cancel()
		_, _ = pending.Result()
	})
}

func TestThePageTellsASlowStartFromThePauseBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{BaseURL: "http://api.test", DefaultLimitID: "w", Limits: []throttle.Limit{{ID: "w", Quota: 20, Per: time.Minute}}})
		page := inspect.New(inspect.Config{})
		page.Attach("main", eng)
		require.NoError(t, eng.Pause(throttle.Scope{Name: throttle.WholeOrigin}, 10*time.Second))
		granted := make(chan *engine.Permit, 1)
		go func() {
			permit, err := eng.Acquire(context.Background(), engine.Charge{})
			assert.NoError(t, err)
			granted <- permit
		}()
		synctest.Wait()
		waiting := func() string {
			return within(t, text(t, get(t, page, http.MethodGet, "/")), "<caption>Who waits", "</table>")
		}
		has(t, waiting(), `<span>the end of a pause</span><small>scope the whole origin</small>`)
		permit := <-granted
		t.Cleanup(func() { permit.Done(engine.Done) }) // behind the end of who waits for it
		wait(t, eng, engine.Charge{})
		synctest.Wait()
		has(t, waiting(), `<span>the slow start behind a pause</span><small>scope the whole origin</small>`)
		x, err := eng.Explain(&engine.Request{Path: "/"})
		require.NoError(t, err)
		has(t, x.String(), "waits for the slow start of the whole origin behind a pause, until an answer comes")
	})
}
