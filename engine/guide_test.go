package engine_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

func TestTheGuideToErrorsShowsWhatIsCompiled(t *testing.T) {
	require.Equal(t, 5, shownOf(t, "errors.md", "example_errors_test.go"))
}

func TestTheGuideToAccountsShowsWhatIsCompiled(t *testing.T) {
	require.Equal(t, 9, shownIn(t, "accounts.md", "example_accounts_test.go", "../auth/example_test.go"))
}

// The table of outcomes names every 4xx that is not what it says of the others.
func TestTheGuideToErrorsNamesTheStatusesThatAreNoRejections(t *testing.T) {
	text, err := os.ReadFile("../docs/guide/errors.md")
	require.NoError(t, err)
	named := map[engine.Outcome][]string{}
	for _, outcome := range []engine.Outcome{engine.Refused, engine.Rejected, engine.Unknown} {
		row := regexp.MustCompile("(?mi)^\\| `" + outcome.String() + "` .*$").FindString(string(text))
		named[outcome] = regexp.MustCompile(`\b4\d\d\b`).FindAllString(row, -1)
	}
	require.Equal(t, named[engine.Unknown], named[engine.Rejected], "what is not the one is the other")
	for status := 400; status < 500; status++ {
		want := engine.Rejected
		for _, outcome := range []engine.Outcome{engine.Refused, engine.Unknown} {
			if slices.Contains(named[outcome], strconv.Itoa(status)) {
				want = outcome
			}
		}
		err := &engine.StatusError{Answer: engine.Answer{StatusCode: status, Sent: engine.SentYes}}
		require.Equal(t, want, engine.OutcomeOf(err), "%d", status)
	}
}

// All pages whose code stands in one file.
func TestTheGuideShowsWhatIsCompiled(t *testing.T) {
	for page, pieces := range map[string]int{
		"limits.md": 4, "priorities.md": 3, "clock.md": 2, "connections.md": 2, "migrating.md": 1, "questions.md": 0,
	} {
		require.Equal(t, pieces, shownOf(t, page, "example_guide_test.go"), page)
	}
}

func TestTheGuideToTestingShowsWhatIsCompiled(t *testing.T) {
	require.Equal(t, 6, shownIn(t, "testing.md", "example_guide_test.go", "../examples/bot/bot.go", "../examples/bot/bot_test.go"))
}

func TestTheGuideToServicesShowsWhatIsCompiled(t *testing.T) {
	require.Equal(t, 2, shownIn(t, "service.md", "../examples/service/main.go"))
}

func TestTheGuideToTelemetryShowsWhatIsCompiled(t *testing.T) {
	require.Equal(t, 2, shownIn(t, "telemetry.md", "example_observer_test.go", "inspect/example_test.go"))
}

// The page on fan-out takes its code from the examples of its parts, and from a whole program.
func TestTheGuideToFanOutShowsWhatIsCompiled(t *testing.T) {
	require.Equal(t, 15, shownIn(t, "fanout.md",
		"example_fanout_test.go", "example_pages_test.go", "example_submit_test.go", "example_events_test.go",
		"example_coalesce_test.go", "../examples/fanout/main.go"))
}

// What the guide's pages link to is there.
func TestTheGuidesLinksLeadSomewhere(t *testing.T) {
	code := regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
	link := regexp.MustCompile(`\]\(([\w./-]+)(?:#[^)]*)?\)`)
	for _, folder := range []string{"..", "../docs", "../docs/guide", "../docs/decisions"} {
		pages, err := filepath.Glob(filepath.Join(folder, "*.md"))
		require.NoError(t, err)
		for _, page := range pages {
			text, err := os.ReadFile(page)
			require.NoError(t, err)
			prose := code.ReplaceAllString(string(text), "")
			for _, found := range link.FindAllStringSubmatch(prose, -1) {
				_, err := os.Stat(filepath.Join(folder, found[1]))
				require.NoError(t, err, "%s leads to %s", page, found[1])
			}
		}
	}
}

// shownOf is shownIn for a page whose code stands in one file.
func shownOf(t *testing.T, guide, source string) (shown int) {
	return shownIn(t, guide, source)
}

// shownIn returns how many pieces of its sources a guide shows; one that is in none of them
// is a failure. A piece is whole lines of one source, as they are or, if they are from inside
// a function, with one tab less each.
func shownIn(t *testing.T, guide string, sources ...string) (shown int) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "guide", guide))
	require.NoError(t, err)
	var compiled []string
	for _, source := range sources {
		code, err := os.ReadFile(source)
		require.NoError(t, err)
		compiled = append(compiled, "\n"+string(code), strings.ReplaceAll("\n"+string(code), "\n\t", "\n"))
	}
	for i, part := range strings.Split(string(text), "```") {
		if snippet, is := strings.CutPrefix(part, "go\n"); is && i%2 == 1 {
			shown++
			stands := func(code string) bool { return strings.Contains(code, "\n"+snippet) }
			require.True(t, slices.ContainsFunc(compiled, stands), "%s shows what is in none of %v:\n%s", guide, sources, snippet)
		}
	}
	return shown
}

func TestTheGuidesLookUpGoesOnUnderAHaltAtAPaceAndNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lookUps, answered := 0, true
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				lookUps++
			}
			if r.Method == http.MethodPost || !answered {
				w.WriteHeader(http.StatusBadGateway)
			} else {
				_, _ = w.Write([]byte(`{"orderId":1}`))
			}
		})
		eng, err := engine.New(engine.Config{
			BaseURL: "http://server.test", Dial: engine.Dial{DialContext: s.dial}, Auth: auth.Binance("k", "s"),
			Limits: []throttle.Limit{{ID: "order", Quota: 1000, Per: time.Second}, {ID: "query", Quota: 1000, Per: time.Second}},
		})
		require.NoError(t, err)
		defer eng.Close()
		halt, err := eng.Halt(engine.Filter{PriorityBelow: engine.High, Reason: "not of orders"})
		require.NoError(t, err)
		defer halt.Lift()
		begun := time.Now()
		placed, err := place(t.Context(), eng, "mine", engine.Values{})
		require.NoError(t, err)
		require.EqualValues(t, 1, placed.OrderID)
		require.Less(t, time.Since(begun), time.Second)

		lookUps, answered = 0, false
		second, err := eng.Halt(engine.Filter{PriorityBelow: engine.Urgent, Reason: "the desk is closing"})
		require.NoError(t, err)
		defer second.Lift()
		begun = time.Now()
		_, err = find(t.Context(), eng, "mine")
		require.Equal(t, engine.Unknown, engine.OutcomeOf(err))
		require.LessOrEqual(t, time.Since(begun), time.Minute)
		require.Less(t, lookUps, 61)
		require.Greater(t, lookUps, 50)
	})
}

func TestTheGuidesEngineOutlivesSilenceAndRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := scripted("1", 503, 429, 200)
		silent := true
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if silent {
				silent = false
				<-r.Context().Done()
				return
			}
			busy(w, r)
		})
		eng, err := patient(engine.Config{BaseURL: "http://server.test", Dial: engine.Dial{DialContext: s.dial}})
		require.NoError(t, err)
		defer eng.Close()
		response, err := eng.Do(t.Context(), &engine.Request{Path: "/book"})
		require.NoError(t, err)
		require.Equal(t, 429, response.StatusCode, "two repetitions are used up")
		response, err = eng.Do(t.Context(), &engine.Request{Path: "/book"})
		require.NoError(t, err)
		require.Equal(t, 200, response.StatusCode)
	})
}

func TestTheGuidesFollowerGoesOnBehindServersThatStartAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		visits := 0
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			visits++
			switch {
			case visits == 2 || visits == 3:
				w.WriteHeader(http.StatusBadGateway)
			case visits == 5:
				w.WriteHeader(http.StatusNoContent)
			case visits > 5:
				w.WriteHeader(http.StatusForbidden)
			default:
				w.Header().Set("Content-Type", "text/event-stream")
				w.Write([]byte("id: " + r.Header.Get("Last-Event-ID") + "x\ndata: 1\n\n"))
			}
		}).newEngine(t, engine.Config{})
		var ids []string
		use := func(event engine.Event) { ids = append(ids, event.ID) }
		require.NoError(t, follow(t.Context(), eng, &engine.Request{Path: "/"}, use), "a 204 is no error")
		require.Equal(t, []string{"x", "xx"}, ids, "the second stream goes on behind the first, over two 502")
		var status *engine.StatusError
		require.ErrorAs(t, follow(t.Context(), eng, &engine.Request{Path: "/"}, use), &status)
		require.Equal(t, http.StatusForbidden, status.StatusCode)
	})
}

func TestTheGuidesObserverTellsWhatWasSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		eng := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				time.Sleep(2 * time.Second)
			}
		}).newEngine(t, engine.Config{Observers: []engine.Observer{tellSlow(slog.New(slog.NewTextHandler(&log, nil)), time.Second)}})
		for _, path := range []string{"/quick", "/slow"} {
			_, err := eng.Do(t.Context(), &engine.Request{Path: path, Query: engine.Values{"key": "sesame"}})
			require.NoError(t, err)
		}
		require.Contains(t, log.String(), "/slow")
		require.Contains(t, log.String(), "first_byte=2s")
		require.NotContains(t, log.String(), "/quick")
		require.NotContains(t, log.String(), "sesame")
	})
}

func TestTheGuidesOrderIsAskedForIfItIsInDoubt(t *testing.T) {
	const never = -1 // it was not placed
	for name, c := range map[string]struct {
		status int // of the first answer; 0 breaks the connection
		found  int // the question from which on the order is there
		denied bool
		want   engine.Outcome
	}{
		"placed, and the answer was lost":        {0, 2, false, engine.Done},
		"placed, behind a 502":                   {502, 2, false, engine.Done},
		"on its way when it was first asked for": {0, 9, false, engine.Done},
		"not placed, and the answer was lost":    {0, never, false, engine.Unknown},
		"in doubt, and the question is refused":  {0, never, true, engine.Unknown},
		"rejected":                               {400, never, false, engine.Rejected},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
					switch {
					case r.Method == http.MethodPost && c.status == 0:
						panic(http.ErrAbortHandler)
					case r.Method == http.MethodPost:
						w.WriteHeader(c.status)
						return
					}
					if asked++; asked == 1 {
						w.WriteHeader(http.StatusServiceUnavailable) // it has other things to do
						return
					}
					switch {
					case c.denied:
						w.WriteHeader(http.StatusUnauthorized)
						w.Write([]byte(`{"code":-2015}`))
					case c.found == never || asked < c.found:
						w.WriteHeader(http.StatusBadRequest)
						w.Write([]byte(`{"code":-2013}`))
					default:
						w.Write([]byte(`{"orderId":7,"status":"NEW"}`))
					}
				}).newEngine(t, engine.Config{Auth: auth.Basic{User: "u", Password: "p"}})
				require.NoError(t, eng.ReplaceLimits([]throttle.Limit{
					{ID: "order", Quota: 100, Per: time.Second}, {ID: "query", Quota: 100, Per: time.Second},
				}))
				terms, start := engine.Values{"symbol": "BTCUSDT"}, time.Now()
				placed, err := place(context.Background(), eng, "mine", terms)
				require.Equal(t, c.want, engine.OutcomeOf(err), "%v", err)
				gone := c.found == never && c.status == 0 && !c.denied
				require.Equal(t, gone, errors.Is(err, errNotPlaced), "%v", err)
				if gone {
					require.Greater(t, time.Since(start), onItsWay, "it might have come")
				}
				require.Equal(t, engine.Values{"symbol": "BTCUSDT"}, terms, "they are the caller's")
				if c.want == engine.Done {
					require.EqualValues(t, 7, placed.OrderID)
				}
			})
		})
	}
}
