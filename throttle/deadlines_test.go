package throttle

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestALaneOfEqualPatienceHasOneDeadline(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 1, Per: time.Hour})
	granted(t, l, 0, "a")
	for i := range 1000 {
		now := time.Duration(i) * ms
		require.NoError(t, l.Acquire(now, &Permit{Limit: "a", Deadline: now + sec}))
	}
	require.Len(t, l.queue.deadlines.heap, 1)
	require.Len(t, drain(l, sec+499*ms), 500, "each in its time")
	require.Equal(t, 500, l.Len())
}

// Whoever comes, leaves, is taken back or is granted: each permit expires in the
// first look at or after its deadline, and nobody else does.
func TestEveryDeadlineIsKeptWhateverTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, err := New([]Limit{{ID: "a", Quota: 5, Per: sec}, {ID: "b", Linked: []Link{{ID: "a"}}}}, Options{})
		require.NoError(t, err)
		var now time.Duration
		var waiting, flying []*Permit
		for range 300 {
			now += time.Duration(rapid.IntRange(0, 60).Draw(t, "pause")) * ms
			for p := l.Next(now); p != nil; p = l.Next(now) {
				if p.State() == Granted {
					flying = append(flying, p)
				} else {
					require.LessOrEqual(t, p.Deadline, now)
				}
			}
			for _, p := range waiting {
				require.False(t, p.State() == Queued && p.Deadline != 0 && p.Deadline <= now, "%v waits at %v", p.Deadline, now)
			}
			if at, ok := l.Wake(); ok {
				for _, p := range waiting {
					require.False(t, p.State() == Queued && p.Deadline != 0 && p.Deadline < at, "nobody wakes for %v", p.Deadline)
				}
			}
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				if len(waiting) > 0 {
					l.Cancel(now, waiting[rapid.IntRange(0, len(waiting)-1).Draw(t, "who")])
				}
			case 1:
				if len(flying) > 0 {
					l.Settle(now, flying[0], Outcome{})
					flying = flying[1:]
				}
			case 2:
				if len(flying) > 0 {
					p := flying[len(flying)-1]
					flying = flying[:len(flying)-1]
					if l.Requeue(now, p) == nil && p.State() == Granted {
						flying = append(flying, p)
					} else {
						waiting = append(waiting, p)
					}
				}
			default:
				p := &Permit{Limit: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "limit"), Priority: Priority(rapid.IntRange(0, 1).Draw(t, "priority"))}
				if d := rapid.IntRange(0, 40).Draw(t, "patience"); d > 5 {
					p.Deadline = now + time.Duration(d)*50*ms
				}
				if l.Acquire(now, p) == nil {
					if p.State() == Granted {
						flying = append(flying, p)
					} else {
						waiting = append(waiting, p)
					}
				}
			}
		}
	})
}

// BenchmarkUnevenDeadlines is the backlog of a million in which everyone has a
// patience of their own.
func BenchmarkUnevenDeadlines(b *testing.B) {
	const quota, size = 1000, 1_000_000
	l := newLedger(b, Options{MaxQueued: 2 * size}, Limit{ID: "a", Quota: quota, Per: time.Second})
	rng := newRand(1)
	var now time.Duration
	join := func(p *Permit) {
		p.Deadline = now + 365*24*time.Hour + time.Duration(rng.Int64N(int64(365*24*time.Hour)))
		if err := l.Acquire(now, p); err != nil {
			b.Fatal(err)
		}
	}
	permits := make([]Permit, size)
	for i := range permits {
		permits[i].Limit = "a"
		join(&permits[i])
		if permits[i].State() == Granted {
			l.Settle(now, &permits[i], Outcome{})
		}
	}
	b.Run(fmt.Sprint("queued=", size), func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p := l.Next(now)
			for p == nil {
				now, _ = l.Wake()
				p = l.Next(now)
			}
			l.Settle(now, p, Outcome{})
			join(p)
		}
	})
}
