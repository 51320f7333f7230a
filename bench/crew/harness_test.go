package crew_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/crew"
	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
	"github.com/sluice-engine/sluice/bench/targets"
)

const token = "a token of all machines"

// process is a machine of a test.
type process struct {
	address string // of a worker
	out     string // of a coordinator
	cmd     *exec.Cmd
	mu      sync.Mutex
	lines   []string
	shown   []results.Snapshot
	err     string
	ended   chan struct{}
}

// start starts one, with prefix in front of its command line.
func start(t *testing.T, part role, prefix ...string) *process {
	t.Helper()
	text, err := json.Marshal(part)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "part.json")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	self, err := os.Executable()
	require.NoError(t, err)
	argv := append(slices.Clone(prefix), self)
	p := &process{cmd: exec.Command(argv[0], argv[1:]...), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), partVariable+"="+file)
	p.cmd.Stderr = os.Stderr
	stdin, err := p.cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	listening := make(chan string, 1)
	go p.listen(stdout, listening)
	t.Cleanup(func() {
		if t.Failed() && os.Getenv("DUMP") != "" {
			_ = p.cmd.Process.Signal(syscall.SIGQUIT) // its goroutines
			time.Sleep(time.Second)
		}
		stdin.Close()
		_ = p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("%v said:\n%s", part.Worker, strings.Join(p.said(), "\n"))
		}
	})
	if part.Worker == nil {
		return p
	}
	select {
	case p.address = <-listening:
	case <-p.ended:
		t.Fatalf("the worker ended: %v", p.said())
	}
	return p
}

func startWorker(t *testing.T, orders workerOrders, prefix ...string) *process {
	t.Helper()
	if orders.Listen == "" {
		orders.Listen = "127.0.0.1:0"
	}
	if orders.Kind == "" {
		orders.Kind = "plain"
	}
	return start(t, role{Worker: &orders}, prefix...)
}

func (p *process) listen(out io.Reader, listening chan<- string) {
	defer close(p.ended)
	words := json.NewDecoder(out)
	for {
		var s said
		if words.Decode(&s) != nil {
			break
		}
		p.mu.Lock()
		switch {
		case s.Listening != "":
			listening <- s.Listening
		case s.Snapshot != nil:
			p.shown = append(p.shown, *s.Snapshot)
		default:
			p.lines = append(p.lines, s.Line+s.Error)
			p.err += s.Error
		}
		p.mu.Unlock()
	}
	_ = p.cmd.Wait()
}

func (p *process) said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines)
}

func (p *process) hasSaid(part string) bool {
	return slices.ContainsFunc(p.said(), func(line string) bool { return strings.Contains(line, part) })
}

// run waits for a coordinator's end, and returns what it has written.
func (p *process) run(t *testing.T) *results.Run {
	t.Helper()
	<-p.ended
	require.Empty(t, p.err, p.said())
	require.Zero(t, p.cmd.ProcessState.ExitCode())
	run, err := results.Open(p.out)
	require.NoError(t, err)
	require.True(t, run.Whole)
	return run
}

// refusal waits for a coordinator that cannot begin, and returns what it says.
func (p *process) refusal(t *testing.T) string {
	t.Helper()
	<-p.ended
	require.NotEmpty(t, p.err)
	return p.err
}

// clockBound is wide: the machine is busy.
const clockBound = 2 * time.Second

// conduct starts a coordinator.
func conduct(t *testing.T, workers []string, job crew.Job, change ...func(*coordinatorOrders)) *process {
	t.Helper()
	orders := coordinatorOrders{
		Workers: workers, Token: token, Job: job, ClockBound: clockBound, Silence: 20 * time.Second,
		Out: filepath.Join(t.TempDir(), "results.jsonl"),
	}
	for _, change := range change {
		change(&orders)
	}
	p := start(t, role{Coordinator: &orders})
	p.out = orders.Out
	return p
}

// eventually waits for something that another process does: as long as an idle machine takes
// at most, or a busy one.
func eventually(t *testing.T, limit time.Duration, what func() bool, about string) {
	t.Helper()
	require.Eventually(t, what, max(limit, time.Minute), 10*time.Millisecond, about)
}

// team starts workers, and returns their addresses as well.
func team(t *testing.T, n int, orders workerOrders) ([]*process, []string) {
	t.Helper()
	workers, addresses := make([]*process, n), make([]string, n)
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

func newServer(t *testing.T) *server { return newServerAt(t, "127.0.0.1:0") }

func newServerAt(t *testing.T, address string) *server {
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	s := &server{counts: map[uint64]int{}}
	s.Server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(s.answer)}}
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

// answer counts a request by the number in its header, or in its query.
func (s *server) answer(_ http.ResponseWriter, r *http.Request) {
	s.last.Store(time.Now().UnixNano())
	n, err := strconv.ParseUint(r.Header.Get("X-Number")+r.URL.Query().Get("n"), 10, 64)
	if err == nil {
		s.mu.Lock()
		s.counts[n]++
		s.mu.Unlock()
	}
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

// times is how often arrival n came.
func (s *server) times(n uint64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[n]
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

// security reads what certificates wrote into a folder.
func security(token, folder string) crew.Security {
	s := crew.Security{Token: token}
	if folder == "" {
		return s
	}
	own, err := tls.LoadX509KeyPair(filepath.Join(folder, "own.pem"), filepath.Join(folder, "own.key"))
	if err != nil {
		panic(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "ca.pem"))
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	s.Server = &tls.Config{Certificates: []tls.Certificate{own}, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert}
	s.Client = &tls.Config{Certificates: []tls.Certificate{own}, RootCAs: roots}
	return s
}

// certificates makes an authority and a certificate of 127.0.0.1 in a new folder.
func certificates(t *testing.T) string {
	folder := t.TempDir()
	write := func(name, kind string, der []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	make := func(template, parent *x509.Certificate, by any) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		template.SerialNumber, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(time.Hour)
		if by == nil {
			parent, by = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
		require.NoError(t, err)
		made, err := x509.ParseCertificate(der)
		require.NoError(t, err)
		return made, key
	}
	ca, caKey := make(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	own, ownKey := make(&x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, ca, caKey)
	raw, err := x509.MarshalPKCS8PrivateKey(ownKey)
	require.NoError(t, err)
	write("ca.pem", "CERTIFICATE", ca.Raw)
	write("own.pem", "CERTIFICATE", own.Raw)
	write("own.key", "PRIVATE KEY", raw)
	return folder
}
