package crew

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
)

// oddLetter is well formed, and may make no sense at all.
func oddLetter(t *rapid.T, runs []string, parts *uint64) letter {
	l := letter{
		Version: Version, Run: rapid.SampledFrom(runs).Draw(t, "run"), Worker: rapid.SampledFrom([]int{-1, 0, 1, 2, 1 << 40}).Draw(t, "worker"),
		Reply: rapid.SampledFrom([]string{"", "127.0.0.1:1", ":", "127.0.0.1:99999", "\x00"}).Draw(t, "reply"),
	}
	length := time.Duration(rapid.SampledFrom([]int64{0, -1, 1, int64(2 * time.Second), 1<<63 - 1, -1 << 63}).Draw(t, "length"))
	switch rapid.IntRange(0, 12).Draw(t, "kind") {
	case 0, 1:
		l.Enlist = &enlist{Lease: length, Workers: rapid.IntRange(-1, 3).Draw(t, "workers")}
	case 2:
		l.Probe = &probe{Sent: length}
	case 3:
		l.Begin = &begin{At: length}
	case 4:
		l.Stop = &stop{Reason: "x"}
	case 5:
		l.Dismiss = &dismiss{}
	case 6:
		l.Enlisted = &enlisted{Name: "a\nb"}
	case 7:
		l.Refused = &refused{Reason: "\x1b[2J"}
	case 8:
		l.Reading = &reading{Sent: length, Clock: length, Begun: rapid.Bool().Draw(t, "begun"), Quiet: length}
	case 9:
		l.Snapshot = &live{results.Snapshot{Offered: 1 << 63}}
	case 10, 11:
		text := rapid.SampledFrom([]string{
			"", "{}", "null", `{"schedule":{}}`, `{"closed":{"Callers":-1}}`, `{"closed":{"Callers":1}}`, `{"ready":{}}`, `{"failed":"x"}`, `{"ended":{}}`,
			`{"interval":{"s":-1,"phase":"main"}}`, `{"interval":{"s":9223372036854775807,"phase":"main","ops":{"a":null},"gauges":{}}}`,
			`{"interval":{"s":1,"phase":"main","ops":{"a":{"n":1,"response":"!!"}}}}`, `[`,
		}).Draw(t, "text")
		l.Part = &part{Seq: *parts, Last: rapid.Bool().Draw(t, "last"), Data: []byte(text)}
		if rapid.Bool().Draw(t, "next") {
			*parts++
		}
	case 12:
		l.Taken = &taken{Next: rapid.SampledFrom([]uint64{0, 1, 2, 1<<64 - 1}).Draw(t, "next")}
	}
	return l
}

// Letters of those who know the token, in any order, make nobody panic: Receive would recover,
// and is left out here.
func TestNoOrderOfLettersMakesAMachinePanic(t *testing.T) {
	n, err := openNode("127.0.0.1", 0, Security{Token: goodToken}, workerDoor)
	require.NoError(t, err)
	n.close() // what is sent goes nowhere
	spec := schedule.Constant(schedule.Rate{Requests: 10, Per: time.Second}, time.Second)
	rapid.Check(t, func(t *rapid.T) {
		w := &worker{
			cfg:  WorkerConfig{Say: func(string) {}, Prepare: func(Job, Share) (Task, error) { return Task{}, nil }},
			node: n, clock: newDial(time.Now(), 0, 0), gone: make(chan struct{}),
		}
		job, err := json.Marshal(Job{Schedule: &spec})
		require.NoError(t, err)
		r := newRun(Config{Workers: []string{"127.0.0.1:1", "127.0.0.1:2"}, OnLost: Continue, Silence: time.Second, Job: Job{Schedule: &spec}}, n, job, []string{"", ""}, time.Now())
		g := &gathering{cfg: r.cfg, stands: r.stands, tell: func(any) {}}
		if rapid.Bool().Draw(t, "begun") {
			g.begin(started{time.Now(), results.Header{Machines: []string{"a", "b"}}})
		}
		var parts, reports uint64
		for i := range rapid.IntRange(1, 60).Draw(t, "letters") {
			w.read(encoded(t, oddLetter(t, []string{"a", "b"}, &parts)))
			r.read(encoded(t, oddLetter(t, []string{r.id, "b"}, &reports)), r.now())
			if rapid.IntRange(0, 3).Draw(t, "tick") == 0 {
				w.tick(time.Now().Add(time.Duration(i) * 100 * time.Millisecond))
				r.tick(r.now() + time.Duration(i)*100*time.Millisecond)
			}
			if rapid.IntRange(0, 3).Draw(t, "prepared") == 0 {
				w.prepared(prepared{run: "a"})
				w.finished(finished{run: "a"})
			}
			for len(r.news) > 0 {
				switch m := (<-r.news).(type) {
				case started:
					g.begin(m)
				case parcel:
					r.written(g.write(m), r.now())
				case outcome:
					_, _ = g.end(m)
				}
			}
		}
	})
}
