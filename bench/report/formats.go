package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/bench/results"
)

// Formats are the names that Write knows.
var Formats = []string{"text", "json", "csv", "hlog", "bench", "prom"}

// Write writes one run in a format; width is for text alone, 0 meaning 80.
func Write(w io.Writer, format string, run *results.Run, width int) error {
	switch format {
	case "text":
		return Text(w, run, width)
	case "json":
		return JSON(w, run)
	case "csv":
		return CSV(w, run)
	case "hlog":
		return HistogramLog(w, run)
	case "bench":
		return Bench(w, run)
	case "prom":
		return Prometheus(w, run)
	}
	return fmt.Errorf("report: format %q is none of %s", format, strings.Join(Formats, ", "))
}

// Known says whether Write knows a format.
func Known(format string) bool { return slices.Contains(Formats, format) }
