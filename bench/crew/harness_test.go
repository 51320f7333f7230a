package crew_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/crew"
	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
	"github.com/sluice-engine/sluice/bench/targets"
)

const token = "a token of all machines"

// workerProcess is a worker in a process of its own.
type workerProcess struct {
	address string
	cmd     *exec.Cmd
	mu      sync.Mutex
	lines   []string
	ended   chan struct{}
}

// startWorker starts one, by prefix in front of its command line.
func startWorker(t *testing.T, orders workerOrders, prefix ...string) *workerProcess {
	t.Helper()
	if orders.Listen == "" {
		orders.Listen = "127.0.0.1:0"
	}
	if orders.Kind == "" {
		orders.Kind = "plain"
	}
	text, err := json.Marshal(orders)
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	argv := append(prefix, self)
	w := &workerProcess{cmd: exec.Command(argv[0], argv[1:]...), ended: make(chan struct{})}
	w.cmd.Env = append(os.Environ(), workerVariable+"="+string(text))
	w.cmd.Stderr = os.Stderr
	stdin, err := w.cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := w.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, w.cmd.Start())
	listening := make(chan string, 1)
	go w.listen(stdout, listening)
	t.Cleanup(func() {
		stdin.Close()
		_ = w.cmd.Process.Kill()
		<-w.ended
		if t.Failed() {
			t.Logf("%s said:\n%s", orders.Name, strings.Join(w.said(), "\n"))
		}
	})
	select {
	case w.address = <-listening:
	case <-w.ended:
		t.Fatalf("the worker ended: %v", w.said())
	}
	return w
}

// startCoordinator starts one that nobody listens to.
func startCoordinator(t *testing.T, orders coordinatorOrders) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(orders)
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), coordinatorVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func (w *workerProcess) listen(out io.Reader, listening chan<- string) {
	defer close(w.ended)
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		var said map[string]string
		if json.Unmarshal(scanner.Bytes(), &said) != nil {
			continue
		}
		if address := said["listening"]; address != "" {
			listening <- address
			continue
		}
		w.mu.Lock()
		w.lines = append(w.lines, said["line"]+said["error"])
		w.mu.Unlock()
	}
	_ = w.cmd.Wait()
}

func (w *workerProcess) said() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.lines)
}

func (w *workerProcess) hasSaid(part string) bool {
	return slices.ContainsFunc(w.said(), func(line string) bool { return strings.Contains(line, part) })
}

// eventually waits for something that another process does.
func eventually(t *testing.T, limit time.Duration, what func() bool, about string) {
	t.Helper()
	if os.Getenv("DUMP") != "" {
		for end := time.Now().Add(limit); !what(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				f, _ := os.Create("/tmp/crew.dump")
				pprof.Lookup("goroutine").WriteTo(f, 2)
				f.Close()
				break
			}
		}
	}
	require.Eventually(t, what, limit, 20*time.Millisecond, about)
}

// team starts workers, and returns their addresses as well.
func team(t *testing.T, n int, orders workerOrders) ([]*workerProcess, []string) {
	t.Helper()
	workers, addresses := make([]*workerProcess, n), make([]string, n)
	for i := range n {
		o := orders
		o.Name, o.Token = fmt.Sprintf("m%d", i), token
		workers[i] = startWorker(t, o)
		addresses[i] = workers[i].address
	}
	return workers, addresses
}

// server counts requests by their number.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	counts map[uint64]int
	last   atomic.Int64
	open   atomic.Int64 // connections
}

func newServer(t *testing.T) *server {
	s := &server{counts: map[uint64]int{}}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s.last.Store(time.Now().UnixNano())
		n, err := strconv.ParseUint(r.Header.Get("X-Number")+r.URL.Query().Get("n"), 10, 64)
		if err == nil {
			s.mu.Lock()
			s.counts[n]++
			s.mu.Unlock()
		}
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.open.Add(1)
		case http.StateClosed, http.StateHijacked:
			s.open.Add(-1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// requireEachOnce requires that n requests came, each once.
func (s *server) requireEachOnce(t *testing.T, n uint64) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Len(t, s.counts, int(n))
	for k := range n {
		require.Equal(t, 1, s.counts[k], "arrival %d", k)
	}
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.counts)
}

func constantJob(url string, rate uint64, length time.Duration) crew.Job {
	spec := schedule.Constant(schedule.Rate{Requests: rate, Per: time.Second}, length)
	return crew.Job{
		Header:   results.Header{Model: "open", Schedule: spec, Planned: spec.Count(), Length: length},
		Schedule: &spec, Timeout: time.Second,
		Plan: targets.Plan{Chains: []targets.Chain{{Steps: []targets.Step{{URL: url}}}}},
	}
}

// tellings are what a coordinator says while it conducts.
type tellings struct {
	mu    sync.Mutex
	lines []string
	t     *testing.T
}

func (l *tellings) say(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

func (l *tellings) has(part string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.lines, func(line string) bool { return strings.Contains(line, part) })
}

func (l *tellings) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// config is a run of a job; a clock bound of a busy machine is wide.
func config(workers []string, job crew.Job, said *tellings) crew.Config {
	return crew.Config{
		Workers: workers, Security: crew.Security{Token: token}, Name: "coordinator", Job: job,
		ClockBound: 100 * time.Millisecond, Silence: 1500 * time.Millisecond, Say: said.say,
	}
}

// conduct runs in the background.
func conduct(ctx context.Context, cfg crew.Config) <-chan conducted {
	done := make(chan conducted, 1)
	go func() {
		run, err := crew.Run(ctx, cfg)
		done <- conducted{run, err}
	}()
	return done
}

type conducted struct {
	run *results.Run
	err error
}
