package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sluice-engine/sluice/bench/load"
	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
	"github.com/sluice-engine/sluice/bench/slo"
	"github.com/sluice-engine/sluice/bench/targets"
	"github.com/sluice-engine/sluice/bench/venue"
	"github.com/sluice-engine/sluice/engine"
)

// loadFlags are what every verb understands that makes load: run, ab, search, capacity. A
// verb registers those groups that mean something for it, and asks for a plan.
type loadFlags struct {
	when  scheduleFlags
	what  targetFlags
	how   clientFlags
	judge judgeFlags
	name  string
	files namedFiles // that plan has read
}

// scheduleFlags say when requests are made.
type scheduleFlags struct {
	rate     string
	stages   []string
	poisson  bool
	seed     uint64
	replay   string
	speed    float64
	duration time.Duration
	warmUp   time.Duration
	requests uint64
	think    time.Duration
}

// targetFlags say what is sent.
type targetFlags struct {
	targets     string
	format      string
	base        string
	credentials bool
	data        string
	method      string
	header      []string
	body        string
	bodyFile    string
}

// clientFlags say what sends it, and how.
type clientFlags struct {
	client      string
	connections int
	inFlight    int
	config      string
	http2       bool
	insecure    bool
	caCert      string
	proxy       string
	noKeepAlive bool
	timeout     time.Duration
	drain       time.Duration
	named       []string // files that --config names, once it was read
	elsewhere   bool     // workers make the load, and the secrets of --config are theirs
}

// judgeFlags say what must hold.
type judgeFlags struct {
	objectives []string
	abortAfter time.Duration
}

const (
	defaultDuration = 10 * time.Second
	mostInFlight    = 100_000 // some gigabyte of goroutines: a run that is INVALID is better than none
)

// register adds all of them to a verb.
func (f *loadFlags) register(flags *pflag.FlagSet) {
	f.when.register(flags)
	f.registerWithoutSchedule(flags)
}

// registerWithoutSchedule is for verbs that find the rate, or the callers, themselves.
func (f *loadFlags) registerWithoutSchedule(flags *pflag.FlagSet) {
	f.what.register(flags)
	f.how.register(flags)
	f.judge.register(flags)
	flags.StringVar(&f.name, "name", "", "what the run is called in reports")
}

func (f *scheduleFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.rate, "rate", "", "open model: requests in a time, whatever the answers take, as 500/s or 30000/m; 500 means 500/s")
	flags.StringArrayVar(&f.stages, "stage", nil, "open model: a `time:rate`, as 30s:1000/s, or a ramp, as 30s:100/s-1000/s; repeat")
	flags.BoolVar(&f.poisson, "poisson", false, "arrivals at random, as those of many independent clients, instead of evenly spaced")
	flags.Uint64Var(&f.seed, "seed", 1, "of random arrivals and picks")
	flags.StringVar(&f.replay, "replay", "", "open model: requests of a cassette or an access log (`file`) at the instants it says")
	flags.Float64Var(&f.speed, "speed", 1, "how many times as fast as recorded --replay goes")
	flags.DurationVar(&f.duration, "duration", 0, "how long, the warm-up apart; 0 means 10s unless -n, --stage or --replay say it")
	flags.DurationVar(&f.warmUp, "warmup", 0, "how long the beginning is kept apart: before --duration, and within --stage")
	flags.Uint64VarP(&f.requests, "requests", "n", 0, "closed model: end after so many requests; 0 means after --duration")
	flags.DurationVar(&f.think, "think", 0, "closed model: the pause of a caller between an answer and its next request")
}

func (f *targetFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.targets, "targets", "", "requests of this `file`, which take turns, instead of URLs of the command line, which are picked equally often, in shuffled blocks; - is the input")
	flags.StringVar(&f.format, "format", string(targets.Auto), fmt.Sprintf("of --targets and --replay: %v", targets.Formats))
	flags.StringVar(&f.base, "base", "", "`URL` that targets beginning with / are joined to, as those of access logs do (default that of --config)")
	flags.BoolVar(&f.credentials, "credentials", false, "send the cookies and keys that a HAR or a cassette has, instead of leaving them out")
	flags.StringVar(&f.data, "data", "", "rows of this CSV `file` fill {{column}} in URLs, headers and bodies")
	flags.StringVarP(&f.method, "method", "m", "", "of the URLs of the command line (default GET, or POST with a body)")
	flags.StringArrayVarP(&f.header, "header", "H", nil, "a `'Name: value'` that is sent with every request; repeat")
	flags.StringVar(&f.body, "body", "", "sent with the URLs of the command line")
	flags.StringVar(&f.bodyFile, "body-file", "", "a `file` that is sent with the URLs of the command line")
}

func (f *clientFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.client, "client", load.Engine, "what sends: "+strings.Join(load.ClientNames(), ", "))
	flags.IntVarP(&f.connections, "connections", "c", 0, "connections to each origin at most; of a closed run its callers as well (default 1 caller, or as many connections as are needed)")
	flags.IntVar(&f.inFlight, "max-in-flight", mostInFlight, "requests at once at most; what is due beyond it waits in the harness, and is its lag; 0 means no bound but memory")
	flags.StringVar(&f.config, "config", "", "limits, accounts and connections of the engine, from this `file`")
	flags.BoolVar(&f.http2, "http2", false, "speak HTTP/2 to https origins (engine and nethttp); those of http speak HTTP/1.1, and the run notes it")
	flags.BoolVarP(&f.insecure, "insecure", "k", false, "believe any certificate")
	flags.StringVar(&f.caCert, "cacert", "", "believe certificates that those of this PEM `file` vouch for")
	flags.StringVar(&f.proxy, "proxy", "", "`URL` of a proxy: http, https or socks5")
	flags.BoolVar(&f.noKeepAlive, "no-keepalive", false, "a new connection for each request")
	flags.DurationVar(&f.timeout, "timeout", load.DefaultTimeout, "of each request; 0 means 30s")
	flags.DurationVar(&f.drain, "drain", 0, "how long outstanding requests are waited for at the end; 0 means --timeout and a second")
}

func (f *judgeFlags) register(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.objectives, "slo", nil, "an `objective` such as 'p99<5ms', 'errors<0.1%', 'achieved>99%'; repeat. One that fails is exit code 99")
	flags.DurationVar(&f.abortAfter, "abort-after", 0, "end early once an objective can hold no more, whatever is still to come, but not before this time; 0 means never")
}

// mistakes collects what is wrong with the flags, so that one line says all of it.
type mistakes []string

func (m *mistakes) add(format string, args ...any) { *m = append(*m, fmt.Sprintf(format, args...)) }

// note adds an error, if there is one, behind the flag that it is about.
func (m *mistakes) note(flag string, err error) {
	if err == nil {
		return
	}
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	if flag != "" {
		text = flag + ": " + text
	}
	*m = append(*m, text)
}

func (m mistakes) err() error {
	if len(m) == 0 {
		return nil
	}
	return errors.New(strings.Join(m, "; "))
}

// plan turns the flags, and URLs of the command line, into a run. The function closes what was
// opened for it, the client among them, and is not nil.
func (f *loadFlags) plan(urls []string) (load.Config, func(), error) {
	return f.planWith(urls, f.when.shape)
}

// planWithoutSchedule leaves Schedule and Closed to the verb.
func (f *loadFlags) planWithoutSchedule(urls []string) (load.Config, func(), error) {
	return f.planWith(urls, func(*load.Config, int, []time.Duration, *mistakes) {})
}

// planWith is told by shape when requests are made.
func (f *loadFlags) planWith(urls []string, shape func(*load.Config, int, []time.Duration, *mistakes)) (load.Config, func(), error) {
	var wrong mistakes
	cfg := load.Config{
		Header:      results.Header{Name: f.name},
		MaxInFlight: f.how.inFlight,
		Timeout:     f.how.timeout,
		Drain:       f.how.drain,
		Abort:       f.judge.abortAfter,
	}
	how := f.how.read(&wrong)
	if how.Engine != nil && f.what.base == "" {
		f.what.base = how.Engine.BaseURL
	}
	read := f.what.read(urls, f.when.replay, f.when.seed, &wrong)
	cfg.Plan, cfg.Notes = read.Plan, read.Notes
	if f.how.http2 && inTheClear(&cfg.Plan) {
		cfg.Notes = append(cfg.Notes, "--http2 is of https origins: requests to http:// spoke HTTP/1.1")
	}
	f.noteFiles(read)
	shape(&cfg, f.how.connections, read.Recorded, &wrong)
	cfg.Objectives = f.judge.read(&wrong)
	if len(wrong) == 0 {
		wrong.note("--slo", checkOperations(cfg))
	}
	if err := wrong.err(); err != nil {
		return load.Config{}, func() {}, err
	}
	if how.Connections == 0 && cfg.Closed != nil {
		how.Connections = cfg.Closed.Callers
	}
	client, err := load.Open(how)
	if err != nil {
		return load.Config{}, func() {}, err
	}
	cfg.Client = client
	cfg.Header.Client, cfg.Header.Connections = f.how.client, how.Connections
	return cfg, client.Close, nil
}

// noteFiles keeps the names of what was read, and of what that names in its turn.
func (f *loadFlags) noteFiles(read *targets.Read) {
	f.files = nil
	source := "--targets"
	if f.when.replay != "" {
		source = "--replay"
	}
	f.files.reads(source, f.what.targets, f.when.replay)
	f.files.reads(source, read.Files...)
	f.files.reads("--data", f.what.data)
	f.files.reads("--body-file", f.what.bodyFile)
	f.files.reads("--config", f.how.config)
	f.files.reads("--config", f.how.named...)
	f.files.reads("--cacert", f.how.caCert)
}

// checkOperations refuses objectives of operations that a plan, which is right, does not have.
func checkOperations(cfg load.Config) error {
	prepared, err := cfg.Plan.Prepare()
	if err != nil {
		return err
	}
	return slo.CheckOperations(cfg.Objectives, prepared.Operations())
}

// inTheClear says whether a request of a plan goes to an http origin, as far as that is known before
// templates are filled in.
func inTheClear(plan *targets.Plan) bool {
	clear := func(url string) bool { return strings.HasPrefix(strings.ToLower(url), "http://") }
	for _, chain := range plan.Chains {
		for _, step := range chain.Steps {
			if clear(step.URL) || strings.HasPrefix(step.URL, "/") && clear(plan.Base) {
				return true
			}
		}
	}
	return false
}

// readVenue reads the configuration of an engine, nil if there is an error, and says which files
// that names.
func readVenue(file string, elsewhere bool) (config *engine.Config, named []string, err error) {
	read, err := venue.ReadFile(file, venue.Options{Elsewhere: elsewhere, Reads: func(path string) { named = append(named, path) }})
	if err != nil {
		return nil, named, err
	}
	return &read, named, nil
}

// shape decides between the models and fills in the one that is meant.
func (f *scheduleFlags) shape(cfg *load.Config, callers int, recorded []time.Duration, wrong *mistakes) {
	ways := 0
	for _, given := range []bool{f.rate != "", len(f.stages) > 0, f.replay != ""} {
		if given {
			ways++
		}
	}
	f.check(wrong)
	switch {
	case ways > 1:
		wrong.add("--rate, --stage and --replay each say when requests are due: give one")
	case ways == 1:
		if f.requests > 0 || f.think > 0 {
			wrong.add("-n and --think are of the closed model, --rate, --stage and --replay of the open one")
		}
		cfg.Schedule = f.open(recorded, wrong)
		if len(*wrong) == 0 {
			wrong.note("", cfg.Schedule.Check())
		}
	case callers == 0 && f.requests == 0:
		wrong.add("say how much: --rate, --stage or --replay for the open model, -c or -n for the closed one")
	case callers > load.MostCallers:
		wrong.add("-c %d: a closed run has at most %d callers", callers, load.MostCallers)
	default:
		cfg.Closed = f.closed(callers)
	}
}

func (f *scheduleFlags) check(wrong *mistakes) {
	if f.duration < 0 || f.warmUp < 0 || f.think < 0 {
		wrong.add("--duration, --warmup and --think must not be below zero")
	}
	if !(f.speed > 0) {
		wrong.add("--speed %v: it must be above zero", f.speed)
	}
	if f.speed != 1 && f.replay == "" {
		wrong.add("--speed is for --replay")
	}
	if f.replay != "" && f.poisson {
		wrong.add("--poisson and --replay exclude one another")
	}
	if f.duration > 0 && (len(f.stages) > 0 || f.replay != "") {
		wrong.add("--duration is for --rate and the closed model: --stage and --replay say it themselves")
	}
}

func (f *scheduleFlags) closed(callers int) *load.Closed {
	closed := &load.Closed{Callers: max(callers, 1), Requests: f.requests, For: f.duration, WarmUp: f.warmUp, Think: f.think}
	if closed.Requests == 0 && closed.For == 0 {
		closed.For = defaultDuration
	}
	if closed.For > 0 {
		closed.For += f.warmUp
	}
	return closed
}

func (f *scheduleFlags) open(recorded []time.Duration, wrong *mistakes) *schedule.Spec {
	spec := &schedule.Spec{Poisson: f.poisson, Seed: f.seed, WarmUp: f.warmUp}
	switch {
	case f.replay != "":
		spec.Recorded, spec.Speed = recorded, f.speed
	case f.rate != "":
		rate, err := schedule.ParseRate(f.rate)
		wrong.note("--rate", err)
		length := f.duration
		if length == 0 {
			length = defaultDuration
		}
		spec.Stages = []schedule.Stage{{From: rate, To: rate, For: length + f.warmUp}}
	default:
		for _, text := range f.stages {
			stage, err := schedule.ParseStage(text)
			wrong.note("--stage", err)
			spec.Stages = append(spec.Stages, stage)
		}
	}
	return spec
}

func (f *targetFlags) read(urls []string, replay string, seed uint64, wrong *mistakes) *targets.Read {
	header := f.headers(wrong)
	read := f.source(urls, replay, wrong)
	addHeader(&read.Plan, header)
	read.Plan.Seed, read.Plan.Base = seed, cmp.Or(read.Plan.Base, f.base)
	if f.data != "" {
		var err error
		read.Plan.Data, err = targets.ReadData(f.data)
		wrong.note("--data", err)
	}
	if len(*wrong) == 0 {
		_, err := read.Plan.Prepare()
		wrong.note("", err)
	}
	return read
}

// source reads what is requested from the one place that was given.
func (f *targetFlags) source(urls []string, replay string, wrong *mistakes) *targets.Read {
	sources := 0
	for _, given := range []bool{len(urls) > 0, f.targets != "", replay != ""} {
		if given {
			sources++
		}
	}
	switch {
	case sources != 1:
		wrong.add("say what to request: URLs, --targets or --replay, one of them")
		return &targets.Read{}
	case replay != "":
		return f.file("--replay", replay, wrong)
	case f.targets != "":
		return f.file("--targets", f.targets, wrong)
	default:
		return &targets.Read{Plan: f.ofURLs(urls, wrong)}
	}
}

func (f *targetFlags) file(flag, name string, wrong *mistakes) *targets.Read {
	if f.method != "" || f.body != "" || f.bodyFile != "" {
		wrong.add("-m, --body and --body-file are of URLs of the command line, and %s has its own", flag)
	}
	format, err := targets.ParseFormat(f.format)
	wrong.note("--format", err)
	if err != nil {
		return &targets.Read{}
	}
	read, err := targets.ReadFile(name, format, targets.Options{Base: f.base, Credentials: f.credentials})
	wrong.note(flag, err)
	switch {
	case err != nil:
		return &targets.Read{}
	case flag == "--replay" && len(read.Recorded) == 0:
		wrong.add("--replay: %s is read as %s, and does not say when requests were made", name, read.Format)
	}
	return read
}

// headers reads -H, each "Name: value".
func (f *targetFlags) headers(wrong *mistakes) http.Header {
	header := make(http.Header)
	for _, line := range f.header {
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			wrong.add("-H %q: it must be 'Name: value'", line)
			continue
		}
		header.Add(name, strings.TrimSpace(value))
	}
	return header
}

// addHeader adds to every step what it has not itself.
func addHeader(plan *targets.Plan, header http.Header) {
	for c := range plan.Chains {
		for s := range plan.Chains[c].Steps {
			step := &plan.Chains[c].Steps[s]
			for name, values := range header {
				if len(step.Header.Values(name)) > 0 {
					continue
				}
				if step.Header == nil {
					step.Header = make(http.Header)
				}
				step.Header[name] = append([]string(nil), values...)
			}
		}
	}
}

func (f *targetFlags) ofURLs(urls []string, wrong *mistakes) targets.Plan {
	body := []byte(f.body)
	if f.bodyFile != "" {
		if f.body != "" {
			wrong.add("--body and --body-file exclude one another")
		}
		var err error
		body, err = os.ReadFile(f.bodyFile)
		wrong.note("--body-file", err)
	}
	method := strings.ToUpper(f.method)
	if method == "" && len(body) > 0 {
		method = http.MethodPost
	}
	var plan targets.Plan
	for _, url := range urls {
		if !strings.Contains(url, "://") && !strings.HasPrefix(url, "/") && !strings.HasPrefix(url, "{{") {
			url = "http://" + url
		}
		step := targets.Step{Method: method, URL: url, Body: bytes.Clone(body)}
		plan.Chains = append(plan.Chains, targets.Chain{Steps: []targets.Step{step}})
	}
	return plan
}

func (f *judgeFlags) read(wrong *mistakes) []slo.Objective {
	var objectives []slo.Objective
	for _, text := range f.objectives {
		objective, err := slo.Parse(text)
		wrong.note("--slo", err)
		objectives = append(objectives, objective)
	}
	if f.abortAfter < 0 {
		wrong.add("--abort-after must not be below zero")
	}
	if f.abortAfter > 0 && len(f.objectives) == 0 {
		wrong.add("--abort-after needs an objective: --slo")
	}
	return objectives
}

func (f *clientFlags) read(wrong *mistakes) load.ClientConfig {
	how := load.ClientConfig{
		Client: f.client, Connections: f.connections, HTTP2: f.http2, Insecure: f.insecure,
		NoKeepAlive: f.noKeepAlive, Timeout: f.timeout,
	}
	if f.connections < 0 || f.inFlight < 0 || f.timeout < 0 || f.drain < 0 {
		wrong.add("-c, --max-in-flight, --timeout and --drain must not be below zero")
	}
	var err error
	if f.caCert != "" {
		how.Roots, err = load.ReadRoots(f.caCert)
		wrong.note("--cacert", err)
	}
	if f.proxy != "" {
		how.Proxy, err = load.ParseProxy(f.proxy)
		wrong.note("--proxy", err)
	}
	if f.config != "" {
		if f.client != load.Engine {
			wrong.add("--config is for --client engine")
		}
		how.Engine, f.named, err = readVenue(f.config, f.elsewhere)
		wrong.note("--config", err)
	}
	unsigned := how // what is below zero was told
	unsigned.Connections, unsigned.Timeout = max(0, how.Connections), max(0, how.Timeout)
	wrong.note("--client", unsigned.Check())
	return how
}
