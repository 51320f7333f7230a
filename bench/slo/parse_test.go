package slo

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAnObjectiveIsReadAsItIsWritten(t *testing.T) {
	ms := float64(time.Millisecond)
	for _, test := range []struct {
		text string
		want Objective
	}{
		{"p99<5ms", Objective{figure: quantile, histogram: "response", quantile: 0.99, compare: "<", bound: 5 * ms}},
		{"p(99)<500", Objective{figure: quantile, histogram: "response", quantile: 0.99, compare: "<", bound: 500 * ms}},
		{"p(99.9) <= 1.5s", Objective{figure: quantile, histogram: "response", quantile: 0.999, compare: "<=", bound: 1500 * ms}},
		{"p100<1m", Objective{figure: quantile, histogram: "response", quantile: 1, compare: "<", bound: 60_000 * ms}},
		{"med<2", Objective{figure: quantile, histogram: "response", quantile: 0.5, compare: "<", bound: 2 * ms}},
		{"avg<2.5", Objective{figure: mean, histogram: "response", compare: "<", bound: 2.5 * ms}},
		{"mean>1µs", Objective{figure: mean, histogram: "response", compare: ">", bound: 1000}},
		{"max<1s", Objective{figure: largest, histogram: "response", compare: "<", bound: 1000 * ms}},
		{"min>=0", Objective{figure: smallest, histogram: "response", compare: ">="}},
		{"service.p50<=1ms", Objective{figure: quantile, histogram: "service", quantile: 0.5, compare: "<=", bound: ms}},
		{"lag.p99<2ms", Objective{figure: quantile, histogram: "lag", quantile: 0.99, compare: "<", bound: 2 * ms}},
		{"success.max<2ms", Objective{figure: largest, histogram: "success", compare: "<", bound: 2 * ms}},
		{"errors<0.1%", Objective{figure: errorShare, compare: "<", bound: 0.001}},
		{"errors<=0", Objective{figure: errorCount, compare: "<="}},
		{"errors.timeout<1", Objective{figure: errorCount, kind: "timeout", compare: "<", bound: 1}},
		{"errors.status 503 < 5 %", Objective{figure: errorShare, kind: "status 503", compare: "<", bound: 0.05}},
		{"achieved>99%", Objective{figure: achieved, compare: ">", bound: 0.99}},
		{"achieved>=100%", Objective{figure: achieved, compare: ">=", bound: 1}},
		{"rate>500/s", Objective{figure: rate, compare: ">", bound: 500}},
		{"rate>500", Objective{figure: rate, compare: ">", bound: 500}},
		{"rate>=30000/m", Objective{figure: rate, compare: ">=", bound: 500}},
		{"rate>=5/100ms", Objective{figure: rate, compare: ">=", bound: 50}},
		{"unfinished<1", Objective{figure: unfinished, compare: "<", bound: 1}},
		{"neversent<1", Objective{figure: neverSent, compare: "<", bound: 1}},
		{"GET /a:p99<5ms", Objective{operation: "GET /a", figure: quantile, histogram: "response", quantile: 0.99, compare: "<", bound: 5 * ms}},
		{"POST /a:b<c>: service.p99 <5ms", Objective{operation: "POST /a:b<c>", figure: quantile, histogram: "service", quantile: 0.99, compare: "<", bound: 5 * ms}},
	} {
		o, err := Parse("  " + test.text + "\t")
		require.NoError(t, err, test.text)
		require.InDelta(t, test.want.bound, o.bound, 1e-9*test.want.bound, test.text)
		require.InDelta(t, test.want.quantile, o.quantile, 1e-12, test.text)
		test.want.text, test.want.bound, test.want.quantile = test.text, o.bound, o.quantile
		require.Equal(t, test.want, o)
		require.Equal(t, test.text, o.String())
		require.Equal(t, test.want.operation, o.Operation())
		require.Equal(t, strings.HasPrefix(test.text, "errors"), o.IsOfErrors())
	}
}

func TestWhatIsNoObjectiveIsRefusedInOneClearLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                    "no comparison",
		"p99":                 "no comparison",
		"p99==5ms":            "no comparison",
		"p99<":                "no bound",
		"p99<=":               "no bound",
		"<5ms":                "is no figure",
		"q99<5ms":             "is no figure",
		"p(99<5ms":            "is no figure",
		"p99)<5ms":            "is no figure",
		"pNaN<5ms":            "is no figure",
		"p+Inf<5ms":           "is no figure",
		"own.p99<5ms":         "is no figure",
		"p0<5ms":              "is no percentile",
		"p-1<5ms":             "is no percentile",
		"p999<5ms":            "such as p99.9",
		"p99<NaN":             "is no duration",
		"p99<Inf":             "is no duration",
		"p99<5%":              "is no duration",
		"p99<5 parsecs":       "is no duration",
		"p99<0x10":            "is no duration",
		"p99<-5ms":            "below zero",
		"p99<-0":              "below zero",
		"p99<0ms":             "could never hold",
		"p99<1h":              "not below an hour",
		"p99<1e305":           "not below an hour",
		"p99<99999999999999s": "is no duration",
		"p99<1e999":           "is no duration",
		"errors<0.1":          "needs a percent sign",
		"errors<101%":         "more than 100 %",
		"errors<-1%":          "below zero",
		"errors<NaN%":         "is no share",
		"errors<%":            "is no share",
		"errors<1e300":        "no whole number",
		"errors<0":            "could never hold",
		"errors.<1":           "no kind",
		"errors.tiemout<1":    "\"tiemout\" is no kind of errors; there are timeout, refused,",
		"errors.503<1":        "and status 503 and its like",
		"errors.status<1":     "is no kind",
		"errors.status 5<1":   "is no kind",
		"errors.status +50<1": "is no kind",
		"achieved>99":         "is no share",
		"achieved>100%":       "could never hold",
		"rate>5/0s":           "is no rate",
		"rate>5/-1s":          "is no rate",
		"rate>1e308/1ns":      "is no rate",
		"rate>/s":             "is no rate",
		"rate>5/x":            "is no rate",
		"GET /a:rate>5/s":     "of the whole run",
		"GET /a:achieved>5%":  "of the whole run",
		"GET /a:unfinished<1": "of the whole run",
		" :p99<5ms":           "no operation before the colon",
	} {
		_, err := Parse(text)
		require.ErrorContains(t, err, want, text)
		require.ErrorContains(t, err, "objective \""+strings.TrimSpace(text)+"\"", text)
		require.NotContains(t, err.Error(), "\n", text)
	}
}

// The kinds are those that load counts, all of them.
func TestEveryKindOfErrorsThatIsCountedCanBeAskedFor(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../load/errors.go", nil, 0)
	require.NoError(t, err)
	var counted []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "kind") || len(spec.Values) == 0 {
			return true
		}
		kind, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		require.NoError(t, err)
		counted = append(counted, kind)
		return true
	})
	require.ElementsMatch(t, counted, kinds)
}

func TestEveryMistakeAmongSeveralObjectivesIsNamed(t *testing.T) {
	objectives, err := ParseAll([]string{"p99<5ms", "errors<1%"})
	require.NoError(t, err)
	require.Len(t, objectives, 2)
	_, err = ParseAll([]string{"p99<5ms", "x<1", "p99<-1s"})
	require.ErrorContains(t, err, `"x<1"`)
	require.ErrorContains(t, err, `"p99<-1s"`)
}

// Whatever is accepted reads the same again, has a bound that can be compared with, and
// holds for one side of it only.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"p99<5ms", "p(99)<500", "GET /a:service.max>=1s", "errors<0.1%", "errors.status 503<1",
		"achieved>99%", "rate>500/s", "rate>1/1h", "unfinished<1", "a:b:p1<1", "p99<1e3", "x", "<", "p99<=%",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := Parse(text)
		if err != nil {
			require.Zero(t, o)
			require.NotContains(t, err.Error(), "\n")
			return
		}
		again, err := Parse(o.String())
		require.NoError(t, err)
		require.Equal(t, o, again)
		require.GreaterOrEqual(t, o.bound, 0.0)
		require.Less(t, o.bound, 1e308)
		require.NotEqual(t, o.holds(o.bound/2-1), o.holds(2*o.bound+1))
		require.False(t, o.Judge(nil).Held, "nothing was measured")
	})
}
