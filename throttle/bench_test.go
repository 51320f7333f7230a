package throttle

import (
	"fmt"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// twoLimits are an endpoint that charges a shared pool too.
func twoLimits(quota int64) []Limit {
	return []Limit{
		{ID: "pool", Quota: quota, Per: time.Second},
		{ID: "endpoint", Quota: quota, Per: time.Second, Linked: []Link{{ID: "pool", Weight: 1}}},
	}
}

// BenchmarkDecision is Acquire alone, with room and nobody waiting.
func BenchmarkDecision(b *testing.B) {
	for _, kind := range timedKinds {
		b.Run(kind.String(), func(b *testing.B) {
			l := uncontended(b, kind)
			permits := make([]Permit, 1024)
			now := time.Duration(0)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				p := &permits[i%len(permits)]
				if p.State() == Granted {
					b.StopTimer()
					now += time.Millisecond
					for j := range permits {
						l.Settle(now, &permits[j], Outcome{})
					}
					b.StartTimer()
				}
				p.Limit = "endpoint"
				if l.Acquire(now, p) != nil || p.State() != Granted {
					b.Fatal("no room")
				}
			}
		})
	}
}

// BenchmarkRoundTrip is Acquire and Settle, with room and nobody waiting.
func BenchmarkRoundTrip(b *testing.B) {
	for _, kind := range timedKinds {
		b.Run(kind.String(), func(b *testing.B) {
			l := uncontended(b, kind)
			p := &Permit{Limit: "endpoint"}
			now := time.Duration(0)
			b.ReportAllocs()
			for b.Loop() {
				now += 2 * time.Microsecond
				if l.Acquire(now, p) != nil || p.State() != Granted {
					b.Fatal("no room")
				}
				l.Settle(now, p, Outcome{})
			}
		})
	}
}

var timedKinds = []Window{Sliding, Fixed, FixedFromFirst, Leaky, Concurrency}

func uncontended(b *testing.B, kind Window) *Ledger {
	limits := twoLimits(1 << 24)
	limits[0].Window, limits[1].Window = kind, kind
	l := newLedger(b, Options{}, limits...)
	l.SetClock(0, 0, time.Millisecond)
	return l
}

// BenchmarkBacklog grants from a queue whose length never changes: whoever is
// granted is answered at once and queues again.
func BenchmarkBacklog(b *testing.B) {
	for _, size := range []int{100, 10_000, 1_000_000} {
		for _, lanes := range []int{1, 8, 32} {
			for _, deadline := range []bool{false, true} {
				b.Run(fmt.Sprintf("queued=%d/lanes=%d/deadlines=%t", size, lanes, deadline), func(b *testing.B) {
					backlog(b, size, lanes, deadline)
				})
			}
		}
	}
}

func backlog(b *testing.B, size, lanes int, deadline bool) {
	const quota = 1000
	limits := []Limit{{ID: "pool", Quota: quota, Per: time.Second}}
	for i := range lanes {
		limits = append(limits, Limit{ID: fmt.Sprint(i), Quota: quota, Per: time.Second, Linked: []Link{{ID: "pool"}}})
	}
	l := newLedger(b, Options{MaxQueued: size + quota}, limits...)
	var now time.Duration
	join := func(p *Permit) {
		if deadline {
			p.Deadline = now + 365*24*time.Hour
		}
		if err := l.Acquire(now, p); err != nil {
			b.Fatal(err)
		}
	}
	permits := make([]Permit, size+quota)
	for i := range permits {
		permits[i].Limit = limits[1+i%lanes].ID
		join(&permits[i])
		if permits[i].State() == Granted {
			l.Settle(now, &permits[i], Outcome{})
			now += time.Second / quota
			join(&permits[i])
		}
	}
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
}

func BenchmarkMillionQueued(b *testing.B) {
	for b.Loop() {
		before := heapInUse()
		l := newLedger(b, Options{}, twoLimits(1)...)
		permits := make([]Permit, 1_000_000)
		for i := range permits {
			permits[i] = Permit{Limit: "endpoint", Deadline: time.Hour * 10_000}
			if err := l.Acquire(0, &permits[i]); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(heapInUse()-before)/(1<<20), "MiB")
		runtime.KeepAlive(l)
		runtime.KeepAlive(permits)
	}
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestAPermitStaysSmall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(Permit{}), uintptr(256))
}

// BenchmarkGrantWithManyKeys grants to keys of which each waits at its own limit:
// whoever is granted is answered at once and queues again.
func BenchmarkGrantWithManyKeys(b *testing.B) {
	for _, keys := range []int{1, 100, 10_000, 100_000} {
		for _, shared := range sharedLimits(keys) {
			b.Run(fmt.Sprintf("keys=%d/shared=%s", keys, shared.name), func(b *testing.B) {
				c := newCrowd(b, keys, shared.limits)
				b.ReportAllocs()
				for b.Loop() {
					c.grant(b)
				}
			})
		}
	}
}

// A sharedLimit lies above the limits of keys, of which each lets one request a
// second through.
type sharedLimit struct {
	name   string
	limits []Limit
}

// sharedLimits are none, and one of each kind: that just about lets all through, and
// that lets a quarter through.
func sharedLimits(keys int) []sharedLimit {
	all := []sharedLimit{{name: "none"}}
	for _, kind := range []Window{Sliding, Fixed, Leaky} {
		for _, part := range []int{1, 4} {
			quota := int64(max(1, keys*10/part))
			all = append(all, sharedLimit{
				fmt.Sprintf("%v,1/%d", kind, part),
				[]Limit{{ID: "pool", Window: kind, Quota: quota, Per: 10 * time.Second}},
			})
		}
	}
	return all
}

// crowd is a request for each of many keys, which are granted again and again.
type crowd struct {
	l       *Ledger
	now     time.Duration
	permits []Permit
	grants  int
}

func newCrowd(t testing.TB, keys int, shared []Limit) *crowd {
	key := Limit{ID: "key", Quota: 1, Per: time.Second, Keyed: true}
	for _, s := range shared {
		key.Linked = append(key.Linked, Link{ID: s.ID, Weight: 1})
	}
	c := &crowd{l: exact(t, Options{}, append(shared, key)...), permits: make([]Permit, keys)}
	c.l.SetClock(0, 0, 0)
	for i := range c.permits {
		c.permits[i] = Permit{Limit: "key", Key: fmt.Sprint(i)}
		c.ask(t, &c.permits[i])
	}
	for range 25 * keys { // the first grants are those of windows that are empty yet
		c.grant(t)
	}
	return c
}

func (c *crowd) ask(t testing.TB, p *Permit) {
	if err := c.l.Acquire(c.now, p); err != nil {
		t.Fatal(err)
	}
	for p.State() == Granted {
		c.l.Settle(c.now, p, Outcome{})
		c.grants++
		if err := c.l.Acquire(c.now, p); err != nil {
			t.Fatal(err)
		}
	}
}

// grant goes on to the next grant.
func (c *crowd) grant(t testing.TB) {
	p := c.l.Next(c.now)
	for p == nil {
		at, ok := c.l.Wake()
		if !ok || at <= c.now {
			t.Fatalf("at %v: woken at %v, %t", c.now, at, ok)
		}
		c.now = at
		p = c.l.Next(c.now)
	}
	c.l.Settle(c.now, p, Outcome{})
	c.grants++
	c.ask(t, p)
}

// manyAccounts are 400 accounts that trade 250 symbols each, so that a limit told apart
// by both has 100,000 meters.
const (
	manyAccounts = 400
	manyKeys     = 250
)

// everybody is each account with each symbol, in no order.
func everybody() []Parts {
	accounts, keys := make([]string, manyAccounts), make([]string, manyKeys)
	for i := range accounts {
		accounts[i] = fmt.Sprint("account", i)
	}
	for i := range keys {
		keys[i] = fmt.Sprint("symbol", i)
	}
	all := make([]Parts, 0, manyAccounts*manyKeys)
	for _, account := range accounts {
		for _, key := range keys {
			all = append(all, Parts{Account: account, Key: key})
		}
	}
	newRand(1).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// BenchmarkDecisionWith400Accounts is Acquire and Settle, with room and nobody waiting,
// for one after the other of 100,000 meters, of which hardly any is in a cache. The
// permit is used again, as a client does. The meters are asked for in the order in which
// they were made, and so in the order in which they lie in memory, of which processors
// guess what comes next; or in any other, of which they cannot.
func BenchmarkDecisionWith400Accounts(b *testing.B) {
	for _, kind := range timedKinds {
		for _, order := range []string{"made", "random"} {
			b.Run(kind.String()+"/order="+order, func(b *testing.B) {
				limit := Limit{ID: "orders", Quota: 100, Per: perOf(kind, 10*time.Second), Window: kind, By: ByAccount | ByKey}
				if kind == Concurrency {
					limit.Per = 0
				}
				l := newLedger(b, Options{}, limit)
				l.SetClock(0, 0, time.Millisecond)
				all, p := everybody(), &Permit{Limit: "orders"}
				now := time.Duration(0)
				decide := func(of *Parts) {
					now += 2 * time.Microsecond
					p.Account, p.Key = of.Account, of.Key
					if l.Acquire(now, p) != nil || p.State() != Granted {
						b.Fatal("no room")
					}
					l.Settle(now, p, Outcome{})
				}
				for i := range all {
					decide(&all[i])
				}
				if order == "random" {
					newRand(2).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					decide(&all[i%len(all)])
				}
			})
		}
	}
}
