package scale

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Curve is how one cost grows with one number.
type Curve struct {
	Name string
	// Title says what is measured, and Grows what X counts: "limits in the table".
	Title, Grows string
	// Unit is what costs are given for: "request". Against says what the base is.
	Unit, Against string
	// Base is the X of the base. Zero means that every point has a base of its own:
	// something else with the same X.
	Base int
	// Points are the usual Xs, and Quick those of a first look.
	Points, Quick []int
	Bars          []Bar

	sizes  bool                    // X counts bytes
	memory bool                    // the cost is the bytes that something holds, not CPU time
	peer   bool                    // the ratio is that of the engine's growth to fasthttp's
	server bool                    // there is somebody to ask
	fresh  bool                    // a process measures one slice only, and ends
	takes  func(Job) time.Duration // that passes on the clock in a slice, whatever is made faster; nil means nothing
	open   func(Job) (subject, error)
}

// Role says which of a point's processes one is.
type Role string

// The processes of a point: itself, its base, and fasthttp in place of either.
const (
	AtPoint  Role = "point"
	AtBase   Role = "base"
	Peer     Role = "fasthttp at the point"
	PeerBase Role = "fasthttp at the base"
)

func (c *Curve) roles() []Role {
	if c.peer {
		return []Role{AtPoint, AtBase, Peer, PeerBase}
	}
	return []Role{AtPoint, AtBase}
}

// job is what a process of a point is asked to measure.
func (c *Curve) job(role Role, x int, quick bool) Job {
	if c.Base > 0 && (role == AtBase || role == PeerBase) {
		x = c.Base
	}
	return Job{Curve: c.Name, Role: role, X: x, Quick: quick}
}

// slice is what a slice of the point takes at least.
func (c *Curve) slice(x int, quick bool) time.Duration {
	if c.takes == nil {
		return 0
	}
	return c.takes(c.job(AtPoint, x, quick))
}

// leastRounds are run of each point however long they take.
func (c *Curve) leastRounds() int {
	if c.takes != nil {
		return 2
	}
	return 1
}

// least is the least X that there is.
func (c *Curve) least() int {
	switch {
	case c.sizes:
		return len(smallest)
	case c.Name == "limits":
		return len(wideLimits())
	}
	return 1
}

// X writes one X of the curve for people: 100,000 or 64 KB.
func (c *Curve) X(x int) string {
	if c.sizes {
		return size(float64(x))
	}
	return grouped(x)
}

// CurveNames returns the names of all curves, in their order.
func CurveNames() []string {
	var names []string
	for _, c := range Curves() {
		names = append(names, c.Name)
	}
	return names
}

// CurvesNamed returns those of Curves with these names, in the order of Curves;
// without any name, all.
func CurvesNamed(names ...string) ([]Curve, error) {
	for _, name := range names {
		if !slices.Contains(CurveNames(), name) {
			return nil, fmt.Errorf("curve %q is unknown; there are %s", name, strings.Join(CurveNames(), ", "))
		}
	}
	unwanted := func(c Curve) bool { return len(names) > 0 && !slices.Contains(names, c.Name) }
	return slices.DeleteFunc(Curves(), unwanted), nil
}

// ParsePoints reads Xs such as "1000", "10k", "1M", and as sizes "64KB" and "8MB",
// which are powers of two.
func ParsePoints(texts []string) ([]int, error) {
	var points []int
	for _, text := range texts {
		x, err := parsePoint(text)
		if err != nil {
			return nil, err
		}
		points = append(points, x)
	}
	slices.Sort(points)
	return slices.Compact(points), nil
}

const mostX = 1 << 30

func parsePoint(text string) (int, error) {
	for _, suffix := range []struct {
		text string
		is   int
	}{{"kb", 1 << 10}, {"mb", 1 << 20}, {"k", 1000}, {"m", 1_000_000}, {"", 1}} {
		digits, ok := strings.CutSuffix(strings.ToLower(text), suffix.text)
		if !ok {
			continue
		}
		x, err := strconv.Atoi(digits)
		if err != nil || x < 1 || x > mostX/suffix.is {
			break
		}
		return x * suffix.is, nil
	}
	return 0, fmt.Errorf("point %q: want a whole number from 1 to %s, such as 1000, 10k or 64KB", text, grouped(mostX))
}

// grouped writes a number with a comma between thousands.
func grouped(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// size writes bytes to three digits, in powers of two.
func size(bytes float64) string {
	for _, unit := range []struct {
		name string
		is   float64
	}{{"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}} {
		if math.Abs(bytes) >= unit.is {
			return digits(bytes/unit.is) + " " + unit.name
		}
	}
	return digits(bytes) + " B"
}

// duration writes microseconds to three digits.
func duration(micros float64) string {
	switch abs := math.Abs(micros); {
	case abs >= 1e6:
		return digits(micros/1e6) + " s"
	case abs >= 1000:
		return digits(micros/1000) + " ms"
	case abs >= 1 || abs == 0:
		return digits(micros) + " µs"
	}
	return digits(micros*1000) + " ns"
}

// digits writes a number to three digits, or all that are before the point.
func digits(x float64) string {
	switch abs := math.Abs(x); {
	case abs >= 999.5:
		return grouped(int(math.Round(x)))
	case abs >= 99.95:
		return strconv.FormatFloat(x, 'f', 0, 64)
	case abs >= 9.995:
		return trimmed(x, 1)
	}
	return trimmed(x, 2)
}

// trimmed leaves a whole number whole.
func trimmed(x float64, decimals int) string {
	text := strconv.FormatFloat(x, 'f', decimals, 64)
	return strings.TrimSuffix(strings.TrimSuffix(text, ".00"), ".0")
}
