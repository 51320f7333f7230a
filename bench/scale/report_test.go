package scale

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/bench/gauge"
	"github.com/sluice-engine/sluice/bench/peers"
)

func lineOf(c Curve, points ...Point) Line {
	for i := range points {
		points[i].Verdicts = c.judge(&points[i])
	}
	return Line{Curve: c, Name: c.Name, Title: c.Title, Grows: c.Grows, Unit: c.Unit, Base: c.Against, Memory: c.memory, Points: points}
}

func measured(x int, ratio float64) Point {
	return Point{X: x, Pairs: 20, Cost: 10 * ratio, BaseCost: 10, Ratio: ratio, More: 10*ratio - 10,
		RatioCI: gauge.Interval{Low: ratio * 0.98, High: ratio * 1.02}, Throughput: 1 / ratio, Allocs: 3, Bytes: 468}
}

func sampleResult(t *testing.T) *Result {
	base := measured(10, 1)
	base.Base = true
	lost := Point{X: 100_000, Failure: "did not end within 60s: the point, while it was made ready <b>"}
	missed := measured(60*kb, 1.35)
	return &Result{Rounds: 10, Seed: 42, Elapsed: 61 * time.Second, Curves: []Line{
		lineOf(curveNamed(t, "limits"), base, measured(1000, 1.004), measured(10_000, 5.3), lost),
		lineOf(curveNamed(t, "feedback"), measured(len(smallest), 1.01), measured(4*kb, 1.02), missed),
		lineOf(curveNamed(t, "keys"), lost),
	}}
}

func TestTheTextHasTablesPlotsBarsAndWhatWentWrong(t *testing.T) {
	var out bytes.Buffer
	env := peers.ReadEnvironment()
	require.NoError(t, sampleResult(t).WriteText(&out, env))
	for _, text := range []string{
		env.Command, env.Go, "bootstrap seed 42", "limits: Limits in the table", "÷ base is over 10 limits",
		"1 [0.98, 1.02]", "5.30 [5.19, 5.41]", "100,000: did not end within 60s", "100,000: ≤ 1.03 ×: not measured",
		"4 KB: ≤ 1.04 ×: met, at 1.02 × [1, 1.04]", "60 KB: ≤ 1.08 ×: missed by 25 %, at 1.35 × [1.32, 1.38]",
		"1 of 5 bars met; unfinished points: 2",
		"●", "┊", "│",
	} {
		require.Contains(t, out.String(), text)
	}
}

func TestTheTableForDocumentsHasARowForEachCurve(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, sampleResult(t).WriteMarkdown(&out))
	rows := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, rows, 2+3)
	for _, row := range rows {
		require.Equal(t, 6, strings.Count(row, "|"), row)
	}
	require.Contains(t, rows[2], "| 10 limits: 10 µs a request | 1,000: 1 [0.98, 1.02]<br>10,000: 5.30 [5.19, 5.41]<br>100,000: did not end within 60s | 100,000: ≤ 1.03 ×: not measured |")
	require.Contains(t, rows[3], "60 KB: ≤ 1.08 ×: missed by 25 %, at 1.35 × [1.32, 1.38]")
}

// Whatever the ratios are, each row of a plot has its point, and none is too long.
func TestEveryPlotHasItsPoints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var points []Point
		for i, ratio := range rapid.SliceOfN(rapid.Float64Range(1e-6, 1e6), 1, 6).Draw(t, "ratios") {
			points = append(points, measured(10<<i, ratio))
		}
		c := Curve{Name: "any", Unit: "request", Bars: []Bar{{X: 10, Of: Ratio, Most: 1.05}, {X: 20, Of: Cost, Most: 0.001}}}
		l := lineOf(c, points...)
		var b strings.Builder
		l.plot(&b)
		require.Equal(t, len(points)+1, strings.Count(b.String(), "●"), "one a point, and one in the legend")
		for row := range strings.Lines(b.String()) {
			require.LessOrEqual(t, utf8.RuneCountInString(row), plotWidth+20)
		}
		drawn := l.draw()
		require.Len(t, drawn.Dots, len(points))
		for _, d := range drawn.Dots {
			for _, y := range []float64{d.Y, d.Low, d.High} {
				require.GreaterOrEqual(t, y, float64(pageTop)-1)
				require.LessOrEqual(t, y, float64(pageBottom)+1)
			}
		}
		require.LessOrEqual(t, len(drawn.Rows), 40)
	})
}

func TestThePageIsWellFormedAndNeedsNothingElse(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, sampleResult(t).WritePage(&out, peers.ReadEnvironment()))
	page := out.String()
	decoder := xml.NewDecoder(strings.NewReader(page))
	var open []string
	plots := 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		switch element := token.(type) {
		case xml.StartElement:
			open = append(open, element.Name.Local)
			if element.Name.Local == "svg" {
				plots++
			}
		case xml.EndElement:
			open = open[:len(open)-1]
		}
	}
	require.Empty(t, open)
	require.Equal(t, 2, plots, "one a curve of which something was measured")
	for _, outside := range []string{"<script", "src=", "href=", "url(", "@import", "ZgotmplZ", "NaN", "Inf"} {
		require.NotContains(t, page, outside)
	}
	for _, text := range []string{"prefers-color-scheme: dark", `class="bar"`, `class="base"`, "not measured", "&lt;b&gt;",
		`<li class="met">4 KB`, `<li class="missed">60 KB`} {
		require.Contains(t, page, text)
	}
}

func TestTheJSONHasEveryFigureAndWhatItWasMeasuredOn(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, sampleResult(t).WriteJSON(&out, peers.ReadEnvironment()))
	var read struct {
		Environment peers.Environment `json:"environment"`
		Rounds      int               `json:"rounds"`
		Curves      []Line            `json:"curves"`
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &read))
	require.Equal(t, 10, read.Rounds)
	require.NotEmpty(t, read.Environment.Go)
	require.Equal(t, "limits", read.Curves[0].Name)
	require.Equal(t, 5.3, read.Curves[0].Points[2].Ratio)
	require.Equal(t, Ratio, read.Curves[1].Points[2].Verdicts[0].Of)
	require.NotEmpty(t, read.Curves[2].Points[0].Failure)
}
