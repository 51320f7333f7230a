package kills

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/throttle"
)

// Limits are those of the server, one of every kind, each with the path of its name.
// A budget is what is admitted in all.
func Limits(budget int64) []throttle.Limit {
	limits := []throttle.Limit{
		{ID: "sliding", Quota: 150, Per: time.Second},
		{ID: "fixed", Window: throttle.Fixed, Quota: 150, Per: time.Second},
		{ID: "first", Window: throttle.FixedFromFirst, Quota: 150, Per: time.Second},
		{ID: "leaky", Window: throttle.Leaky, Quota: 100, Per: time.Second, Burst: 150},
		{ID: "open", Window: throttle.Concurrency, Quota: 12},
		{ID: "budget", Window: throttle.Lifetime, Quota: budget},
		{ID: "symbol", Quota: 40, Per: 2 * time.Second, Keyed: true},
		{ID: "signed", Quota: 400, Per: time.Second},
	}
	for i := range limits {
		limits[i].MaxDelay = mostDelay
	}
	return limits
}

const (
	// mostDelay is how long after the end of a process its last requests may be
	// counted: what the kernel has of them it delivers at once.
	mostDelay = time.Second
	openFor   = 5 * time.Millisecond // how long a request of "open" takes
	symbols   = 3
)

// books count what arrives.
type books struct {
	mu         sync.Mutex
	began      time.Time
	all        map[string]*book // by limit and key
	arrived    int
	violations []string
	nonces     map[uint64]int // the life that used each
	greatest   map[int]uint64 // of each life
	reused     []string
	limits     []throttle.Limit
}

func newBooks(limits []throttle.Limit) *books {
	return &books{began: time.Now(), all: map[string]*book{}, nonces: map[uint64]int{}, greatest: map[int]uint64{}, limits: limits}
}

// book counts one limit, or one key's instance of it, by definition.
type book struct {
	throttle.Limit
	log    []time.Time
	opened time.Time // of the present window
	count  int64     // in it, or in all, or open
	level  float64
	at     time.Time
	total  int64
	// fullest is the most that ever counted at once, of the most that may.
	fullest, most int64
}

// arrive counts one request, and returns what ends it.
func (b *books) arrive(id, key string) (leave func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.limits, func(l throttle.Limit) bool { return l.ID == id })
	if i < 0 {
		return func() {}
	}
	k := b.all[id+"/"+key]
	if k == nil {
		k = &book{Limit: b.limits[i]}
		b.all[id+"/"+key] = k
	}
	b.arrived++
	k.total++
	count, most := k.arrive(time.Now())
	k.fullest, k.most = max(k.fullest, count), most
	if count > most {
		b.violations = append(b.violations, fmt.Sprintf("%s: %d of %d", id+"/"+key, count, most))
	}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if k.Window == throttle.Concurrency {
			k.count--
		}
	}
}

func (k *book) arrive(now time.Time) (count, most int64) {
	switch k.Window {
	case throttle.Sliding:
		n, _ := slices.BinarySearchFunc(k.log, now.Add(-k.Per), time.Time.Compare)
		k.log = append(slices.Delete(k.log, 0, n), now)
		return int64(len(k.log)), k.Quota
	case throttle.Fixed:
		if start := now.Truncate(k.Per); !start.Equal(k.opened) {
			k.opened, k.count = start, 0
		}
	case throttle.FixedFromFirst:
		if now.Sub(k.opened) >= k.Per {
			k.opened, k.count = now, 0
		}
	case throttle.Leaky:
		if !k.at.IsZero() {
			k.level = max(0, k.level-now.Sub(k.at).Seconds()*float64(k.Quota)/k.Per.Seconds())
		}
		k.level++
		k.at = now
		return int64(math.Ceil(k.level - 1e-6)), k.Burst
	}
	k.count++
	return k.count, k.Quota
}

// nonce notes one that a process used. None may come twice, and none of a later
// process may be less than those of an earlier one.
func (b *books) nonce(life int, n uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if other, used := b.nonces[n]; used {
		b.reused = append(b.reused, fmt.Sprintf("%d by processes %d and %d", n, other, life))
	}
	b.nonces[n] = life
	for earlier, greatest := range b.greatest {
		if earlier < life && n <= greatest {
			b.reused = append(b.reused, fmt.Sprintf("%d by process %d, below %d by process %d", n, life, greatest, earlier))
		}
	}
	b.greatest[life] = max(b.greatest[life], n)
}
