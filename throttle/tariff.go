package throttle

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Tariff says what a request costs by what it asks for: the weight of an order book
// by its depth, of a batch by its orders. Its first fee that applies is charged; where
// none does, the weight is what it would be without a tariff.
type Tariff []Fee

// Fee is one line of a Tariff: the weight is Weight, and Each for every whole Per of a
// number. The number is that of a parameter, or how many values it has.
type Fee struct {
	// Param is the parameter that the request must have for the fee to apply: of its
	// query, of its form, or of the JSON object that is its body, at the top; one that is in
	// the query is not looked for in the body, and a body that is streamed (Upload.Stream)
	// is not looked at. Empty applies always, and is the last fee of its tariff.
	Param string
	// Is is the value that the parameter must have; empty means any.
	Is string
	// UpTo is the largest number that the fee applies to; 0 means any. Fees of rising
	// UpTo are the steps of a table.
	UpTo int64
	// Count makes the number how many values the parameter has: repeated ones, those of
	// a JSON list, or those between commas. Otherwise it is the value itself, where Each
	// or UpTo asks for it.
	Count bool

	Weight int64
	Each   int64
	Per    int64 // 0 means 1
	Most   int64 // that is charged; 0 means no bound
}

// Params returns the values of a parameter of a request; none if it has none.
type Params func(name string) []string

// Weigh returns the weight of a request, and false where no fee applies. The error
// says which parameter has no number where one is asked for.
func (t Tariff) Weigh(params Params) (weight int64, applies bool, err error) {
	for i := range t {
		weight, applies, err = t[i].weigh(params)
		if applies || err != nil {
			return weight, applies, err
		}
	}
	return 0, false, nil
}

func (f *Fee) weigh(params Params) (weight int64, applies bool, err error) {
	if f.Param == "" {
		return f.Weight, true, nil
	}
	values := params(f.Param)
	if len(values) == 0 || f.Is != "" && (len(values) != 1 || values[0] != f.Is) {
		return 0, false, nil
	}
	if f.Each == 0 && f.UpTo == 0 {
		return f.Weight, true, nil
	}
	n, err := f.number(values)
	if err != nil {
		return 0, false, fmt.Errorf("parameter %q: %w", f.Param, err)
	}
	if f.UpTo != 0 && n > f.UpTo {
		return 0, false, nil
	}
	weight = min(f.Weight+mulAtMost(f.Each, n/max(f.Per, 1)), maxWeight)
	if f.Most != 0 {
		weight = min(weight, f.Most)
	}
	return weight, true, nil
}

// mulAtMost multiplies two numbers that are not negative, up to maxWeight.
func mulAtMost(a, b int64) int64 {
	if a != 0 && b > maxWeight/a {
		return maxWeight
	}
	return a * b
}

var (
	errNoNumber = errors.New("what it costs depends on its number, and it is none")
	errNoList   = errors.New("what it costs depends on how many values it has, and it is no list")
)

// number returns what the fee goes by. What cannot be read is an error: a guess would
// be charged as if it were known.
func (f *Fee) number(values []string) (int64, error) {
	if !f.Count {
		if len(values) != 1 {
			return 0, errNoNumber
		}
		n, err := strconv.ParseInt(strings.TrimSpace(values[0]), 10, 64)
		if err != nil || n < 0 {
			return 0, errNoNumber
		}
		return n, nil
	}
	if len(values) > 1 {
		return int64(len(values)), nil
	}
	text := strings.TrimSpace(values[0])
	switch {
	case text == "":
		return 0, nil
	case text[0] != '[':
		return int64(strings.Count(text, ",") + 1), nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return 0, errNoList
	}
	return int64(len(list)), nil
}

// check complains about what a tariff cannot mean.
func (t Tariff) check(complain func(format string, args ...any)) {
	for i := range t {
		f := &t[i]
		for _, field := range []struct {
			name  string
			value int64
		}{{"weight", f.Weight}, {"each", f.Each}, {"up_to", f.UpTo}, {"per", f.Per}, {"most", f.Most}} {
			if field.value < 0 || field.value > maxWeight {
				complain("fee %d: %s %d is not in [0, %d]", i+1, field.name, field.value, int64(maxWeight))
			}
		}
		named := f.Param != "" // without a name the rest that is said of a parameter means nothing
		for _, mistake := range []struct {
			made bool
			text string
		}{
			{!named && f.goesByParam(), "has no param, and goes by one"},
			{!named && i < len(t)-1, "applies always, and so what follows it never does"},
			{named && f.Each == 0 && (f.Per != 0 || f.Most != 0), "per and most are of each, and there is none"},
			{named && f.Count && f.Each == 0 && f.UpTo == 0, "count is for each and up_to, and there is neither"},
		} {
			if mistake.made {
				complain("fee %d: %s", i+1, mistake.text)
			}
		}
		if named && i > 0 && f.UpTo != 0 && f.like(&t[i-1]) && f.UpTo <= t[i-1].UpTo {
			complain("fee %d: up_to %d never applies, for the fee before it goes up to %d", i+1, f.UpTo, t[i-1].UpTo)
		}
	}
}

// goesByParam reports whether a fee says something of its parameter.
func (f *Fee) goesByParam() bool {
	return f.Is != "" || f.UpTo != 0 || f.Count || f.Each != 0 || f.Per != 0 || f.Most != 0
}

// like reports whether two fees are steps of one table.
func (f *Fee) like(g *Fee) bool { return f.Param == g.Param && f.Is == g.Is && f.Count == g.Count }

// heaviest is the most that any fee weighs whatever a request asks for.
func (t Tariff) heaviest() (most int64) {
	for i := range t {
		if f := &t[i]; f.Each == 0 {
			most = max(most, f.Weight)
		}
	}
	return most
}

// Tariffs are those of a table, by the limit that a request names. They do not change.
type Tariffs map[string][]surcharge

// NoTariffs are those of a table without any.
var NoTariffs = &Tariffs{}

// agree reports whether requests that name a limit weigh the same by two tables' tariffs.
func (t *Tariffs) agree(other *Tariffs, limit string) bool {
	return t == other || reflect.DeepEqual((*t)[limit], (*other)[limit])
}

// surcharge is what a limit on the way is charged: the sum over the ways that lead to
// it.
type surcharge struct {
	limit string
	fixed int64 // of the ways without a tariff
	ways  []priced
}

// priced are ways that one tariff decides.
type priced struct {
	tariff    Tariff
	otherwise int64 // where no fee applies
	times     int64 // how many ways
}

// Weigh appends to into the weights that tariffs give a request that names a limit;
// see Permit.Weights. The error names the limit whose tariff could not be read off.
func (t Tariffs) Weigh(limit string, params Params, into []Cost) ([]Cost, error) {
	for _, s := range t[limit] {
		sum := s.fixed
		for _, way := range s.ways {
			weight, applies, err := way.tariff.Weigh(params)
			if err != nil {
				return into, &LimitError{ID: s.limit, Err: err}
			}
			if !applies {
				weight = way.otherwise
			}
			sum = min(sum+mulAtMost(weight, way.times), maxWeight)
		}
		into = append(into, Cost{s.limit, sum})
	}
	return into, nil
}

// TariffsOf returns the tariffs of limits that New has accepted; nil without any. Of
// the limits that priced reports true for, the weights are there as well where no
// tariff decides them: somebody else does. It may be nil.
func TariffsOf(limits []Limit, priced func(limit string) bool) Tariffs {
	keeps := func(s surcharge) bool { return len(s.ways) > 0 || priced != nil && priced(s.limit) }
	any := false
	for i := range limits { // a copy of each is wide
		any = any || limits[i].hasTariff() || keeps(surcharge{limit: limits[i].ID})
	}
	if !any {
		return nil
	}
	w := tariffWalk{limits: make(map[string]*Limit, len(limits)), below: map[string][]surcharge{}}
	for i := range limits {
		w.limits[limits[i].ID] = &limits[i]
	}
	all := Tariffs{}
	for i := range limits {
		l := &limits[i]
		found := slices.DeleteFunc(add(l.charge(Link{}, nil), w.of(l)), func(s surcharge) bool { return !keeps(s) })
		if len(found) > 0 {
			all[l.ID] = found
		}
	}
	return all
}

func (l *Limit) hasTariff() bool {
	return len(l.Tariff) > 0 || slices.ContainsFunc(l.Linked, func(k Link) bool { return len(k.Tariff) > 0 })
}

// tariffWalk follows links as a table does. There are no cycles.
type tariffWalk struct {
	limits map[string]*Limit
	below  map[string][]surcharge // what the links of a limit come to, once that is known
}

// of returns what the links of a limit come to. It is not to be changed.
func (w *tariffWalk) of(l *Limit) []surcharge {
	sums, known := w.below[l.ID]
	if known {
		return sums
	}
	for _, k := range l.Linked {
		to := w.limits[k.ID]
		sums = add(to.charge(k, sums), w.of(to))
	}
	w.below[l.ID] = sums
	return sums
}

// charge adds one way to a limit: by the tariff of the link, or by its weight, or by
// the tariff of the limit itself, or by that one's weight.
func (l *Limit) charge(by Link, sums []surcharge) []surcharge {
	if l.Quota == 0 {
		return sums // a route
	}
	one := surcharge{limit: l.ID}
	weight := cmp.Or(by.Weight, l.Weight, 1)
	switch {
	case len(by.Tariff) > 0:
		one.ways = []priced{{by.Tariff, weight, 1}}
	case by.Weight == 0 && len(l.Tariff) > 0:
		one.ways = []priced{{l.Tariff, weight, 1}}
	default:
		one.fixed = weight
	}
	return add(sums, []surcharge{one})
}

// add returns the sums of two lists. Neither is changed but for what a has room for.
func add(a, b []surcharge) []surcharge {
	for _, s := range b {
		i := slices.IndexFunc(a, func(have surcharge) bool { return have.limit == s.limit })
		if i < 0 {
			a = append(a, surcharge{s.limit, s.fixed, slices.Clone(s.ways)})
			continue
		}
		a[i].fixed = min(a[i].fixed+s.fixed, maxWeight)
		for _, way := range s.ways {
			same := slices.IndexFunc(a[i].ways, func(have priced) bool {
				return &have.tariff[0] == &way.tariff[0] && have.otherwise == way.otherwise
			})
			if same < 0 {
				a[i].ways = append(a[i].ways, way)
				continue
			}
			a[i].ways[same].times = min(a[i].ways[same].times+way.times, maxWeight)
		}
	}
	return a
}
