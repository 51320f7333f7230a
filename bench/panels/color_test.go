package panels

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// rgb is a colour in linear light.
type rgb [3]float64

// palette has the colours of page.css, of one of its two schemes.
func palette(t *testing.T, dark bool) map[string]rgb {
	rules := pageCSS[:strings.Index(pageCSS, "* { box-sizing")]
	light, rest, found := strings.Cut(rules, "@media screen and (prefers-color-scheme: dark)")
	require.True(t, found)
	if dark {
		light = rest
	}
	colors := map[string]rgb{}
	for _, m := range regexp.MustCompile(`--([a-z0-9-]+): #([0-9a-f]{3,6});`).FindAllStringSubmatch(light, -1) {
		hex := m[2]
		if len(hex) == 3 {
			hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
		}
		var c rgb
		for i := range c {
			n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
			require.NoError(t, err)
			c[i] = math.Pow((float64(n)/255+0.055)/1.055, 2.4)
		}
		colors[m[1]] = c
	}
	require.Greater(t, len(colors), 25)
	return colors
}

func (c rgb) luminance() float64 { return 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2] }

func contrast(a, b rgb) float64 {
	x, y := a.luminance(), b.luminance()
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// The three ways of seeing fewer colours, by Machado, Oliveira and Fernandes (2009), and all.
var sights = map[string][3]rgb{
	"all":    {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
	"protan": {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
	"deutan": {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
	"tritan": {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}},
}

func seen(c rgb, by [3]rgb) (s rgb) {
	for i := range s {
		s[i] = min(max(by[i][0]*c[0]+by[i][1]*c[1]+by[i][2]*c[2], 0), 1)
	}
	return s
}

// lab is CIE's, in which distances are about as large as they are seen.
func (c rgb) lab() [3]float64 {
	f := func(t float64) float64 {
		if t > 216.0/24389 {
			return math.Cbrt(t)
		}
		return (24389.0/27*t + 16) / 116
	}
	x := f((0.4124*c[0] + 0.3576*c[1] + 0.1805*c[2]) / 0.9505)
	y := f(c.luminance())
	z := f((0.0193*c[0] + 0.1192*c[1] + 0.9505*c[2]) / 1.089)
	return [3]float64{116*y - 16, 500 * (x - y), 200 * (y - z)}
}

func apart(a, b rgb) float64 {
	x, y := a.lab(), b.lab()
	return math.Hypot(math.Hypot(x[0]-y[0], x[1]-y[1]), x[2]-y[2])
}

func TestColoursOfAChartAreToldApartHoweverOneSees(t *testing.T) {
	for _, dark := range []bool{false, true} {
		colors := palette(t, dark)
		for _, family := range []string{"s", "q", "e"} {
			for i := 1; i <= 8; i++ {
				a, is := colors[fmt.Sprint(family, i)]
				if !is {
					continue
				}
				require.GreaterOrEqual(t, contrast(a, colors["card"]), 2.2, "%s%d, dark %v", family, i, dark)
				for j := i + 1; j <= 8; j++ {
					b, is := colors[fmt.Sprint(family, j)]
					if !is {
						continue
					}
					for sight, by := range sights {
						d := apart(seen(a, by), seen(b, by))
						if d < 12 {
							t.Errorf("%s%d and %s%d are %.1f apart to %s eyes, dark %v", family, i, family, j, d, sight, dark)
						}
					}
				}
			}
		}
	}
}
