package results

import (
	"time"

	"github.com/sluice-engine/sluice/bench/schedule"
)

// Format is the first word of every file of results.
const Format = "sluice-results/1"

// Header is the first line of a file: all that is known before the first request.
type Header struct {
	Format      string        `json:"format"`
	ID          string        `json:"id"`             // of the run, random, the same on every machine of it
	Name        string        `json:"name,omitempty"` // what the user calls it
	Started     time.Time     `json:"started"`        // instant 0 of the schedule
	Model       string        `json:"model"`          // "open", or "closed", which omits what did not arrive
	Schedule    schedule.Spec `json:"schedule"`       // of an open run; Recorded is left out
	Planned     uint64        `json:"planned"`        // requests of the whole schedule, on each machine of several too; 0 if it has no end
	Length      time.Duration `json:"length"`         // of the schedule, or of the closed run; 0 if unknown
	WarmUp      time.Duration `json:"warmup,omitempty"`
	Callers     int           `json:"callers,omitempty"` // of a closed run
	Think       time.Duration `json:"think,omitempty"`   // of a closed run
	Client      string        `json:"client"`            // engine, nethttp, fasthttp, or a name of the user's
	Connections int           `json:"connections,omitempty"`
	Targets     []string      `json:"targets"` // operations, as in Operations
	Objectives  []string      `json:"objectives,omitempty"`
	Environment Environment   `json:"environment"`
	Machines    []string      `json:"machines,omitempty"` // of a merged run
}

// Environment is the machine and the program of a run.
type Environment struct {
	Host     string            `json:"host"`
	System   string            `json:"system"` // operating system and architecture
	CPU      string            `json:"cpu"`
	CPUs     int               `json:"cpus"`
	Procs    int               `json:"procs"` // GOMAXPROCS
	Go       string            `json:"go"`
	Commit   string            `json:"commit,omitempty"`
	Load     float64           `json:"load"` // average of a minute, before the run
	Modules  map[string]string `json:"modules,omitempty"`
	Governor string            `json:"governor,omitempty"`
}

// Phase is the part of a run.
type Phase string

// The phases. What belongs to a request is counted in the phase of its intended instant.
const (
	WarmUp Phase = "warmup"
	Main   Phase = "main"
)

// Interval is what one second adds to a run. It is a difference: a reader adds up all lines of
// the same second, of which there may be several, since a request counts in the second of its
// intended instant when its latency is meant, and in that of its end when throughput is.
type Interval struct {
	Second int   `json:"s"` // since Started; what is drained after the last second counts on
	Phase  Phase `json:"phase"`
	// Machine is whose these counts are, of a run on many; adding up takes no notice of it.
	Machine string `json:"machine,omitempty"`
	// Offered, Sent and Completed count by their own instants: due, first byte out, ended.
	Offered   uint64 `json:"offered,omitempty"`
	Sent      uint64 `json:"sent,omitempty"`
	Completed uint64 `json:"completed,omitempty"`
	// SentLate and CompletedLate are those of Sent and Completed whose instants were in the drain
	// of an open run: after its schedule, or after it was ended early. Old files do not tell.
	SentLate      uint64 `json:"sentLate,omitempty"`
	CompletedLate uint64 `json:"completedLate,omitempty"`
	// Operations are by intended instant.
	Operations map[string]*Operation `json:"ops,omitempty"`
	Gauges     *Gauges               `json:"gauges,omitempty"`
}

// InSchedule counts what an interval had while requests were issued: without the drain, as far as
// the file tells.
func (i *Interval) InSchedule() Counts {
	return Counts{Offered: i.Offered, Sent: i.Sent - min(i.Sent, i.SentLate), Completed: i.Completed - min(i.Completed, i.CompletedLate)}
}

// Gauges are read at the end of a second, and are the last or largest of their second.
type Gauges struct {
	InFlight    int           `json:"inflight"`
	Waiting     int           `json:"waiting"` // due and not sent
	Connections int           `json:"connections"`
	CPU         time.Duration `json:"cpu"`  // of this process, in this second
	Heap        uint64        `json:"heap"` // bytes in use
	GC          time.Duration `json:"gc"`   // paused in this second
	GCs         uint32        `json:"gcs"`
	Limits      []LimitUse    `json:"limits,omitempty"`
}

// LimitUse is how full a limit of the engine was.
type LimitUse struct {
	ID       string `json:"id"`
	Used     int64  `json:"used"`
	Quota    int64  `json:"quota"`
	Queued   int    `json:"queued,omitempty"`
	Refusals uint64 `json:"refusals,omitempty"` // answers that said too many, in this second
}

// Operation is what was measured of the requests of one operation in an interval.
type Operation struct {
	Count    uint64            `json:"n"`
	Statuses map[int]uint64    `json:"statuses,omitempty"`
	Errors   map[string]uint64 `json:"errors,omitempty"` // by kind: those with a status that is no success included, as "status 503"
	// Samples has the first message of each kind of error that has one, as KeepSample keeps it. It
	// holds nothing of headers and bodies, and no query of a URL.
	Samples map[string]string `json:"samples,omitempty"`
	In      uint64            `json:"in,omitempty"` // bytes of bodies
	Out     uint64            `json:"out,omitempty"`
	// Repeats are the times that the client sent a request again by itself: a server counts them,
	// and Sent does not.
	Repeats uint64 `json:"repeats,omitempty"`
	// Response is end − intended, of errors too, at their elapsed time: the headline.
	// Service is end − sent. Lag is handed − intended (in a chain, not before
	// the answer that a step waits for), which is the harness's own fault.
	// Wait is sent − handed, which is the client's: an engine's queue, or a wait for a connection.
	// Success is Response of those without an error. Connect is what setting up connections took.
	Response *Histogram `json:"response,omitempty"`
	Service  *Histogram `json:"service,omitempty"`
	Lag      *Histogram `json:"lag,omitempty"`
	Wait     *Histogram `json:"wait,omitempty"`
	Success  *Histogram `json:"success,omitempty"`
	Connect  *Histogram `json:"connect,omitempty"`
	Stages   Stages     `json:"stages"`
}

// Stages add up where requests' time went. What a client cannot tell stays zero.
type Stages struct {
	Queue   time.Duration `json:"queue,omitempty"`   // for a permit
	Lease   time.Duration `json:"lease,omitempty"`   // for a connection that exists
	Connect time.Duration `json:"connect,omitempty"` // names and TCP
	TLS     time.Duration `json:"tls,omitempty"`
	Send    time.Duration `json:"send,omitempty"`
	Wait    time.Duration `json:"wait,omitempty"` // for the first byte of the answer
	Receive time.Duration `json:"receive,omitempty"`
}

// End is the last line of a whole file. A file without it is of a run that crashed.
type End struct {
	Elapsed    time.Duration `json:"elapsed"`
	Issued     time.Duration `json:"issued,omitempty"` // for how long requests were issued, which the drain is no part of; 0 in old files
	Reason     string        `json:"reason"`           // "finished", "interrupted", "objective failed", "machine lost", …
	Unfinished uint64        `json:"unfinished"`       // outstanding when the drain ended: counted at their elapsed time
	NeverSent  uint64        `json:"neverSent"`        // of those, the ones that were not even sent, as far as is known: a lost machine does not tell
	Invalid    []string      `json:"invalid,omitempty"`
	Verdicts   []Verdict     `json:"verdicts,omitempty"`
	Notes      []string      `json:"notes,omitempty"`
}

// RatesOver is the time that rates of a run with this end are over: for how long requests were
// issued, and all that Elapsed where the file does not say. The last requests of a closed run
// are as much of it as the others, and so is the time that they took.
func (h Header) RatesOver(e End) time.Duration {
	if h.Model == "open" && e.Issued > 0 {
		return e.Issued
	}
	return e.Elapsed
}

// Verdict is what became of an objective.
type Verdict struct {
	Objective string `json:"objective"`
	Held      bool   `json:"held"`
	Measured  string `json:"measured"`
}

// Snapshot is a run as it stands, for live views. Quantiles are of the last seconds.
type Snapshot struct {
	Header                               Header
	Elapsed                              time.Duration
	Phase                                Phase
	Draining                             bool
	Offered, Sent, Completed, Failed     uint64
	InFlight, Waiting, Connections       int
	OfferedRate, SentRate, CompletedRate float64 // a second, over the last seconds
	Response, Service, Lag               Quantiles
	Total                                Quantiles // of Response, of the whole run
	Errors                               map[string]uint64
	Limits                               []LimitUse
	Invalid                              []string
	Verdicts                             []Verdict
	Ended                                bool
}

// Quantiles are the ones that are always shown.
type Quantiles struct{ P50, P90, P99, P999, Max time.Duration }
