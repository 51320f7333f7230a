package results

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// anyDuration draws as many short as long ones, and some that lie outside.
func anyDuration() *rapid.Generator[time.Duration] {
	return rapid.Custom(func(t *rapid.T) time.Duration {
		octave := rapid.IntRange(0, 43).Draw(t, "octave")
		d := rapid.Int64Range(0, 1<<octave).Draw(t, "duration")
		if rapid.IntRange(0, 20).Draw(t, "negative") == 0 {
			d = -d
		}
		return time.Duration(d)
	})
}

// clamped is the oracle's view of what is counted.
func clamped(d time.Duration) time.Duration { return min(max(d, 0), time.Hour) }

func TestAQuantileIsThatOfTheSortedDurationsToAThousandth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(anyDuration(), 1, 300).Draw(t, "all")
		h := NewHistogram()
		for i, d := range all {
			h.Record(d)
			all[i] = clamped(d)
		}
		if rapid.Bool().Draw(t, "compacted") {
			h.Compact()
		}
		slices.Sort(all)
		q := rapid.OneOf(rapid.SampledFrom([]float64{0, 0.5, 0.9, 0.99, 0.999, 1}), rapid.Float64Range(0, 1)).Draw(t, "q")
		at := max(1, min(len(all), int(math.Ceil(q*float64(len(all))-1e-9))))
		exact, got := all[at-1], h.Quantile(q)
		require.GreaterOrEqual(t, got, exact)
		require.LessOrEqual(t, got-exact, max(63, exact/1000), "quantile %v of %v", q, all)
		require.Equal(t, uint64(len(all)), h.Count())
		require.InDelta(t, all[0], h.Min(), float64(max(64, all[0]/1000)))
		require.InDelta(t, all[len(all)-1], h.Max(), float64(max(64, all[len(all)-1]/1000)))
		var sum float64
		for _, d := range all {
			sum += float64(d)
		}
		mean := sum / float64(len(all))
		require.InDelta(t, mean, float64(h.Mean()), max(64, mean/1000))
	})
}

func TestSharesThatFloatingPointMissesAreMetExactly(t *testing.T) {
	h := NewHistogram()
	for i := 1; i <= 100; i++ {
		h.Record(time.Duration(i) * time.Second)
	}
	for i := 1; i <= 100; i++ {
		require.InDelta(t, float64(i), h.Quantile(float64(i)/100).Seconds(), float64(i)/1000, "p%d", i)
	}
	require.Equal(t, h.Min(), time.Duration(edgeBelow(time.Second)))
	require.Equal(t, h.Quantile(0), h.Quantile(math.NaN()))
	require.Equal(t, h.Quantile(0), h.Quantile(-1))
	require.Equal(t, h.Max(), h.Quantile(7))
}

func edgeBelow(d time.Duration) int64 {
	first, _ := edges(indexOf(int64(d)))
	return first
}

func TestEveryCounterHasItsOwnValuesAndNoGapLiesBetween(t *testing.T) {
	next := int64(0)
	for i := range counters {
		first, last := edges(i)
		require.Equal(t, next, first)
		if last <= highest {
			require.Equal(t, i, indexOf(first))
			require.Equal(t, i, indexOf(last))
		}
		next = last + 1
	}
	require.Greater(t, next, highest)
	reference := hdrhistogram.New(lowest, highest, digits)
	require.Len(t, reference.Export().Counts, counters)
}

func TestTheLibraryReadsWhatIsWrittenHereAndTheOtherWayRound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(anyDuration(), 0, 100).Draw(t, "all")
		counts := rapid.SliceOfN(rapid.Uint64Range(1, 1<<50), len(all), len(all)).Draw(t, "counts")
		h, reference := NewHistogram(), hdrhistogram.New(lowest, highest, digits)
		for i, d := range all {
			h.RecordN(d, counts[i])
			require.NoError(t, reference.RecordValues(int64(clamped(d)), int64(counts[i])))
		}
		read, err := hdrhistogram.Decode(h.Encode())
		require.NoError(t, err)
		require.True(t, reference.Equals(read))
		require.True(t, reference.Equals(h.HDR()))

		encoded, err := reference.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
		require.NoError(t, err)
		back, err := Decode(encoded)
		require.NoError(t, err)
		requireEqualHistograms(t, h, back)
		if len(all) > 0 {
			require.Equal(t, reference.Max(), int64(h.Max()))
			require.Equal(t, h.packedPayload(), back.packed, "the library's payload, byte for byte")
		}
	})
}

func (h *Histogram) packedPayload() []byte { return h.payload(nil) }

func requireEqualHistograms(t require.TestingT, want, got *Histogram) {
	require.Equal(t, counted(want), counted(got))
	require.Equal(t, want.Count(), got.Count())
}

func counted(h *Histogram) map[int]uint64 {
	all := map[int]uint64{}
	h.each(func(i int, n uint64) bool { all[i] = n; return true })
	return all
}

func TestAHistogramIsItselfAgainAfterJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := NewHistogram()
		for _, d := range rapid.SliceOfN(anyDuration(), 0, 50).Draw(t, "all") {
			h.Record(d)
		}
		raw, err := json.Marshal(h)
		require.NoError(t, err)
		back := NewHistogram()
		back.Record(time.Second) // is forgotten
		require.NoError(t, json.Unmarshal(raw, back))
		requireEqualHistograms(t, h, back)
		back.Record(time.Minute) // can go on
		h.Record(time.Minute)
		requireEqualHistograms(t, h, back)
	})
	raw, err := json.Marshal(struct{ A, B *Histogram }{A: NewHistogram()})
	require.NoError(t, err)
	require.JSONEq(t, `{"A":"","B":null}`, string(raw))
}

func TestMergingIsRecordingBoth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, both := NewHistogram(), NewHistogram(), NewHistogram()
		for _, d := range rapid.SliceOf(anyDuration()).Draw(t, "a") {
			a.Record(d)
			both.Record(d)
		}
		for _, d := range rapid.SliceOf(anyDuration()).Draw(t, "b") {
			b.Record(d)
			both.Record(d)
		}
		if rapid.Bool().Draw(t, "compacted") {
			b.Compact()
		}
		before := counted(b)
		sum := a.Clone()
		sum.Merge(b)
		sum.Merge(nil)
		requireEqualHistograms(t, both, sum)
		require.Equal(t, before, counted(b), "the other is as it was")
		compact := a.Clone()
		compact.mergeCompactly(b)
		compact.mergeCompactly(nil)
		require.Nil(t, compact.table)
		requireEqualHistograms(t, both, compact)
		require.Equal(t, both.payload(nil), compact.payload(nil), "one way to write it")
		require.Equal(t, before, counted(b))
		sum.Merge(sum)
		require.Equal(t, 2*both.Count(), sum.Count())
	})
}

func TestAResetHistogramIsEmptyAndKeepsItsMemory(t *testing.T) {
	h := NewHistogram()
	h.RecordN(time.Millisecond, 5)
	h.Reset()
	require.Zero(t, h.Count())
	require.Zero(t, h.Max())
	require.Zero(t, testing.AllocsPerRun(100, func() { h.Record(time.Millisecond); h.Reset() }))
	h.Record(time.Second)
	h.Compact()
	h.Reset()
	require.Zero(t, h.Count())
	require.Empty(t, counted(h))
}

func TestCountsStopWhereTheEncodingDoes(t *testing.T) {
	h := NewHistogram()
	h.RecordN(time.Second, math.MaxUint64)
	h.RecordN(time.Minute, math.MaxUint64)
	h.Record(time.Millisecond)
	require.Equal(t, uint64(math.MaxInt64), h.Count())
	require.Equal(t, map[int]uint64{indexOf(int64(time.Second)): math.MaxInt64}, counted(h))
	back, err := Decode(h.Encode())
	require.NoError(t, err)
	requireEqualHistograms(t, h, back)
	other := h.Clone()
	other.Merge(h)
	require.Equal(t, uint64(math.MaxInt64), other.Count())
	require.InDelta(t, 1, h.Mean().Seconds(), 0.001)
	other = h.Clone()
	other.mergeCompactly(h)
	require.Equal(t, uint64(math.MaxInt64), other.Count())
}

func TestAnHistogramOfNothingIsZeroAllOver(t *testing.T) {
	for _, h := range []*Histogram{nil, {}, NewHistogram()} {
		require.Zero(t, h.Count())
		require.Zero(t, h.Max())
		require.Zero(t, h.Min())
		require.Zero(t, h.Mean())
		require.Zero(t, h.Above(0))
		require.Zero(t, h.Quantiles())
		h.Compact()
		_, err := Decode(h.Encode())
		require.NoError(t, err)
	}
	require.Nil(t, (*Histogram)(nil).Clone())
}

func TestAboveCountsWhatIsLonger(t *testing.T) {
	h := NewHistogram()
	for i := 1; i <= 10; i++ {
		h.Record(time.Duration(i) * time.Second)
	}
	require.Equal(t, uint64(3), h.Above(7500*time.Millisecond))
	require.Equal(t, uint64(10), h.Above(0))
	require.Zero(t, h.Above(time.Minute))
}

func TestQuantilesAreTheSameTogetherAsAlone(t *testing.T) {
	h := NewHistogram()
	for i := range 5000 {
		h.Record(time.Duration(i*i) * time.Microsecond)
	}
	require.Equal(t, Quantiles{P50: h.Quantile(.5), P90: h.Quantile(.9), P99: h.Quantile(.99), P999: h.Quantile(.999), Max: h.Max()}, h.Quantiles())
}

func TestRecordingAllocatesNothing(t *testing.T) {
	h := NewHistogram()
	h.Record(time.Millisecond)
	require.Zero(t, testing.AllocsPerRun(1000, func() { h.Record(time.Millisecond) }))
}

func TestFewValuesCostLittle(t *testing.T) {
	h := NewHistogram()
	for i := range 200 {
		h.Record(time.Millisecond + time.Duration(i)*time.Microsecond)
	}
	held := 0
	for _, p := range h.table {
		if p != nil {
			held += pageLength * 8
		}
	}
	require.LessOrEqual(t, held, 4096)
	h.Compact()
	require.LessOrEqual(t, len(h.packed), 2*200+8)
	require.LessOrEqual(t, len(h.Encode()), 300)
}

// encodedFrom wraps a head and a payload up, so that only they are wrong.
func encodedFrom(change func(plain []byte) []byte) []byte {
	h := NewHistogram()
	h.Record(time.Second)
	plain, err := inflate(h.Encode())
	if err != nil {
		panic(err)
	}
	return wrapped(change(plain))
}

func TestWhatIsNoHistogramOfOursIsRefused(t *testing.T) {
	foreign, err := hdrhistogram.New(1, 1000, 2).Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	require.NoError(t, err)
	good := NewHistogram()
	good.Record(time.Second)
	raw, err := base64.StdEncoding.DecodeString(string(good.Encode()))
	require.NoError(t, err)
	cut := raw[:len(raw)-3]
	lying := slices.Clone(raw)
	binary.BigEndian.PutUint32(lying[4:], math.MaxUint32)
	withPayload := func(payload ...byte) []byte {
		return encodedFrom(func(plain []byte) []byte {
			plain = append(plain[:headOfCounts:headOfCounts], payload...)
			binary.BigEndian.PutUint32(plain[4:], uint32(len(payload)))
			return plain
		})
	}
	many := appendZigZag(appendZigZag(nil, math.MaxInt64), math.MaxInt64)
	for name, encoded := range map[string][]byte{
		"nothing":           {},
		"no base64":         []byte("!!!"),
		"an old version":    []byte(base64.StdEncoding.EncodeToString(append([]byte{0x1c, 0x84, 0x93, 0x02}, raw[4:]...))),
		"another geometry":  foreign,
		"cut off":           []byte(base64.StdEncoding.EncodeToString(cut)),
		"a wrong length":    []byte(base64.StdEncoding.EncodeToString(lying)),
		"too short":         encodedFrom(func([]byte) []byte { return []byte{1, 2, 3} }),
		"other counts":      encodedFrom(func(p []byte) []byte { p[0] = 0; return p }),
		"bytes too many":    encodedFrom(func(p []byte) []byte { return append(p, 0) }),
		"a number cut off":  withPayload(0x80),
		"too many zeros":    withPayload(appendZigZag(nil, -counters-1)...),
		"the most zeros":    withPayload(appendZigZag(nil, math.MinInt64)...),
		"zeros and a count": withPayload(append(appendZigZag(nil, -counters), 2)...),
		"too many counts":   withPayload(many...),
		"a bomb":            wrapped(make([]byte, 50<<20)),
		"endless":           make([]byte, mostEncoded+1),
	} {
		_, err := Decode(encoded)
		require.ErrorContains(t, err, "a histogram cannot be read", name)
	}
	for _, raw := range []string{"{}", "1", `"x"`, `["a"]`} {
		require.Error(t, json.Unmarshal([]byte(raw), NewHistogram()), raw)
	}
}

func FuzzDecodingEitherFailsOrGivesAHistogramThatCanBeWrittenAgain(f *testing.F) {
	h := NewHistogram()
	f.Add(h.Encode())
	h.Record(time.Millisecond)
	h.RecordN(time.Hour, 1<<40)
	f.Add(h.Encode())
	f.Add([]byte("HISTFAAAAA=="))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		h, err := Decode(encoded)
		if err != nil {
			return
		}
		back, err := Decode(h.Encode())
		require.NoError(t, err)
		requireEqualHistograms(t, h, back)
		h.Record(time.Second)
		h.Quantiles()
	})
}

func FuzzAPayloadEitherFailsOrAddsUp(f *testing.F) {
	f.Add([]byte{2, 1, 4})
	f.Add(appendZigZag(nil, math.MinInt64))
	f.Fuzz(func(t *testing.T, payload []byte) {
		total, err := parsePayload(payload)
		if err != nil {
			return
		}
		h := &Histogram{total: total, packed: payload}
		var sum uint64
		h.each(func(_ int, n uint64) bool { sum += n; return true })
		require.Equal(t, total, sum)
		h.unpack()
		back := &Histogram{total: total, packed: h.payload(nil)}
		requireEqualHistograms(t, h, back)
	})
}

func BenchmarkRecording(b *testing.B) {
	h := NewHistogram()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		h.Record(time.Duration(i&0xffff) * 1000)
	}
}

func BenchmarkEncoding(b *testing.B) {
	h := NewHistogram()
	for i := range 1000 {
		h.Record(time.Millisecond + time.Duration(i*i)*time.Nanosecond)
	}
	b.ReportAllocs()
	for b.Loop() {
		h.Encode()
	}
}
