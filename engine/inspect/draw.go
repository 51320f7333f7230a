package inspect

import (
	"fmt"
	"strconv"
	"strings"
)

// bar is a bar as the template and the script draw it: parts side by side, and a mark. Its
// places are from 0 to barWidth, whatever the size on the screen.
type bar struct {
	Label string `json:"label"` // what it shows, in words
	Parts []part `json:"parts"`
	Mark  int    `json:"mark"` // where the quota ends; zero without one
}

type part struct {
	X     int    `json:"x"`
	W     int    `json:"w"`
	Class string `json:"class"` // see page.css
}

const (
	barWidth    = 1000
	lineWidth   = 120
	lineHeight  = 24
	markedShare = 920 // where the quota ends in a bar that has more than that
)

// quotaBar shows what is used of a quota: what has arrived, what is in flight, and in a
// colour of its own what is above the quota.
//
// Invariant: the parts lie side by side from 0 on and end within barWidth.
func quotaBar(used, inFlight, quota int64) *bar {
	used, quota = max(used, 0), max(quota, 0)
	inFlight = min(max(inFlight, 0), used)
	scale := float64(barWidth) / float64(max(quota, 1))
	b := &bar{Label: quotaLabel(used, inFlight, quota), Parts: []part{}, Mark: barWidth}
	if used > quota {
		scale = float64(barWidth) / float64(used)
		b.Mark = min(int(float64(quota)*scale), markedShare)
	}
	ends := []struct {
		at    int64
		class string
	}{
		{min(used-inFlight, quota), "used"}, {min(used, quota), "flight"}, {used, "over"},
	}
	x := 0
	for _, e := range ends {
		to := min(int(float64(e.at)*scale+0.5), barWidth)
		if e.class == "over" && used > quota {
			to = barWidth
		} else if used > quota {
			to = min(to, b.Mark)
		}
		if to > x {
			b.Parts = append(b.Parts, part{x, to - x, e.class})
			x = to
		}
	}
	return b
}

func quotaLabel(used, inFlight, quota int64) string {
	text := fmt.Sprintf("%s of %s used", grouped(used), grouped(quota))
	if quota > 0 {
		text += fmt.Sprintf(", %s %%", grouped(int64(float64(used)/float64(quota)*100)))
	}
	if inFlight > 0 {
		text += fmt.Sprintf(", %s of it in flight", grouped(inFlight))
	}
	return text
}

// share is one of several figures that make up a whole.
type share struct {
	name  string
	value int64
	class string
	text  string // the value for people; empty is the number itself
}

// shareBar shows figures side by side as shares of most, or of their sum if that is more.
func shareBar(most int64, shares ...share) *bar {
	sum := int64(0)
	var words []string
	for _, s := range shares {
		sum += max(s.value, 0)
		if s.value > 0 {
			text := s.text
			if text == "" {
				text = grouped(s.value)
			}
			words = append(words, text+" "+s.name)
		}
	}
	whole := max(most, sum, 1)
	b := &bar{Label: strings.Join(words, ", "), Parts: []part{}}
	if b.Label == "" {
		b.Label = "none"
	}
	x, done := 0, int64(0)
	for _, s := range shares {
		done += max(s.value, 0)
		if to := int(float64(done) / float64(whole) * barWidth); to > x {
			b.Parts = append(b.Parts, part{x, min(to, barWidth) - x, s.class})
			x = min(to, barWidth)
		}
	}
	return b
}

// spark is a small line of what a figure was.
type spark struct {
	Label string `json:"label"`
	Line  string `json:"line"` // a path within lineWidth × lineHeight
	Area  string `json:"area"` // the same, filled down to zero
	Low   string `json:"low"`
	High  string `json:"high"`
}

// sparkOf draws values, the oldest first, on a scale from zero to their largest or to full, if
// that is larger. Where nobody looked there is a gap. Nil if nobody ever did.
func sparkOf(values [buckets]int64, full int64, over string) *spark {
	low, high, seen := boundsOf(values)
	if !seen {
		return nil
	}
	top := float64(max(high, full, 1))
	var line, area strings.Builder
	x := func(i int) string { return number1(float64(i) * lineWidth / (buckets - 1)) }
	y := func(v int64) string { return number1(1 + (lineHeight-2)*(1-float64(v)/top)) }
	for i := 0; i < buckets; {
		if values[i] == unseen {
			i++
			continue
		}
		from := i
		for ; i < buckets && values[i] != unseen; i++ {
			step := "L"
			if i == from {
				step = "M"
			}
			line.WriteString(step + x(i) + " " + y(values[i]))
		}
		if i-from == 1 { // alone it would be no line
			line.WriteString("h1")
		}
		area.WriteString("M" + x(from) + " " + strconv.Itoa(lineHeight))
		for j := from; j < i; j++ {
			area.WriteString("L" + x(j) + " " + y(values[j]))
		}
		area.WriteString("L" + x(i-1) + " " + strconv.Itoa(lineHeight) + "Z")
	}
	return &spark{
		Label: fmt.Sprintf("between %s and %s over %s", grouped(low), grouped(high), over),
		Line:  line.String(), Area: area.String(), Low: grouped(low), High: grouped(high),
	}
}

// boundsOf are the least and the largest of those that were seen.
func boundsOf(values [buckets]int64) (low, high int64, seen bool) {
	for _, v := range values {
		if v == unseen {
			continue
		}
		if !seen || v < low {
			low = v
		}
		high, seen = max(high, v), true
	}
	return low, high, seen
}

// number1 is a number with one digit behind the point at most.
func number1(v float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
}
