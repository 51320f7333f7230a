package crew_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/bench/crew"
	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
)

// workerVariable says, in the environment, that this process is a worker of a test, and how.
const workerVariable = "SLUICE_CREW_TEST_WORKER"

// workerOrders are what such a worker is told.
type workerOrders struct {
	Listen, Name, Token string
	Kind                string // of what it does: see prepares
	Skew                time.Duration
	Drift               float64
}

// coordinatorVariable says that this process is a coordinator of a test, and of what.
const coordinatorVariable = "SLUICE_CREW_TEST_COORDINATOR"

type coordinatorOrders struct {
	Workers []string
	URL     string
}

func TestMain(m *testing.M) {
	if text := os.Getenv(workerVariable); text != "" {
		os.Exit(beWorker(text))
	}
	if text := os.Getenv(coordinatorVariable); text != "" {
		os.Exit(beCoordinator(text))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if code == 0 {
			// A connection that failed is told two seconds later to the actor that made it.
			for range 25 {
				if goleak.Find() == nil {
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			if err := goleak.Find(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
		os.Exit(code)
	}))
}

func beWorker(text string) int {
	var orders workerOrders
	if err := json.Unmarshal([]byte(text), &orders); err != nil {
		panic(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	go func() { // a worker lives no longer than its test
		var b [1]byte
		_, _ = os.Stdin.Read(b[:])
		os.Exit(9)
	}()
	out := json.NewEncoder(os.Stdout)
	var mu sync.Mutex
	say := func(key, value string) {
		mu.Lock()
		defer mu.Unlock()
		_ = out.Encode(map[string]string{key: value})
	}
	err := crew.Serve(ctx, crew.WorkerConfig{
		Listen: orders.Listen, Name: orders.Name, Security: crew.Security{Token: orders.Token},
		Prepare: prepares[orders.Kind], Skew: orders.Skew, Drift: orders.Drift,
		Environment: results.Environment{Host: orders.Name, CPUs: 2},
		Listening:   func(address string) { say("listening", address) },
		Say:         func(line string) { say("line", line) },
	})
	if err != nil {
		say("error", err.Error())
		return 1
	}
	return 0
}

func beCoordinator(text string) int {
	var orders coordinatorOrders
	if err := json.Unmarshal([]byte(text), &orders); err != nil {
		panic(err)
	}
	var said tellings
	_, err := crew.Run(context.Background(), config(orders.Workers, constantJob(orders.URL, 100, time.Minute), &said))
	fmt.Fprintln(os.Stderr, err, said.all())
	return 0
}

var prepares = map[string]crew.Prepare{
	"plain": preparePlain,
	"picky": func(crew.Job, crew.Share) (crew.Task, error) {
		return crew.Task{}, errors.New("there is no file limits.json on this machine")
	},
	"panic": func(crew.Job, crew.Share) (crew.Task, error) { panic("a bug") },
	"stuck": func(job crew.Job, share crew.Share) (crew.Task, error) {
		task, err := preparePlain(job, share)
		closed := make(chan struct{})
		task.Close = func() { close(closed) }
		task.Run = func(context.Context, time.Time, crew.Sink) (results.End, error) {
			<-closed // it heeds no ctx
			return results.End{}, errors.New("closed")
		}
		return task, err
	},
	"flood": func(job crew.Job, share crew.Share) (crew.Task, error) {
		return crew.Task{Run: func(_ context.Context, start time.Time, sink crew.Sink) (results.End, error) {
			time.Sleep(time.Until(start))
			for s := range 25 {
				o := &results.Operation{Count: 1, Errors: map[string]uint64{}}
				for k := range 2000 { // beyond what a part has room for
					o.Errors[fmt.Sprintf("kind %d of second %d of machine %d: %0100d", k, s, share.Worker, 0)]++
				}
				if s%10 != 0 {
					o.Errors = nil
				}
				sink.Interval(results.Interval{
					Second: s, Phase: results.Main, Offered: 1, Sent: 1, Completed: 1,
					Operations: map[string]*results.Operation{"GET /": o}, Gauges: &results.Gauges{InFlight: 1, Connections: 10},
				})
			}
			return results.End{Elapsed: time.Since(start), Reason: "finished"}, nil
		}}, nil
	},
}

// preparePlain makes one request an arrival, with its number in the header, and tells every
// tenth of a second what it did.
func preparePlain(job crew.Job, share crew.Share) (crew.Task, error) {
	all, err := job.Schedule.Schedule()
	if err != nil {
		return crew.Task{}, err
	}
	p := &plain{due: schedule.Dealt(all, share.Worker, share.Workers), share: share, url: job.Plan.Chains[0].Steps[0].URL, transport: &http.Transport{}}
	return crew.Task{Run: p.run, Close: p.transport.CloseIdleConnections}, nil
}

type plain struct {
	due       schedule.Schedule
	share     crew.Share
	url       string
	transport *http.Transport
}

func (p *plain) run(ctx context.Context, start time.Time, sink crew.Sink) (results.End, error) {
	var offered, completed uint64
	told := start
	o := &results.Operation{Response: results.NewHistogram()}
	tell := func() {
		second := int(time.Since(start) / time.Second)
		sink.Interval(results.Interval{
			Second: second, Phase: results.Main, Offered: o.Count, Sent: o.Count, Completed: o.Count,
			Operations: map[string]*results.Operation{"GET /": o},
		})
		sink.Snapshot(results.Snapshot{Offered: offered, Sent: completed, Completed: completed, Connections: 1})
		o = &results.Operation{Response: results.NewHistogram()}
		told = time.Now()
	}
	reason := "finished"
	for k := uint64(0); ; k++ {
		at, ok := p.due.At(k)
		if !ok {
			break
		}
		select {
		case <-time.After(time.Until(start.Add(at))):
		case <-ctx.Done():
			reason = "interrupted"
		}
		if reason != "finished" {
			break
		}
		n, _ := schedule.DealtNumber(k, p.share.Worker, p.share.Workers)
		offered++
		p.request(n)
		completed++
		o.Count++
		o.Response.Record(time.Since(start.Add(at)))
		if time.Since(told) > 100*time.Millisecond {
			tell()
		}
	}
	tell()
	return results.End{Elapsed: time.Since(start), Reason: reason}, nil
}

func (p *plain) request(n uint64) {
	r, err := http.NewRequest(http.MethodGet, p.url, nil)
	if err != nil {
		panic(err)
	}
	r.Header.Set("X-Number", strconv.FormatUint(n, 10))
	answer, err := (&http.Client{Transport: p.transport, Timeout: 2 * time.Second}).Do(r)
	if err == nil {
		answer.Body.Close()
	}
}
