package journal_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/journal"
	"github.com/sluice-engine/sluice/memory"
	"github.com/sluice-engine/sluice/throttle"
)

// BenchmarkGrantAndSettle is what a permit that is charged to two limits costs the
// ledger, without a journal and with one.
func BenchmarkGrantAndSettle(b *testing.B) {
	for _, remembers := range []bool{false, true} {
		name := map[bool]string{false: "without", true: "with"}[remembers]
		b.Run(name, func(b *testing.B) {
			l, err := throttle.New([]throttle.Limit{
				{ID: "weight", Quota: 1 << 30, Per: time.Second},
				{ID: "order", Quota: 1 << 30, Per: time.Second, Linked: []throttle.Link{{ID: "weight", Weight: 4}}},
			}, throttle.Options{})
			require.NoError(b, err)
			epoch := time.Now()
			now := func() time.Duration { return time.Since(epoch) }
			var j *journal.Journal
			if remembers {
				j, _, err = journal.Open(journal.Needs{
					Memory: memory.File(filepath.Join(b.TempDir(), "memory")), Clock: memory.ThisMachine(), Now: now,
					Warn: func(text string, _ ...any) { b.Fatal(text) },
				})
				require.NoError(b, err)
				l.Record(j)
			}
			p := &throttle.Permit{Limit: "order"}
			b.ReportAllocs()
			for b.Loop() {
				at := now()
				if err := l.Acquire(at, p); err != nil {
					b.Fatal(err)
				}
				l.Settle(at, p, throttle.Outcome{})
			}
			if j != nil {
				b.ReportMetric(float64(j.Written())/float64(b.N), "written-B/op")
				require.NoError(b, j.Close())
			}
		})
	}
}
