package report

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strconv"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sluice-engine/sluice/bench/results"
)

// JSONFormat is the first value of a JSON report. Names stay what they are within it.
const JSONFormat = "sluice-report/1"

// document is the JSON report. Names that end in _s are seconds, in _us microseconds, in
// _per_s numbers a second, in _bytes bytes; all others count.
type document struct {
	Format      string              `json:"format"`
	Verdict     documentVerdict     `json:"verdict"`
	Run         documentRun         `json:"run"`
	Environment results.Environment `json:"environment"`
	Requests    documentRequests    `json:"requests"`
	All         documentOperation   `json:"all"`
	Operations  []documentOperation `json:"operations"` // of the main part, each by its name
	WarmUp      *documentOperation  `json:"warmup,omitempty"`
	Intervals   []documentInterval  `json:"intervals"`
}

type documentVerdict struct {
	Word          string            `json:"word"` // VALID, INVALID, INCOMPLETE
	Valid         bool              `json:"valid"`
	Whole         bool              `json:"whole"`
	Reasons       []string          `json:"reasons"`
	NoneSucceeded bool              `json:"no_request_succeeded"`
	Failed        int               `json:"objectives_failed"`
	Objectives    []results.Verdict `json:"objectives"`
	Notes         []string          `json:"notes"`
}

type documentRun struct {
	ID          string          `json:"id"`
	Name        string          `json:"name"`
	Started     time.Time       `json:"started"`
	Model       string          `json:"model"`
	Client      string          `json:"client"`
	Connections int             `json:"connections"`
	Callers     int             `json:"callers"`
	Planned     uint64          `json:"planned"`
	Think       float64         `json:"think_s"`
	Length      float64         `json:"length_s"`
	WarmUp      float64         `json:"warmup_s"`
	Elapsed     float64         `json:"elapsed_s"`
	Issued      float64         `json:"issued_s"`
	Reason      string          `json:"reason"`
	Poisson     bool            `json:"poisson"`
	Seed        uint64          `json:"seed"`
	Speed       float64         `json:"speed,omitempty"`
	Stages      []documentStage `json:"stages"`
	Machines    []string        `json:"machines"`
}

type documentStage struct {
	From float64 `json:"from_per_s"`
	To   float64 `json:"to_per_s"`
	For  float64 `json:"for_s"`
}

type documentRequests struct {
	Over          float64 `json:"over_s"`
	Offered       uint64  `json:"offered"`
	Sent          uint64  `json:"sent"`
	Completed     uint64  `json:"completed"`
	Failed        uint64  `json:"failed"`
	Unfinished    uint64  `json:"unfinished"`
	NeverSent     uint64  `json:"never_sent"`
	OfferedRate   float64 `json:"offered_per_s"`
	SentRate      float64 `json:"sent_per_s"`
	CompletedRate float64 `json:"completed_per_s"`
}

type documentOperation struct {
	Name     string             `json:"name"`
	Count    uint64             `json:"count"`
	Failed   uint64             `json:"failed"`
	Statuses map[string]uint64  `json:"statuses"`
	Errors   map[string]uint64  `json:"errors"`
	Samples  map[string]string  `json:"samples"`
	In       uint64             `json:"in_bytes"`
	Out      uint64             `json:"out_bytes"`
	Repeats  uint64             `json:"repeats"`
	Response *documentLatency   `json:"response"`
	Service  *documentLatency   `json:"service"`
	Lag      *documentLatency   `json:"lag"`
	Wait     *documentLatency   `json:"wait"`
	Success  *documentLatency   `json:"success"`
	Connect  *documentLatency   `json:"connect"`
	Stages   map[string]float64 `json:"stages_s"` // added up
}

// documentLatency is null where nothing was measured.
type documentLatency struct {
	Count uint64  `json:"count"`
	Min   float64 `json:"min_us"`
	Mean  float64 `json:"mean_us"`
	P50   float64 `json:"p50_us"`
	P90   float64 `json:"p90_us"`
	P99   float64 `json:"p99_us"`
	P999  float64 `json:"p99_9_us"`
	Max   float64 `json:"max_us"`
}

type documentInterval struct {
	Second    int              `json:"second_s"`
	Length    int              `json:"length_s"`
	Phase     string           `json:"phase"`
	Offered   uint64           `json:"offered"`
	Sent      uint64           `json:"sent"`
	Completed uint64           `json:"completed"`
	Count     uint64           `json:"count"` // of those due in it
	Failed    uint64           `json:"failed"`
	Response  *documentLatency `json:"response"`
	Service   *documentLatency `json:"service"`
	Lag       *documentLatency `json:"lag"`
	Gauges    *documentGauges  `json:"gauges"`
}

type documentGauges struct {
	InFlight    int                `json:"in_flight"`
	Waiting     int                `json:"waiting"`
	Connections int                `json:"connections"`
	CPU         float64            `json:"cpu_s"`
	Heap        uint64             `json:"heap_bytes"`
	GC          float64            `json:"gc_s"`
	GCs         uint32             `json:"gcs"`
	Limits      []results.LimitUse `json:"limits"`
}

// JSON writes everything that was measured, but for the histograms, in one document.
func JSON(w io.Writer, run *results.Run) error {
	d := document{
		Format: JSONFormat, Verdict: verdictOf(run), Run: runOf(run), Environment: run.Header.Environment,
		Requests: requestsOf(run), All: documentOf("", operation(run.Total, "")),
		Operations: []documentOperation{}, Intervals: []documentInterval{},
	}
	for _, name := range operationsOf(run) {
		d.Operations = append(d.Operations, documentOf(name, operation(run.Total, name)))
	}
	if warm := operation(run.Warm, ""); warm.Count > 0 {
		told := documentOf("", warm)
		d.WarmUp = &told
	}
	for i := range run.Series {
		d.Intervals = append(d.Intervals, intervalOf(&run.Series[i], run.Step))
	}
	raw, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(visible(raw), '\n'))
	return err
}

// visible escapes what encoding/json leaves and a terminal could obey: it is all in strings.
func visible(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for _, r := range string(raw) {
		if r == '\n' || unicode.IsPrint(r) {
			out = utf8.AppendRune(out, r)
			continue
		}
		for _, half := range utf16.AppendRune(nil, r) {
			out = fmt.Appendf(out, `\u%04x`, half)
		}
	}
	return out
}

func verdictOf(run *results.Run) documentVerdict {
	o := Judge(run)
	return documentVerdict{
		Word: o.Word, Valid: o.Valid(), Whole: run.Whole, Reasons: orEmpty(o.Reasons), NoneSucceeded: o.NoneSucceeded, Failed: o.Failed(),
		Objectives: orEmpty(o.Verdicts), Notes: orEmpty(run.End.Notes),
	}
}

func orEmpty[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

func runOf(run *results.Run) documentRun {
	h := run.Header
	d := documentRun{
		ID: h.ID, Name: h.Name, Started: h.Started, Model: h.Model, Client: h.Client, Connections: h.Connections,
		Callers: h.Callers, Planned: h.Planned, Think: h.Think.Seconds(), Length: h.Length.Seconds(), WarmUp: h.WarmUp.Seconds(),
		Elapsed: elapsedOf(run).Seconds(), Issued: run.End.Issued.Seconds(), Reason: run.End.Reason, Poisson: h.Schedule.Poisson, Seed: h.Schedule.Seed,
		Speed: h.Schedule.Speed, Stages: []documentStage{}, Machines: orEmpty(h.Machines),
	}
	for _, s := range h.Schedule.Stages {
		d.Stages = append(d.Stages, documentStage{From: s.From.PerSecond(), To: s.To.PerSecond(), For: s.For.Seconds()})
	}
	return d
}

func requestsOf(run *results.Run) documentRequests {
	c := countsOf(run)
	return documentRequests{
		Over: c.over.Seconds(), Offered: c.Offered, Sent: c.Sent, Completed: c.Completed, Failed: operation(run.Total, "").Failed(),
		Unfinished: run.End.Unfinished, NeverSent: run.End.NeverSent,
		OfferedRate: c.rate(c.Offered), SentRate: c.sentRate(), CompletedRate: c.completedRate(),
	}
}

func documentOf(name string, o *results.Operation) documentOperation {
	d := documentOperation{
		Name: name, Count: o.Count, Failed: o.Failed(), Statuses: map[string]uint64{}, Errors: map[string]uint64{}, Samples: map[string]string{}, In: o.In, Out: o.Out, Repeats: o.Repeats,
		Response: latencyOf(o.Response), Service: latencyOf(o.Service), Lag: latencyOf(o.Lag), Wait: latencyOf(o.Wait),
		Success: latencyOf(o.Success), Connect: latencyOf(o.Connect), Stages: map[string]float64{},
	}
	for status, n := range o.Statuses {
		d.Statuses[strconv.Itoa(status)] = n
	}
	for kind, n := range o.Errors {
		d.Errors[kind] = n
	}
	maps.Copy(d.Samples, o.Samples)
	for _, s := range stagesOf(o.Stages) {
		d.Stages[s.key] = s.took.Seconds()
	}
	return d
}

func microseconds(d time.Duration) float64 { return float64(d) / 1e3 }

func latencyOf(h *results.Histogram) *documentLatency {
	if h.Count() == 0 {
		return nil
	}
	q := h.Quantiles()
	return &documentLatency{
		Count: h.Count(), Min: microseconds(h.Min()), Mean: microseconds(h.Mean()),
		P50: microseconds(q.P50), P90: microseconds(q.P90), P99: microseconds(q.P99), P999: microseconds(q.P999), Max: microseconds(q.Max),
	}
}

func intervalOf(i *results.Interval, step int) documentInterval {
	all := i.All()
	d := documentInterval{
		Second: i.Second, Length: step, Phase: string(i.Phase), Offered: i.Offered, Sent: i.Sent, Completed: i.Completed,
		Count: all.Count, Failed: all.Failed(),
		Response: latencyOf(all.Response), Service: latencyOf(all.Service), Lag: latencyOf(all.Lag),
	}
	if g := i.Gauges; g != nil {
		d.Gauges = &documentGauges{
			InFlight: g.InFlight, Waiting: g.Waiting, Connections: g.Connections, CPU: g.CPU.Seconds(), Heap: g.Heap,
			GC: g.GC.Seconds(), GCs: g.GCs, Limits: orEmpty(g.Limits),
		}
	}
	return d
}
