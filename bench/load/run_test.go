package load

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/gauge/pressure"
	"github.com/sluice-engine/sluice/bench/schedule"
	"github.com/sluice-engine/sluice/bench/targets"
)

// constant is an open schedule of one rate.
func constant(perSecond uint64, length time.Duration) *schedule.Spec {
	spec := schedule.Constant(schedule.Rate{Requests: perSecond, Per: time.Second}, length)
	return &spec
}

func planOf(urls ...string) targets.Plan {
	var plan targets.Plan
	for _, url := range urls {
		plan.Chains = append(plan.Chains, targets.Chain{Steps: []targets.Step{{URL: url}}})
	}
	return plan
}

func open(t *testing.T, config ClientConfig) Client {
	t.Helper()
	client, err := Open(config)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

func TestEachClientMakesEveryRequestOfTheScheduleOnce(t *testing.T) {
	for _, name := range ClientNames() {
		t.Run(name, func(t *testing.T) {
			var served atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				served.Add(1)
				w.Write([]byte("hello"))
			}))
			defer server.Close()
			run, err := Run(context.Background(), Config{
				Schedule: constant(1000, 500*time.Millisecond),
				Plan:     planOf(server.URL + "/x"),
				Client:   open(t, ClientConfig{Client: name}),
			})
			require.NoError(t, err)
			all := run.Total[""]
			require.EqualValues(t, 500, served.Load())
			require.EqualValues(t, 500, all.Count)
			require.EqualValues(t, 500, all.Statuses[200])
			require.Empty(t, all.Errors)
			require.EqualValues(t, 2500, all.In)
			require.EqualValues(t, 500, all.Response.Count())
			require.EqualValues(t, 500, all.Success.Count())
			require.Positive(t, all.Connect.Count())
			require.True(t, run.Whole)
			require.Equal(t, "finished", run.End.Reason)
			require.Zero(t, run.End.Unfinished)
			var offered, sent, completed uint64
			for _, interval := range run.Series {
				offered, sent, completed = offered+interval.Offered, sent+interval.Sent, completed+interval.Completed
			}
			require.EqualValues(t, []uint64{500, 500, 500}, []uint64{offered, sent, completed})
			t.Log(all.Response.Quantiles(), all.Lag.Quantiles(), all.Service.Quantiles(), all.Connect.Quantiles(), all.Stages, run.End)
		})
	}
}

// What is offered is the schedule's to say: an engine that nobody has given limits does not take
// a refusal to heart.
func TestRefusalsDoNotSlowAScheduleDown(t *testing.T) {
	for _, name := range ClientNames() {
		t.Run(name, func(t *testing.T) {
			var served atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if served.Add(1)%10 == 0 {
					w.WriteHeader(http.StatusTooManyRequests)
				}
			}))
			defer server.Close()
			pressure.Try(t, 4, func() error {
				served.Store(0)
				run, err := Run(context.Background(), Config{
					Schedule: constant(500, time.Second),
					Plan:     planOf(server.URL + "/x"),
					Client:   open(t, ClientConfig{Client: name}),
				})
				require.NoError(t, err)
				require.EqualValues(t, 500, served.Load())
				require.EqualValues(t, 50, run.Total[""].Statuses[http.StatusTooManyRequests])
				require.EqualValues(t, 50, run.Total[""].Errors["status 429"])
				return within(run.Total[""].Response.Max(), time.Second-1, time.Second) // which is the shortest pause
			})
		})
	}
}

// A caller costs memory and a goroutine: those that could do nothing are not begun, however
// many were asked for.
func TestCallersThatWouldFindNothingToDoAreNotBegun(t *testing.T) {
	var served atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) }))
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	run, err := Run(ctx, Config{
		Closed: &Closed{Callers: MostCallers, Requests: 3}, Plan: planOf(server.URL), Client: open(t, ClientConfig{Connections: 3}),
	})
	require.NoError(t, err)
	require.NoError(t, ctx.Err())
	require.EqualValues(t, 3, served.Load())
	require.EqualValues(t, 3, run.Total[""].Count)
	_, err = Run(ctx, Config{Closed: &Closed{Callers: MostCallers + 1, Requests: 3}, Plan: planOf(server.URL), Client: open(t, ClientConfig{})})
	require.ErrorContains(t, err, "a closed run of 1000001 Callers: at most 1000000 can be")
}

func TestARateThatNoProcessCanIssueIsRefused(t *testing.T) {
	run := func(rate uint64, workers int) error {
		cfg := Config{Schedule: constant(rate, time.Second), Plan: planOf("http://a/"), Client: instant(), Workers: workers}
		return cfg.check()
	}
	require.NoError(t, run(MostRate, 0))
	require.ErrorContains(t, run(MostRate+1, 0), "stage 1: 10000001 requests a second: a process issues 10000000 at most")
	require.NoError(t, run(2*MostRate, 2))
	require.Error(t, run(2*MostRate+1, 2))
}

// As behind a sleep of the machine.
func TestARunThatIsFarBehindIsEndedAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, err := constant(1_000_000_000, time.Hour).Schedule()
	require.NoError(t, err)
	w := &waker{schedule: s, length: time.Hour, now: func() time.Duration { return time.Hour }, release: func(uint64) {}}
	counted := uint64(0)
	w.schedule = asked{s, func(n uint64) {
		if counted = n; n == mostAtOnce/2 {
			cancel()
		}
	}}
	w.run(ctx)
	require.LessOrEqual(t, counted, uint64(mostAtOnce))
}

// asked is a schedule that tells of each question.
type asked struct {
	schedule.Schedule
	tell func(n uint64)
}

func (a asked) At(n uint64) (time.Duration, bool) {
	a.tell(n)
	return a.Schedule.At(n)
}
