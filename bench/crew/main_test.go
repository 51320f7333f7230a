package crew_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
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

// partVariable names, in the environment, a file that says that this process plays a part in a
// test, and which. The library sets gRPC's logger with every system that it starts, and that is
// no process's but its first: so each machine is a process of its own.
const partVariable = "SLUICE_CREW_TEST_PART"

// role is what such a process is told: it is one of the two.
type role struct {
	Worker      *workerOrders
	Coordinator *coordinatorOrders
}

type workerOrders struct {
	Listen, Name, Token string
	Kind                string // of what it does: see prepares
	Skew                time.Duration
	Drift               float64
	Security            string // a folder with certificates; empty means none
}

type coordinatorOrders struct {
	Workers       []string
	Listen, Token string
	Advertise     string
	Job           crew.Job
	ClockBound    time.Duration
	Silence       time.Duration
	OnLost        crew.OnLost
	Out           string        // file of results
	Full          int           // it takes so many lines; 0 means all
	Slow          time.Duration // how long its third line takes
	Security      string
}

// said is a line of what it says.
type said struct {
	Listening string            `json:",omitempty"`
	Line      string            `json:",omitempty"`
	Snapshot  *results.Snapshot `json:",omitempty"`
	Error     string            `json:",omitempty"`
}

func TestMain(m *testing.M) {
	if name := os.Getenv(partVariable); name != "" {
		os.Exit(play(name))
	}
	flag.Parse()
	if limit := flag.Lookup("test.parallel"); limit.Value.String() == limit.DefValue {
		_ = limit.Value.Set("4") // they wait for the most part
	}
	goleak.VerifyTestMain(m)
}

func play(name string) int {
	var part role
	text, err := os.ReadFile(name)
	if err := errors.Join(err, json.Unmarshal(text, &part)); err != nil {
		panic(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	go func() { // it lives no longer than its test
		var b [1]byte
		_, _ = os.Stdin.Read(b[:])
		os.Exit(9)
	}()
	out := json.NewEncoder(os.Stdout)
	var mu sync.Mutex
	say := func(s said) {
		mu.Lock()
		defer mu.Unlock()
		_ = out.Encode(s)
	}
	if part.Worker != nil {
		err = part.Worker.work(ctx, say)
	} else {
		err = part.Coordinator.conduct(ctx, say)
	}
	if err != nil {
		say(said{Error: err.Error()})
		return 1
	}
	return 0
}

func (o *workerOrders) work(ctx context.Context, say func(said)) error {
	return crew.Serve(ctx, crew.WorkerConfig{
		Listen: o.Listen, Name: o.Name, Security: security(o.Token, o.Security),
		Prepare: prepares[o.Kind], Skew: o.Skew, Drift: o.Drift,
		Environment: results.Environment{Host: o.Name, CPUs: 2},
		Listening:   func(address string) { say(said{Listening: address}) },
		Say:         func(line string) { say(said{Line: line}) },
	})
}

// conduct also looks for what the run has left behind.
func (o *coordinatorOrders) conduct(ctx context.Context, say func(said)) error {
	before := goleak.IgnoreCurrent()
	cfg := crew.Config{
		Workers: o.Workers, Listen: o.Listen, Advertise: o.Advertise, Security: security(o.Token, o.Security), Name: "coordinator",
		Job: o.Job, ClockBound: o.ClockBound, Silence: o.Silence, OnLost: o.OnLost,
		Say:   func(line string) { say(said{Line: line}) },
		Watch: func(s results.Snapshot) { s.Header = results.Header{}; say(said{Snapshot: &s}) },
	}
	cfg.Open = func(h results.Header) (*results.Writer, error) {
		if o.Full > 0 {
			return results.NewWriter(&filling{left: o.Full}, h)
		}
		if o.Slow > 0 {
			file, err := os.Create(o.Out)
			if err != nil {
				return nil, err
			}
			return results.NewWriter(&stalling{file: file, lines: 3, stall: o.Slow}, h)
		}
		return results.Create(o.Out, h)
	}
	_, err := crew.Run(ctx, cfg)
	if err != nil {
		return err
	}
	var left error
	for range 25 { // a connection that failed is told to the library's actor two seconds later
		if left = goleak.Find(before); left == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return left
}

// stalling is a disk that takes its time once.
type stalling struct {
	file  *os.File
	lines int
	stall time.Duration
}

func (s *stalling) Write(b []byte) (int, error) {
	if s.lines--; s.lines == 0 {
		time.Sleep(s.stall)
	}
	return s.file.Write(b)
}

type filling struct{ left int }

func (f *filling) Write(b []byte) (int, error) {
	if f.left--; f.left < 0 {
		return 0, errors.New("the disk is full")
	}
	return len(b), nil
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
	answer, err := (&http.Client{Transport: p.transport, Timeout: 20 * time.Second}).Do(r)
	if err == nil {
		answer.Body.Close()
	}
}
