package load

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/gauge/pressure"
	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
	"github.com/sluice-engine/sluice/bench/targets"
)

// seenBy counts requests by a text of theirs.
type seenBy struct {
	mu sync.Mutex
	n  map[string]int
}

func (s *seenBy) add(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n == nil {
		s.n = map[string]int{}
	}
	s.n[text]++
}

func TestSharesOfTargetsAndRowsAreAsTheServerCountsThem(t *testing.T) {
	eachClient(t, func(t *testing.T, name string) {
		var paths, users seenBy
		server := newWatched(t, false, false, func(w http.ResponseWriter, r *http.Request) {
			paths.add(r.URL.Path)
			users.add(r.Header.Get("X-User"))
		})
		var rows [][]string
		for i := range 10 {
			rows = append(rows, []string{fmt.Sprintf("user %d", i)})
		}
		step := func(path string) []targets.Step {
			return []targets.Step{{Method: "GET", URL: server.URL + path, Header: http.Header{"X-User": {"{{user}}"}}}}
		}
		plan := targets.Plan{
			Data:   &targets.Data{Columns: []string{"user"}, Rows: rows},
			Chains: []targets.Chain{{Weight: 3, Steps: step("/a")}, {Weight: 1, Steps: step("/b")}},
		}
		run, err := Run(context.Background(), Config{Closed: &Closed{Callers: 8, Requests: 4000}, Plan: plan, Client: open(t, ClientConfig{Client: name})})
		require.NoError(t, err)
		require.Zero(t, run.Total[""].Failed())
		require.InDelta(t, 3000, paths.n["/a"], 120)
		require.Equal(t, 4000, paths.n["/a"]+paths.n["/b"])
		require.EqualValues(t, paths.n["/a"], run.Total["GET /a"].Count)
		require.Len(t, users.n, 10)
		for user, n := range users.n {
			require.InDelta(t, 400, n, 100, user)
		}
	})
}

func TestAChainWhoseFirstStepFailsGoesNoFurther(t *testing.T) {
	eachClient(t, func(t *testing.T, name string) {
		var paths seenBy
		server := newWatched(t, false, false, func(w http.ResponseWriter, r *http.Request) {
			paths.add(r.URL.Path)
			if r.URL.Path == "/login" {
				w.WriteHeader(http.StatusForbidden)
			}
		})
		plan := targets.Plan{Chains: []targets.Chain{{Steps: []targets.Step{
			{Operation: "login", URL: server.URL + "/login", Save: []targets.Save{{Name: "t", JSON: "token"}}},
			{Operation: "use", URL: server.URL + "/use/{{t}}"},
		}}}}
		run, err := Run(context.Background(), Config{Schedule: constant(100, 300*time.Millisecond), Plan: plan, Client: open(t, ClientConfig{Client: name})})
		require.NoError(t, err)
		require.Equal(t, map[string]int{"/login": 30}, paths.n)
		require.EqualValues(t, 30, run.Counts.Offered)
		require.EqualValues(t, 30, run.Total["login"].Errors["status 403"], "%v", run.Total["login"].Errors)
		require.Zero(t, run.Total["use"].Clone().Count)
	})
}

// What an answer says is put into the next request: it must not become a second one.
func TestAHostileValueBecomesNoRequestOfItsOwn(t *testing.T) {
	for what, value := range map[string]string{
		"line ends": "x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\nGET /smuggled HTTP/1.1\\r\\nX: ", "template": "{{t}}{{t}}", "long": strings.Repeat("a", 100_000), "nul": "a\\u0000b", "path": "../../admin?x=1#y",
	} {
		t.Run(what, func(t *testing.T) {
			eachClient(t, func(t *testing.T, name string) {
				var paths seenBy
				server := newWatched(t, false, false, func(w http.ResponseWriter, r *http.Request) {
					paths.add(r.URL.Path)
					if r.URL.Path == "/login" {
						fmt.Fprintf(w, `{"token":"%s"}`, value)
						return
					}
					io.Copy(io.Discard, r.Body)
				})
				server.Config.MaxHeaderBytes = 1 << 20
				plan := targets.Plan{Chains: []targets.Chain{{Steps: []targets.Step{
					{Operation: "login", URL: server.URL + "/login", Save: []targets.Save{{Name: "t", JSON: "token"}}},
					{Operation: "use", Method: "POST", URL: server.URL + "/use/{{t}}", Header: http.Header{"X-Token": {"{{t}}"}}, Body: []byte("{{t}}")},
				}}}}
				run, err := Run(context.Background(), Config{Closed: &Closed{Callers: 2, Requests: 10}, Plan: plan, Client: open(t, ClientConfig{Client: name}), Timeout: 5 * time.Second})
				require.NoError(t, err)
				total := 0
				for path, n := range paths.n {
					require.True(t, path == "/login" || strings.HasPrefix(path, "/use/"), path)
					total += n
				}
				require.Equal(t, 10, paths.n["/login"])
				require.LessOrEqual(t, total, 20)
				require.EqualValues(t, 10, run.Total["login"].Count)
				t.Log(what, run.Total["login"].Errors, run.Total["use"].Clone().Errors, run.Total["use"].Clone().Statuses)
			})
		})
	}
}

// stalls are when a server answers nothing; what is due then waits for the end of it.
func TestStallsAnywhereAreInThePercentiles(t *testing.T) {
	const length, rate = 1500 * time.Millisecond, 400
	for client, stalls := range map[string][][2]time.Duration{
		Engine:   {{0, 400 * time.Millisecond}},
		NetHTTP:  {{200 * time.Millisecond, 300 * time.Millisecond}, {500 * time.Millisecond, 600 * time.Millisecond}, {900 * time.Millisecond, 1000 * time.Millisecond}},
		FastHTTP: {{1000 * time.Millisecond, 2000 * time.Millisecond}},
	} {
		wait := func(at time.Duration) time.Duration {
			for _, stall := range stalls {
				if at >= stall[0] && at < stall[1] {
					return stall[1] - at
				}
			}
			return 0
		}
		var waits []time.Duration
		for n := range int(rate * length.Seconds()) {
			waits = append(waits, wait(time.Duration(n)*time.Second/rate))
		}
		slices.Sort(waits)
		t.Run(client, func(t *testing.T) {
			undisturbed(t, func() *results.Run {
				began := time.Now().Add(50 * time.Millisecond)
				server := newWatched(t, false, false, func(http.ResponseWriter, *http.Request) { time.Sleep(wait(time.Since(began))) })
				run, err := Run(context.Background(), Config{
					Header: results.Header{Started: began}, Schedule: constant(rate, length), Plan: planOf(server.URL),
					Client: open(t, ClientConfig{Client: client, Connections: 10}),
				})
				require.NoError(t, err)
				require.EqualValues(t, 600, server.requests.Load())
				return run
			}, func(run *results.Run) error {
				return isTrue(run, func(q float64) time.Duration { return waits[int(q*float64(len(waits)-1))] })
			})
		})
	}
}

// What a server counts, second by second, is what the schedule says, warm-up and main part apart.
func TestStagesArriveAsTheyAreScheduled(t *testing.T) {
	rate := func(n uint64) schedule.Rate { return schedule.Rate{Requests: n, Per: time.Second} }
	spec := &schedule.Spec{WarmUp: 500 * time.Millisecond, Stages: []schedule.Stage{
		{From: rate(100), To: rate(100), For: 500 * time.Millisecond}, {From: rate(0), To: rate(400), For: time.Second}, {For: 300 * time.Millisecond}, {From: rate(200), To: rate(200), For: 200 * time.Millisecond},
	}}
	borders := []time.Duration{500 * time.Millisecond, time.Second, 1500 * time.Millisecond, 1800 * time.Millisecond, 2 * time.Second}
	want := []int{50, 50, 150, 0, 40}
	for _, client := range ClientNames() {
		var seen []int
		undisturbed(t, func() *results.Run {
			began := time.Now().Add(50 * time.Millisecond)
			var mu sync.Mutex
			seen = make([]int, len(borders)+1)
			server := newWatched(t, false, false, func(http.ResponseWriter, *http.Request) {
				at, _ := slices.BinarySearch(borders, time.Since(began))
				mu.Lock()
				defer mu.Unlock()
				seen[at]++
			})
			run, err := Run(context.Background(), Config{
				Header: results.Header{Started: began}, Schedule: spec, Plan: planOf(server.URL), Client: open(t, ClientConfig{Client: client}),
			})
			require.NoError(t, err)
			require.EqualValues(t, 290, server.requests.Load())
			require.Equal(t, results.Counts{Offered: 50, Sent: 50, Completed: 50}, run.WarmCounts)
			require.Equal(t, results.Counts{Offered: 240, Sent: 240, Completed: 240}, run.Counts)
			require.EqualValues(t, 240, run.Total[""].Count)
			require.EqualValues(t, 50, run.Warm[""].Count)
			return run
		}, func(*results.Run) error {
			for i, n := range want {
				if off := n - seen[i]; off > 8 || off < -8 {
					return fmt.Errorf("%s, part %d: %v", client, i, seen)
				}
			}
			return nil
		})
	}
}

// With HTTP/2 and a slow handshake, a stall and a bound of connections the counts are the
// server's as well.
func TestOverHTTP2NothingIsLostOrDoubled(t *testing.T) {
	for _, client := range []string{Engine, NetHTTP} {
		for _, connections := range []int{1, 10, 0} {
			server := newWatched(t, true, true, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/hang" {
					<-r.Context().Done()
				}
			})
			plan := planOf(server.URL, server.URL+"/hang")
			plan.Chains[0].Weight, plan.Chains[1].Weight = 9, 1
			pressure.Try(t, 4, func() error {
				server.requests.Store(0)
				run, err := Run(context.Background(), Config{Schedule: constant(200, 500*time.Millisecond), Plan: plan, Timeout: 320 * time.Millisecond,
					Client: open(t, ClientConfig{Client: client, Insecure: true, HTTP2: true, Connections: connections, Timeout: 320 * time.Millisecond})})
				require.NoError(t, err)
				all := run.Total[""]
				require.EqualValues(t, 100, all.Count)
				require.EqualValues(t, all.Count-all.Failed(), all.Success.Count())
				require.EqualValues(t, all.Failed(), all.Errors[kindTimeout]+all.Errors[kindPool], "%v", all.Errors)
				if all.Errors[kindPool] > 0 { // the handshake took longer than the first had time
					return fmt.Errorf("%s %d: %v", client, connections, all.Errors)
				}
				if all.Failed() > 0 {
					require.GreaterOrEqual(t, all.Response.Max(), 310*time.Millisecond)
				}
				// A stream that is reset before the server had time to look at it reaches nobody.
				if came, sent := uint64(server.requests.Load()), run.Counts.Sent+all.Repeats; came != sent {
					return fmt.Errorf("%s %d: %d came of %d: %v", client, connections, came, sent, all.Errors)
				}
				return nil
			})
		}
	}
}
