package load

import (
	"fmt"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
)

// Evidence is what the verdict on a run's validity is judged by: the main part alone, the
// warm-up apart, and of an open run, since a closed one has no rate to hold.
type Evidence struct {
	// Offered are the arrivals that were due. HandedInTime are those of them that the client
	// was given before the end of the schedule, or within Grace after it. NeverHanded were
	// not given to it at all.
	Offered, HandedInTime, NeverHanded uint64
	// Refused are those for which this machine had no descriptor, port or memory, so that they
	// failed, or waited for a connection of others.
	Refused uint64
	// Lag and Response are of the main part.
	Lag, Response *results.Histogram
	// Asleep is for how long, in all, the waker slept beyond the instant that it wanted to
	// wake at, and Longest the longest such time. Length is that of the run.
	Asleep, Longest, Length time.Duration
	// Drowsed is the same as Asleep of the drain, which took Drained.
	Drowsed, Drained time.Duration
	// Bound says that MaxInFlight was reached while arrivals waited.
	Bound int
}

const (
	// lagFloor is a lag that is never held against a harness: what a timer and a scheduler
	// take on a machine that has other things to do, too.
	lagFloor = 2 * time.Millisecond
	lagShare = 10   // the lag may be one part in so many of the response, at p99
	heldPart = 0.99 // of the rate that must be achieved
	hiccups  = 2    // late requests that are no verdict, however few there are in all
)

// Grace is how much later than the end of a schedule of a length its last requests may be
// handed to the client.
func Grace(length time.Duration) time.Duration { return max(10*time.Millisecond, length/200) }

// Judge says in which ways the harness could not hold the rate, each in a sentence; nil means
// that the run is valid. What the server or the client is slow at is no reason: requests wait
// for connections and for limits within the client, which is Wait, and part of the response.
// Lag is before that. A bound of MaxInFlight is the harness's own, since what it holds back
// reaches no client.
func (e Evidence) Judge() []string {
	var invalid []string
	if e.Offered == 0 {
		return []string{"nothing was due: there is nothing to be judged"}
	}
	because := ""
	if e.Bound > 0 {
		because = fmt.Sprintf(": %d requests at once are all that MaxInFlight allows", e.Bound)
	}
	if float64(e.HandedInTime) < heldPart*float64(e.Offered) && e.Offered-e.HandedInTime > hiccups {
		invalid = append(invalid, fmt.Sprintf("achieved %.1f%% of the rate: %d of %d requests were handed over in time%s",
			100*float64(e.HandedInTime)/float64(e.Offered), e.HandedInTime, e.Offered, because))
	}
	if lag, bound, late := e.late(); late {
		invalid = append(invalid, fmt.Sprintf("the harness was late: lag p99 %v is over %v, a tenth of the response's p99 and at least %v%s",
			round(lag), round(bound), lagFloor, because))
	}
	invalid = append(invalid, e.JudgeSystem()...)
	if e.NeverHanded > 0 {
		invalid = append(invalid, fmt.Sprintf("%d requests that were due were never handed to the client%s", e.NeverHanded, because))
	}
	return append(invalid, e.drowsy()...)
}

// drowsy says that the process stood still for a fiftieth of the run, or of the run with its
// drain.
func (e Evidence) drowsy() []string {
	asleep, length := e.Asleep, e.Length
	if asleep <= length/50 {
		asleep, length = asleep+e.Drowsed, length+e.Drained
	}
	if length == 0 || asleep <= length/50 || e.Longest <= lagFloor {
		return nil
	}
	return []string{fmt.Sprintf("the harness was not woken in time: it overslept %v of %v, at most %v at once; this machine has too much to do",
		round(asleep), round(length), round(e.Longest))}
}

// JudgeSystem is the part of Judge that a closed run, which has no rate to hold, is judged by as
// well: what this machine cannot do is not the server's failure.
func (e Evidence) JudgeSystem() []string {
	if e.Refused == 0 {
		return nil
	}
	return []string{fmt.Sprintf("this machine refused %d requests a descriptor, a port or memory: have fewer connections, or raise its limits (ulimit -n)", e.Refused)}
}

// late compares the lag with what is allowed. Of few requests the two worst are left aside:
// one hiccup of the system is no verdict.
func (e Evidence) late() (lag, bound time.Duration, late bool) {
	n := e.Lag.Count()
	if n == 0 {
		return 0, 0, false
	}
	share := min(0.99, 1-float64(hiccups)/float64(n))
	if share <= 0 {
		return 0, 0, false
	}
	lag, bound = e.Lag.Quantile(share), max(lagFloor, e.Response.Quantile(0.99)/lagShare)
	return lag, bound, lag > bound
}

func round(d time.Duration) time.Duration {
	if d >= time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}
