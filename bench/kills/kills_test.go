package kills

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/throttle"
)

// The process that is killed is this test program again.
const inChild = "SLUICE_KILLS_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(inChild) != "" {
		if err := Work(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func run(t *testing.T, cfg Config) *Result {
	t.Setenv(inChild, "yes")
	self, err := os.Executable()
	require.NoError(t, err)
	cfg.Child, cfg.Least, cfg.Most = []string{self}, 20*time.Millisecond, 150*time.Millisecond
	r, err := Run(t.Context(), cfg)
	require.NoError(t, err)
	require.Equal(t, cfg.Kills, r.Kills)
	return r
}

func TestNoLimitIsBrokenAndNoNonceUsedTwiceHoweverOftenAProcessIsKilled(t *testing.T) {
	r := run(t, Config{Kills: 20, Seed: uint64(time.Now().UnixNano())})
	var text bytes.Buffer
	require.NoError(t, r.WriteText(&text))
	require.Zero(t, r.Found(), text.String())
	require.Greater(t, r.Requests, 100, text.String())
	require.Less(t, r.PerRequest(), 200.0)
}

func TestProcessesWithoutAMemoryAreFoundOut(t *testing.T) {
	r := run(t, Config{Kills: 12, Seed: 1, Forget: true})
	require.NotEmpty(t, r.Violations)
}

func TestTheBooksCountByDefinition(t *testing.T) {
	b := newBooks(Limits(3))
	for range 3 {
		b.arrive("budget", "")()
	}
	require.Empty(t, b.violations)
	b.arrive("budget", "")()
	require.Equal(t, []string{"budget/: 4 of 3"}, b.violations)
	b.arrive("what is not there", "")()
	for range 12 {
		defer b.arrive("open", "")()
	}
	require.Len(t, b.violations, 1)
	b.arrive("open", "")()
	require.Len(t, b.violations, 2)
	at := time.Unix(1000, 0)
	for _, kind := range []throttle.Window{throttle.Sliding, throttle.Fixed, throttle.FixedFromFirst, throttle.Leaky} {
		k := &book{Limit: throttle.Limit{Window: kind, Quota: 2, Per: time.Second, Burst: 2}}
		for i, want := range []int64{1, 2, 3} {
			count, most := k.arrive(at.Add(time.Duration(i) * time.Millisecond))
			require.Equal(t, want, count, kind)
			require.EqualValues(t, 2, most, kind)
		}
		count, _ := k.arrive(at.Add(3 * time.Second))
		require.EqualValues(t, 1, count, kind)
	}
}

// What is beside each limit can be compared with it: one that holds is never above 100 %, though
// a bucket lets its burst through beside what runs out of it.
func TestALimitIsToldAtItsFullestByItsOwnDefinition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &runner{books: newBooks(Limits(100)), result: &Result{}}
		for range 249 {
			r.books.arrive("leaky", "")
			r.books.arrive("open", "")()
			time.Sleep(4 * time.Millisecond)
		}
		r.result.Took = time.Second // in which the bucket's rate alone is 100
		r.sum()
		require.Empty(t, r.result.Violations)
		require.Equal(t, []Usage{{ID: "leaky/", Total: 249, Fullest: 150, Most: 150}, {ID: "open/", Total: 249, Fullest: 1, Most: 12}}, r.result.Used)
		var text bytes.Buffer
		require.NoError(t, r.result.WriteText(&text))
		require.Contains(t, text.String(), "leaky/            249 requests, at the fullest 100 % of the limit: 150 of 150\n")
		require.Contains(t, text.String(), "open/             249 requests, at the fullest   8 % of the limit: 1 of 12\n")
	})
}

func TestANonceThatComesTwiceOrFallsIsFound(t *testing.T) {
	b := newBooks(nil)
	b.nonce(1, 10)
	b.nonce(1, 9)
	b.nonce(2, 11)
	require.Empty(t, b.reused)
	b.nonce(1, 11)
	require.Len(t, b.reused, 1)
	b.nonce(3, 5)
	require.Len(t, b.reused, 3)
}
