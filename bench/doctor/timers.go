package doctor

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/bench/load"
	"github.com/sluice-engine/sluice/bench/results"
)

// Timer is how late a sleep of a length is over: what it lasted beyond that.
type Timer struct {
	By    string        `json:"by"` // what slept: time.Sleep, or the waker of open runs
	Sleep time.Duration `json:"sleep_ns"`
	Busy  bool          `json:"busy,omitempty"` // another goroutine worked all the while
	Count uint64        `json:"count"`
	P50   time.Duration `json:"p50_ns"`
	P99   time.Duration `json:"p99_ns"`
}

const (
	bySleep = "time.Sleep"
	byWaker = "waker"
)

var sleeps = []time.Duration{50 * time.Microsecond, 100 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 10 * time.Millisecond}

func (e *examination) timers() Finding {
	alarm := load.NewAlarm()
	defer alarm.Close()
	e.report.Timers = timerTable(e.ctx, e.lasting(400*time.Millisecond, 80*time.Millisecond), map[string]func(time.Duration){
		bySleep: time.Sleep,
		byWaker: func(d time.Duration) { alarm.Sleep(e.ctx, d) },
	})
	return judgeTimers(e.report.Timers)
}

// timerTable measures every sleep by either for so long, idle and beside a busy goroutine.
func timerTable(ctx context.Context, each time.Duration, by map[string]func(time.Duration)) (table []Timer) {
	for _, busy := range []bool{false, true} {
		done := func() {}
		if busy {
			done = keepBusy()
		}
		for _, name := range []string{bySleep, byWaker} {
			for _, d := range sleeps {
				if ctx.Err() == nil {
					t := overshoot(ctx, by[name], d, each)
					t.By, t.Busy = name, busy
					table = append(table, t)
				}
			}
		}
		done()
	}
	return table
}

// overshoot sleeps again and again until a time is over, and at least a few times.
func overshoot(ctx context.Context, sleep func(time.Duration), d, each time.Duration) Timer {
	late := results.NewHistogram()
	began := time.Now()
	for last := began; (last.Sub(began) < each || late.Count() < 3) && ctx.Err() == nil; {
		sleep(d)
		now := time.Now()
		late.Record(now.Sub(last) - d)
		last = now
	}
	return Timer{Sleep: d, Count: late.Count(), P50: late.Quantile(0.5), P99: late.Quantile(0.99)}
}

// keepBusy has a goroutine work until done is called.
func keepBusy() (done func()) {
	var stop atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for !stop.Load() {
		}
	}()
	return func() { stop.Store(true); <-ended }
}
