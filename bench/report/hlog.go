package report

import (
	"bufio"
	"fmt"
	"io"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
)

// HistogramLog writes HdrHistogram's log of version 1.3, of nanoseconds, which its tools read
// and plot: for each interval the response of all without a tag, service, lag and wait of all
// with these tags, and with several operations the response of each with its name as a tag.
// The warm-up is left out.
func HistogramLog(w io.Writer, run *results.Run) error {
	out := bufio.NewWriter(w)
	start := float64(run.Header.Started.UnixMilli()) / 1000
	if run.Header.Started.IsZero() {
		start = 0
	}
	fmt.Fprintf(out, "#[Histogram log format version 1.3]\n#[run %s: %s, in nanoseconds]\n", word(run.Header.ID), Judge(run).Word)
	fmt.Fprintf(out, "#[StartTime: %.3f (seconds since epoch), %s]\n#[BaseTime: %.3f (seconds since epoch)]\n",
		start, time.UnixMilli(int64(start*1000)).UTC().Format(time.RFC3339), start)
	fmt.Fprintln(out, `"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"`)
	names := operationsOf(run)
	// Names of operations must not collide with what is a tag already.
	tags := words(append([]string{"service", "lag", "wait"}, names...))
	for i := range run.Series {
		s := &run.Series[i]
		if s.Phase != results.Main {
			continue
		}
		put := func(tag string, h *results.Histogram) {
			if h.Count() > 0 {
				fmt.Fprintf(out, "%s%.3f,%.3f,%.6f,%s\n", tag, float64(s.Second), float64(run.Step), float64(h.Max())/1e6, h.Encode())
			}
		}
		all := s.All()
		put("", all.Response)
		put("Tag=service,", all.Service)
		put("Tag=lag,", all.Lag)
		put("Tag=wait,", all.Wait)
		for _, name := range names {
			if o := s.Operations[name]; o != nil && len(names) > 1 {
				put("Tag="+tags[name]+",", o.Response)
			}
		}
	}
	return out.Flush()
}
