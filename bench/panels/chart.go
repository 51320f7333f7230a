package panels

import (
	"math"
	"strconv"
)

// mostPoints is how many points a line has at most: more than a screen has columns.
const mostPoints = 4000

// panel is one section of the page.
type panel struct {
	ID, Title string
	Number    int
	Of        string // the run it is of, if there are several
	Says      string // what it shows, with its numbers: the text that stands for the chart
	Empty     string // why there is nothing to see; empty if there is
	Note      string // how it is to be read
	Charts    []*chart
	Forest    *forest
	Tables    []table
}

// chart is a drawing, as data for page.js.
type chart struct {
	ID      string   `json:"id"`
	Label   string   `json:"label"` // what it is, for those who do not see it
	X       axis     `json:"x"`
	Y       []axis   `json:"y"`
	At      numbers  `json:"at"` // of every line, in order
	Lines   []line   `json:"lines"`
	Stacked bool     `json:"stacked,omitempty"` // lines stand on one another
	Shares  bool     `json:"shares,omitempty"`  // the reader may see them as shares of their sum
	Bands   []string `json:"bands,omitempty"`   // between each line and the next, a colour
	Regions []region `json:"regions,omitempty"` // of X
	Synced  bool     `json:"synced,omitempty"`  // the cursor is that of the other charts over time
	Joined  bool     `json:"joined,omitempty"`  // lines go on over points that are another's
	Small   bool     `json:"small,omitempty"`
}

// axis has a unit that page.js knows how to write: "s" of the run, "ms", "/s", "nines", "%",
// "bytes", "×", or "" for a count.
type axis struct {
	Label string `json:"label"`
	Unit  string `json:"unit"`
	// Scale is "log", "linear", or "" for one without a choice; the reader may switch it.
	Scale string  `json:"scale,omitempty"`
	Most  float64 `json:"most,omitempty"` // it reaches at least that far
}

// line is one line of a chart.
type line struct {
	Name  string  `json:"name"`
	Color string  `json:"color"` // a variable of page.css
	Y     numbers `json:"y"`
	Axis  int     `json:"axis,omitempty"`
	Shape string  `json:"shape,omitempty"` // "" for a line, "step", "bars", "dots"
	Dash  []int   `json:"dash,omitempty"`
	Wide  float64 `json:"wide,omitempty"`
}

type region struct {
	From  float64 `json:"from"`
	To    float64 `json:"to"`
	Label string  `json:"label"`
}

// numbers are written with four significant digits, and null where there is none.
type numbers []float64

// MarshalJSON is part of json.Marshaler.
func (n numbers) MarshalJSON() ([]byte, error) {
	text := make([]byte, 1, 2+6*len(n))
	text[0] = '['
	for i, x := range n {
		if i > 0 {
			text = append(text, ',')
		}
		text = appendNumber(text, x)
	}
	return append(text, ']'), nil
}

func appendNumber(text []byte, x float64) []byte {
	switch {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return append(text, "null"...)
	case x == math.Trunc(x) && math.Abs(x) < 1e15:
		return strconv.AppendInt(text, int64(x), 10)
	}
	exact := strconv.AppendFloat(nil, x, 'g', 4, 64)
	rounded, err := strconv.ParseFloat(string(exact), 64)
	if err != nil {
		return append(text, "null"...)
	}
	return strconv.AppendFloat(text, rounded, 'g', -1, 64)
}

// none is whether a line has no number but zeros.
func (n numbers) none() bool {
	for _, x := range n {
		if x != 0 && !math.IsNaN(x) {
			return false
		}
	}
	return true
}

// table is the numbers of a panel, or a list of its own.
type table struct {
	ID, Caption string
	Columns     []column
	Rows        [][]cell
	More        string // what was left out
	Sorts       bool   // by every column
	Open        bool   // it stands on the page, and not behind "the numbers"
}

type column struct {
	Name   string
	Number bool
}

// cell is a text, and what it is sorted by.
type cell struct {
	Text string
	Sort float64
	Tone string
}

func text(s string) cell { return cell{Text: s} }

func number(s string, sort float64) cell { return cell{Text: s, Sort: sort} }

// header makes columns of names: the first is of text, the others of numbers.
func header(names ...string) []column {
	columns := make([]column, len(names))
	for i, name := range names {
		columns[i] = column{Name: name, Number: i > 0}
	}
	return columns
}

// mostRows is how many rows a table over time has: the chart has the rest.
const mostRows = 24

// overTime has a table of charts over time: a row for the first of every so many points.
func overTime(id, caption string, charts ...*chart) table {
	t := table{ID: id, Caption: caption, Columns: []column{{Name: "Time", Number: true}}}
	at := charts[0].At
	every := max(1, (len(at)+mostRows-1)/mostRows)
	for _, c := range charts {
		for _, l := range c.Lines {
			t.Columns = append(t.Columns, column{Name: l.Name, Number: true})
		}
	}
	for i := 0; i < len(at); i += every {
		row := []cell{number(written(at[i], "s"), at[i])}
		for _, c := range charts {
			for _, l := range c.Lines {
				row = append(row, number(written(l.Y[i], c.Y[l.Axis].Unit), l.Y[i]))
			}
		}
		t.Rows = append(t.Rows, row)
	}
	if every > 1 {
		t.More = "Every " + ordinal(every) + " of " + count(len(at)) + " points. The file of results has them all."
	}
	return t
}

func ordinal(n int) string {
	switch {
	case n%10 == 1 && n%100 != 11:
		return count(n) + "st"
	case n%10 == 2 && n%100 != 12:
		return count(n) + "nd"
	case n%10 == 3 && n%100 != 13:
		return count(n) + "rd"
	}
	return count(n) + "th"
}

// written is a number in a unit of axis.
func written(x float64, unit string) string {
	switch {
	case math.IsNaN(x):
		return "–"
	case unit == "ms":
		return millis(x)
	case unit == "/s":
		return rate(x)
	case unit == "%":
		return digits(x) + " %"
	case unit == "bytes":
		return size(x)
	case unit == "s":
		return moment(x)
	case unit != "":
		return digits(x) + " " + unit
	}
	return digits(x)
}

// Key is what a browser sorts by.
func (c cell) Key() string { return strconv.FormatFloat(c.Sort, 'g', 6, 64) }
