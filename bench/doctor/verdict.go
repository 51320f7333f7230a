package doctor

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
)

// What is enough.
const (
	enoughFiles   = 20_000 // for 10,000 connections and their other ends on this machine
	leastFiles    = 1_024
	enoughPorts   = 16_000
	enoughBacklog = 1_024

	enoughRate = 20_000 // dispatched a second
	leastRate  = 1_000

	exactWaking  = time.Millisecond     // overshoot at p99 on an idle process
	coarseWaking = 5 * time.Millisecond // beyond it no schedule is kept

	stallTolerance = 0.05
	// stallFloor is what an answer may take beside the stall: it is not in the arithmetic.
	stallFloor = 10 * time.Millisecond
)

// notTold is what is found where the system says nothing.
func notTold(what string) Finding {
	return Finding{Level: Unknown, Found: what + " is not told by this system"}
}

func judgeProgram(e results.Environment) Finding {
	f := Finding{Level: OK, Found: fmt.Sprintf("%s, commit %s, on %s", e.Go, e.Commit, e.System)}
	switch {
	case e.Commit == "":
		return Finding{Level: Warn, Found: fmt.Sprintf("%s, of no known commit, on %s", e.Go, e.System),
			Advice: "build it in its repository (go build -buildvcs=true), so that results name what measured them"}
	case strings.HasSuffix(e.Commit, " modified"):
		f.Level, f.Advice = Warn, "commit what was changed, so that results name what measured them"
	}
	return f
}

func judgeProcessors(m machine) Finding {
	f := Finding{Level: OK, Found: fmt.Sprintf("%d processors, GOMAXPROCS %d", m.cpus, m.procs)}
	switch {
	case m.quota == nil:
		f.Found += ", a quota is not told by this system"
	case m.quota.limited:
		f.Found += fmt.Sprintf(", a quota of %.3g", m.quota.cpus)
	default:
		f.Found += ", no quota"
	}
	allowed := float64(m.cpus)
	if m.quota != nil && m.quota.limited {
		allowed = min(allowed, m.quota.cpus)
	}
	switch {
	case allowed < 1:
		f.Level, f.Advice = Fail, "a quota below one processor stops the harness in every period: grant it more"
	case float64(m.procs) > math.Max(2, math.Ceil(allowed)):
		f.Level, f.Advice = Warn, fmt.Sprintf("set GOMAXPROCS=%.0f: more threads than the quota feeds are all stopped at once when it is spent", math.Ceil(allowed))
	case float64(m.procs) < math.Floor(allowed):
		f.Level, f.Advice = Warn, fmt.Sprintf("GOMAXPROCS leaves processors idle: %.0f can be used", math.Floor(allowed))
	case m.cpus == 1:
		f.Level, f.Advice = Warn, "with one processor the waker waits for whatever runs: measure from a larger machine"
	}
	return f
}

func judgeLoad(m machine) Finding {
	if m.load == nil {
		return notTold("the load")
	}
	each := *m.load / float64(max(m.cpus, 1))
	f := Finding{Level: OK, Found: fmt.Sprintf("an average of %.2f in the last minute on %d processors", *m.load, m.cpus)}
	switch {
	case each > 1.5:
		f.Level, f.Advice = Fail, "others wait for the processors: end them, or measure elsewhere"
	case each > 0.4:
		f.Level, f.Advice = Warn, "others work on this machine: wait until they are done, or compare side by side (sluice ab)"
	}
	return f
}

func judgeGovernor(m machine) Finding {
	switch m.governor {
	case "":
		return notTold("the frequency governor")
	case "performance":
		return Finding{Level: OK, Found: m.governor}
	}
	return Finding{Level: Warn, Found: m.governor,
		Advice: "the clock follows the load, and latencies follow the clock: cpupower frequency-set -g performance"}
}

func judgeFiles(m machine) Finding {
	if m.files == nil {
		return notTold("the limit of open files")
	}
	f := Finding{Level: OK, Found: fmt.Sprintf("%d open files allowed", *m.files)}
	if *m.files == math.MaxUint64 || *m.files > math.MaxInt64 {
		f.Found = "any number of open files allowed"
	}
	advice := fmt.Sprintf("each connection takes one: ulimit -n %d", enoughFiles)
	switch {
	case *m.files < leastFiles:
		f.Level, f.Advice = Fail, advice
	case *m.files < enoughFiles:
		f.Level, f.Advice = Warn, advice
	}
	return f
}

func judgePorts(m machine) Finding {
	if m.ports == nil {
		return notTold("the range of ephemeral ports")
	}
	n := m.ports.count()
	f := Finding{Level: OK, Found: fmt.Sprintf("%d to %d: %d connections to each address and port", m.ports.first, m.ports.last, n)}
	if n < enoughPorts {
		f.Level, f.Advice = Warn, `sysctl -w net.ipv4.ip_local_port_range="1024 65535"`
	}
	if m.timeWait == nil {
		f.Found += "; those in TIME_WAIT are not told"
		return f
	}
	f.Found += fmt.Sprintf("; %d in TIME_WAIT", *m.timeWait)
	if *m.timeWait > n/2 {
		f.Level, f.Advice = Warn, "wait a minute until they are over, and keep connections alive"
	}
	if *m.timeWait > n*9/10 {
		f.Level = Fail
	}
	return f
}

func judgeBacklog(m machine) Finding {
	if m.backlog == nil {
		return notTold("somaxconn")
	}
	f := Finding{Level: OK, Found: fmt.Sprintf("%d connections may wait to be accepted by a server on this machine", *m.backlog)}
	if *m.backlog < enoughBacklog {
		f.Level, f.Advice = Warn, fmt.Sprintf("sysctl -w net.core.somaxconn=%d, if the server under test is here", 4*enoughBacklog)
	}
	return f
}

// judgeTimers looks at how the waker does for a millisecond, the sleep that it makes most.
func judgeTimers(table []Timer) Finding {
	var idle, busy *Timer
	for i, t := range table {
		if t.By == byWaker && t.Sleep == time.Millisecond && t.Count > 0 {
			if t.Busy {
				busy = &table[i]
			} else {
				idle = &table[i]
			}
		}
	}
	if idle == nil || busy == nil {
		return Finding{Level: Fail, Found: "the waker's sleep was not measured"}
	}
	f := Finding{Level: OK, Found: fmt.Sprintf("the waker is late by p50 %s, p99 %s; beside a busy goroutine by p99 %s",
		brief(idle.P50), brief(idle.P99), brief(busy.P99))}
	switch {
	case idle.P99 > coarseWaking:
		f.Level, f.Advice = Fail, "instants are missed by more than any schedule stands: end what else runs here"
	case idle.P99 > exactWaking || busy.P99 > coarseWaking:
		f.Level, f.Advice = Warn, "lag of that size is in every response: look at it beside the percentiles"
	}
	return f
}

// judgeStall compares what was measured with arithmetic.
func judgeStall(s *Stall) Finding {
	var parts []string
	off := false
	for _, q := range s.Quantiles {
		parts = append(parts, fmt.Sprintf("p%g %s of %s", 100*q.Share, brief(q.Measured), brief(q.Truth)))
		off = off || q.off()
	}
	f := Finding{Level: OK, Found: "measured and by arithmetic: " + strings.Join(parts, ", ")}
	switch {
	case len(s.Quantiles) == 0:
		return Finding{Level: Fail, Found: "the stall was not measured: " + strings.Join(s.Invalid, "; ")}
	case len(s.Invalid) > 0:
		f.Level = Fail
		f.Advice = "the harness was starved (" + s.Invalid[0] + "): end what else runs here, and look again"
	case off:
		f.Level, f.Advice = Fail, fmt.Sprintf("more than %.0f %% off, and the run calls itself valid: believe no percentile from here", 100*stallTolerance)
	}
	return f
}

func judgeDispatch(r *Rate) Finding {
	f := Finding{Level: OK, Found: fmt.Sprintf("%s requests a second to a client that does nothing, lag p99 %s", grouped(r.Highest), brief(r.Lag.P99))}
	switch {
	case r.Highest == 0:
		return Finding{Level: Fail, Found: "no rate was held: " + r.Why, Advice: "end what else runs here"}
	case r.Highest < leastRate:
		f.Level, f.Advice = Fail, "that is too few for any open run: end what else runs here"
	case r.Highest < enoughRate:
		f.Level, f.Advice = Warn, "share a larger rate among several machines (sluice worker)"
	}
	return f
}

func judgeHTTP(r *Rate) Finding {
	if r.Highest == 0 {
		return Finding{Level: Fail, Found: "no rate was answered in time: " + r.Why, Advice: "end what else runs here"}
	}
	f := Finding{Level: OK, Found: fmt.Sprintf("%s requests a second answered by a server on this machine, lag p99 %s", grouped(r.Highest), brief(r.Lag.P99))}
	if r.Highest < leastRate {
		f.Level, f.Advice = Warn, "end what else runs here, or share the rate among several machines (sluice worker)"
	}
	return f
}
