package throttle

import (
	"cmp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func paramsOf(pairs ...string) Params {
	return func(name string) (values []string) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				values = append(values, pairs[i+1])
			}
		}
		return values
	}
}

func TestATariffIsReadOffLikeATableOfFees(t *testing.T) {
	depth := Tariff{
		{Param: "limit", UpTo: 100, Weight: 5}, {Param: "limit", UpTo: 500, Weight: 25},
		{Param: "limit", UpTo: 1000, Weight: 50}, {Param: "limit", Weight: 250}, {Weight: 5},
	}
	ticker := Tariff{
		{Param: "symbol", Weight: 2},
		{Param: "symbols", Count: true, UpTo: 20, Weight: 2}, {Param: "symbols", Count: true, UpTo: 100, Weight: 40}, {Weight: 80},
	}
	day := Tariff{{Param: "symbols", Count: true, Each: 4, Most: 200}}
	batch := Tariff{{Param: "actions", Count: true, Weight: 1, Each: 1, Per: 40}}
	typed := Tariff{{Param: "type", Is: "LIMIT", Weight: 1}, {Param: "type", Weight: 3}}
	forty := "[" + strings.Repeat(`{"a":[1,2]},`, 39) + `{}]`
	for _, c := range []struct {
		tariff Tariff
		params Params
		weight int64 // -1 for none
	}{
		{depth, paramsOf(), 5}, {depth, paramsOf("limit", "100"), 5}, {depth, paramsOf("limit", "101"), 25},
		{depth, paramsOf("limit", "1000"), 50}, {depth, paramsOf("limit", " 5000 "), 250},
		{ticker, paramsOf("symbol", "BTCUSDT"), 2}, {ticker, paramsOf(), 80},
		{ticker, paramsOf("symbols", `["A","B"]`), 2}, {ticker, paramsOf("symbols", strings.Repeat("A,", 20)+"B"), 40},
		{ticker, paramsOf("symbols", strings.Repeat("A,", 100)+"B"), 80},
		{day, paramsOf("symbols", "a", "symbols", "b", "symbols", "c"), 12}, {day, paramsOf("symbols", strings.Repeat("a,", 99)), 200},
		{day, paramsOf("symbols", "[]"), 0}, {day, paramsOf(), -1},
		{batch, paramsOf("actions", "[{}]"), 1}, {batch, paramsOf("actions", forty), 2},
		{typed, paramsOf("type", "LIMIT"), 1}, {typed, paramsOf("type", "MARKET"), 3}, {typed, paramsOf("type", "LIMIT", "type", "LIMIT"), 3},
	} {
		weight, applies, err := c.tariff.Weigh(c.params)
		require.NoError(t, err)
		require.Equal(t, c.weight >= 0, applies)
		require.Equal(t, max(c.weight, 0), weight, "%+v", c.tariff)
	}
}

func TestAParameterWithoutTheNumberThatItsCostGoesByIsAnError(t *testing.T) {
	for _, value := range []string{"", "many", "-1", "1.5", "9223372036854775808"} {
		_, _, err := Tariff{{Param: "limit", UpTo: 100, Weight: 5}}.Weigh(paramsOf("limit", value))
		require.ErrorContains(t, err, `"limit"`, value)
	}
	_, _, err := Tariff{{Param: "limit", Each: 1}}.Weigh(paramsOf("limit", "1", "limit", "2"))
	require.ErrorIs(t, err, errNoNumber)
	_, _, err = Tariff{{Param: "orders", Count: true, Each: 1}}.Weigh(paramsOf("orders", "[1,2"))
	require.ErrorIs(t, err, errNoList)

	limits := []Limit{{ID: "w", Quota: 10, Per: time.Second, Tariff: Tariff{{Param: "n", Each: 1}}}, {ID: "r", Linked: []Link{{ID: "w"}}}}
	_, err = TariffsOf(limits, nil).Weigh("r", paramsOf("n", "x"), nil)
	var wrong *LimitError
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, "w", wrong.ID)
}

func TestATariffNeverWeighsMoreThanAnySumHasRoomFor(t *testing.T) {
	huge := strconv.FormatInt(1<<62, 10)
	weight, _, err := Tariff{{Param: "n", Weight: maxWeight, Each: maxWeight}}.Weigh(paramsOf("n", huge))
	require.NoError(t, err)
	require.EqualValues(t, int64(maxWeight), weight)
}

func TestWhatATariffCannotMeanIsAMistake(t *testing.T) {
	for want, tariff := range map[string]Tariff{
		"fee 1: weight -1":                       {{Weight: -1}},
		"fee 2: each -3":                         {{Param: "a", Weight: 1}, {Param: "a", Each: -3}},
		"fee 1: has no param, and goes by one":   {{UpTo: 3}},
		"fee 1: applies always":                  {{Weight: 3}, {Weight: 4}},
		"fee 2: up_to 50 never applies":          {{Param: "a", UpTo: 500, Weight: 1}, {Param: "a", UpTo: 50, Weight: 2}},
		"a fee of 11 never fits into 10":         {{Param: "a", Weight: 11}},
		"fee 1: per and most are of each":        {{Param: "a", Per: 40}},
		"fee 1: count is for each and up_to":     {{Param: "a", Count: true}},
		"fee 1: up_to 2199023255552 is not in [": {{Param: "a", UpTo: maxWeight * 2}},
	} {
		limits := []Limit{{ID: "w", Quota: 10, Per: time.Second, Tariff: tariff}}
		_, err := New(limits, Options{})
		require.ErrorContains(t, err, want)
		limits[0].Tariff = nil
		_, err = New(append(limits, Limit{ID: "r", Linked: []Link{{ID: "w", Tariff: tariff}}}), Options{})
		require.ErrorContains(t, err, "link to \"w\": tariff: "+want)
	}
	some := Tariff{{Param: "n", Each: 1}}
	_, err := New([]Limit{
		{ID: "w", Quota: 10, Per: time.Second}, {ID: "r", Linked: []Link{{ID: "w"}}, Tariff: some}, {ID: "s", Linked: []Link{{ID: "r", Tariff: some}}},
	}, Options{})
	require.ErrorContains(t, err, "tariff means nothing")
	require.ErrorContains(t, err, "takes no tariff")
}

func TestATariffDecidesWhereverItsLimitIsNamedOrLinkedWithoutAWeight(t *testing.T) {
	limits := []Limit{
		{ID: "ip", Quota: 1000, Per: time.Second, Tariff: Tariff{{Param: "n", Each: 1}}},
		{ID: "orders", Quota: 1000, Per: time.Second},
		{ID: "batch", Linked: []Link{{ID: "ip", Weight: 5}, {ID: "orders", Tariff: Tariff{{Param: "orders", Count: true, Each: 1}}}}},
		{ID: "read", Linked: []Link{{ID: "ip"}}},
		{ID: "twice", Linked: []Link{{ID: "read"}, {ID: "ip"}, {ID: "orders"}}},
	}
	_, err := New(limits, Options{})
	require.NoError(t, err)
	all := TariffsOf(limits, nil)
	params := paramsOf("n", "7", "orders", "[1,2,3]")
	for id, want := range map[string][]Cost{
		"ip": {{"ip", 7}}, "orders": nil, "batch": {{"orders", 3}}, "read": {{"ip", 7}}, "twice": {{"ip", 14}}, "none": nil,
	} {
		costs, err := all.Weigh(id, params, nil)
		require.NoError(t, err)
		require.Equal(t, want, costs, id)
	}
	require.Nil(t, TariffsOf(limits[1:2], nil), "without any there is nothing to look at")
	costs, err := TariffsOf(limits[1:2], func(id string) bool { return id == "orders" }).Weigh("orders", params, nil)
	require.NoError(t, err)
	require.Equal(t, []Cost{{"orders", 1}}, costs)
}

// TestTariffsAgreeWithWalkingAllWays has a slow oracle walk every way from a limit
// through its links by itself.
func TestTariffsAgreeWithWalkingAllWays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 7).Draw(t, "limits")
		tariff := func(label string) Tariff {
			if !rapid.Bool().Draw(t, label) {
				return nil
			}
			return Tariff{{Param: "n", UpTo: rapid.Int64Range(0, 5).Draw(t, "up to"), Weight: rapid.Int64Range(0, 9).Draw(t, "fee"), Each: 1}}
		}
		limits := make([]Limit, n)
		for i := range limits {
			l := &limits[i]
			l.ID = strconv.Itoa(i)
			for to := range i {
				if rapid.Bool().Draw(t, "linked") {
					l.Linked = append(l.Linked, Link{ID: strconv.Itoa(to)})
				}
			}
			if len(l.Linked) == 0 || rapid.Bool().Draw(t, "quota") {
				l.Quota, l.Per, l.Weight, l.Tariff = 1<<30, time.Second, rapid.Int64Range(0, 5).Draw(t, "weight"), tariff("own tariff")
			}
			for k := range l.Linked {
				to, _ := strconv.Atoi(l.Linked[k].ID)
				if limits[to].Quota > 0 {
					l.Linked[k].Weight, l.Linked[k].Tariff = rapid.Int64Range(0, 5).Draw(t, "link"), tariff("link tariff")
				}
			}
		}
		_, err := New(limits, Options{})
		require.NoError(t, err)
		params := paramsOf("n", strconv.Itoa(rapid.IntRange(0, 9).Draw(t, "n")))

		sums := map[string]int64{}
		var walk func(l *Limit, by Link)
		walk = func(l *Limit, by Link) {
			if l.Quota > 0 {
				decides := by.Tariff
				if by.Weight == 0 && len(by.Tariff) == 0 {
					decides = l.Tariff
				}
				weight, applies, err := decides.Weigh(params)
				require.NoError(t, err)
				if !applies {
					weight = cmp.Or(by.Weight, l.Weight, 1)
				}
				sums[l.ID] += weight
			}
			for _, k := range l.Linked {
				to, _ := strconv.Atoi(k.ID)
				walk(&limits[to], k)
			}
		}
		all := TariffsOf(limits, func(string) bool { return true })
		for i := range limits {
			clear(sums)
			walk(&limits[i], Link{})
			costs, err := all.Weigh(limits[i].ID, params, nil)
			require.NoError(t, err)
			got := map[string]int64{}
			for _, c := range costs {
				got[c.ID] = c.Weight
			}
			require.Equal(t, sums, got, limits[i].ID)
		}
	})
}
