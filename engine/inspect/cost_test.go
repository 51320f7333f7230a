package inspect

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// used is an engine with so many meters in use, on a page.
func used(tb testing.TB, meters int) (*Page, *engine.Engine) {
	eng, err := engine.New(engine.Config{BaseURL: "http://api.test", Limits: []throttle.Limit{{ID: "l", Quota: 2, Per: time.Hour, By: throttle.ByKey}}})
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = eng.Close() })
	for i := range meters {
		permit, err := eng.TryAcquire(engine.Charge{LimitID: "l", Key: fmt.Sprint(i)})
		require.NoError(tb, err)
		permit.Done(engine.Done)
	}
	page := New(Config{})
	page.Attach("a", eng)
	return page, eng
}

// sent is how long a picture is, as it is sent to those who look.
func (p *Page) sent() int { return len(p.event(0)) }

func TestAPictureOfManyMetersIsNoDearerThanOneOfAsManyAsItShows(t *testing.T) {
	few, _ := used(t, 50)
	many, _ := used(t, 20_000)
	few.sent()
	many.sent()
	least := testing.AllocsPerRun(5, func() { few.sent() })
	most := testing.AllocsPerRun(5, func() { many.sent() })
	require.Less(t, most, 3*least, "%v allocations for 50, and %v for 20,000", least, most)
	require.Less(t, many.sent(), 64<<10, "bytes each second for each who looks")
}

func BenchmarkAPicture(b *testing.B) {
	for _, meters := range []int{10, 100_000} {
		page, eng := used(b, meters)
		b.Run(fmt.Sprintf("sent/meters=%d", meters), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				page.sent()
			}
			b.ReportMetric(float64(page.sent()), "bytes-sent")
		})
		b.Run(fmt.Sprintf("glance/meters=%d", meters), func(b *testing.B) {
			for b.Loop() {
				eng.Glance(50)
			}
		})
		b.Run(fmt.Sprintf("stats for comparison/meters=%d", meters), func(b *testing.B) {
			for b.Loop() {
				_, _ = json.Marshal(eng.Stats())
			}
		})
	}
}
