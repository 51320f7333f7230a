package pressure

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/bench/gauge"
)

// Reading is what the machine did in a time.
type Reading struct {
	Known  bool          // false: this system does not tell
	Length time.Duration // of the time
	// Average is the share in percent of the last ten seconds in which some thread waited for
	// a processor, and Waited for how long that was so within the time itself.
	Average float64
	Waited  time.Duration
	// Others is the processor time of everybody but this process, and Stolen what the host
	// gave to other machines. Processors have Length each.
	Others, Stolen time.Duration
	Processors     int
}

// The least that counts as pressure: somebody waits for a tenth of the time while others use a
// tenth of the processors, or for a twentieth of it while they use half of them, or the host
// takes a twentieth of them away.
const (
	waitedPart   = 10
	othersPart   = 10
	halfUsedPart = 20
	stolenPart   = 20
)

// Pressed says whether being late is the machine's fault. Waiting alone does not make it so:
// threads of the process itself may be what it waits for.
func (r Reading) Pressed() bool {
	if !r.Known || r.Length <= 0 {
		return false
	}
	processors := r.Length * time.Duration(max(1, r.Processors))
	waited := r.Waited >= r.Length/waitedPart && r.Others >= processors/othersPart ||
		r.Waited >= r.Length/halfUsedPart && r.Others >= processors/2
	return waited || r.Stolen >= processors/stolenPart
}

// String is the reading in words, for a test that says why it gives up.
func (r Reading) String() string {
	if !r.Known {
		return "how busy the machine was is not known here"
	}
	return fmt.Sprintf("in %v a processor was waited for during %v (avg10 %.1f%%), others used %v of %d processors, the host took %v",
		r.Length.Round(time.Millisecond), r.Waited.Round(time.Millisecond), r.Average, r.Others.Round(time.Millisecond), r.Processors, r.Stolen.Round(time.Millisecond))
}

// counters are sums since the machine was started.
type counters struct {
	known                     bool
	at                        time.Time
	average                   float64
	waited, busy, stolen, own time.Duration
}

func read() counters {
	c := counters{at: time.Now()}
	pressure, err := os.ReadFile("/proc/pressure/cpu")
	if err != nil {
		return c
	}
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return c
	}
	var told, counted bool
	c.average, c.waited, told = parsePressure(string(pressure))
	c.busy, c.stolen, counted = parseStat(string(stat))
	c.own, err = gauge.CPUTime()
	c.known = told && counted && err == nil
	return c
}

// since returns what has grown from earlier to c.
func (c counters) since(earlier counters) Reading {
	return Reading{
		Known: c.known && earlier.known, Length: c.at.Sub(earlier.at), Average: c.average, Waited: c.waited - earlier.waited,
		Others: max(0, c.busy-earlier.busy-(c.own-earlier.own)), Stolen: c.stolen - earlier.stolen, Processors: runtime.NumCPU(),
	}
}

// parsePressure reads the line "some avg10=1.50 avg60=… avg300=… total=microseconds".
func parsePressure(text string) (average float64, total time.Duration, ok bool) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) != 5 || fields[0] != "some" {
		return 0, 0, false
	}
	average, err := strconv.ParseFloat(strings.TrimPrefix(fields[1], "avg10="), 64)
	if err != nil {
		return 0, 0, false
	}
	micros, err := strconv.ParseInt(strings.TrimPrefix(fields[4], "total="), 10, 64)
	return average, time.Duration(micros) * time.Microsecond, err == nil
}

// tick is the unit of /proc/stat: a hundredth of a second on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// parseStat reads the line "cpu user nice system idle iowait irq softirq steal …".
func parseStat(text string) (busy, stolen time.Duration, ok bool) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, 0, false
	}
	for i, field := range fields[1:9] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, 0, false
		}
		switch i {
		case 3, 4: // nobody's
		case 7:
			stolen = time.Duration(n) * tick
		default:
			busy += time.Duration(n) * tick
		}
	}
	return busy, stolen, true
}
