// Package limitfile reads limits that are kept as data: files of our own form,
// and what an exchange publishes of its limits. What is read has been checked
// as throttle.New checks it.
package limitfile

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/internal/strictjson"
	"github.com/sluice-engine/sluice/throttle"
)

// document is the schema of Read. Each limit is read by itself, as an entry, so that a mistake
// in it can say whose it is.
type document struct {
	Limits []json.RawMessage `json:"limits"`
}

type entry struct {
	ID         string          `json:"id"`
	Quota      int64           `json:"quota"`
	Per        duration        `json:"per"`
	Window     window          `json:"window"`
	Weight     int64           `json:"weight"`
	Tariff     []fee           `json:"tariff"`
	Links      []link          `json:"links"`
	By         by              `json:"by"`
	Keyed      bool            `json:"keyed"`
	Keys       []string        `json:"keys"`
	Burst      int64           `json:"burst"`
	Tick       duration        `json:"tick"`
	Offset     duration        `json:"offset"`
	Location   place           `json:"location"`
	Months     int             `json:"months"`
	RTTFloor   duration        `json:"rtt_floor"`
	MaxDelay   duration        `json:"max_delay"`
	CloseDelay duration        `json:"close_delay"`
	Reserve    []reserve       `json:"reserve"`
	Shared     float64         `json:"shared"`
	Scope      string          `json:"scope"`
	Comment    json.RawMessage `json:"comment"` // for people; not read
	portion
}

// portion is what an entry says of how much of a quota counts, and of what takes over.
type portion struct {
	Share        *float64 `json:"share"`
	SafetyMargin *float64 `json:"safety_margin"` // 0 that is written is none at all
	Fallback     string   `json:"fallback"`
	Adopt        adopt    `json:"adopt"`
}

type link struct {
	ID     string `json:"id"`
	Weight int64  `json:"weight"`
	Tariff []fee  `json:"tariff"`
}

type fee struct {
	Param  string `json:"param"`
	Is     string `json:"is"`
	UpTo   int64  `json:"up_to"`
	Count  bool   `json:"count"`
	Weight int64  `json:"weight"`
	Each   int64  `json:"each"`
	Per    int64  `json:"per"`
	Most   int64  `json:"most"`
}

func tariff(fees []fee) (t throttle.Tariff) {
	for _, f := range fees {
		t = append(t, throttle.Fee(f))
	}
	return t
}

type reserve struct {
	Priority throttle.Priority `json:"priority"`
	Weight   int64             `json:"weight"`
}

// maxSize bounds what Read and ReadExchangeInfo read.
const maxSize = 64 << 20

// capped reads no more than maxSize, and says so.
type capped struct {
	io.Reader
	left int64
}

func upTo(r io.Reader) io.Reader { return &capped{r, maxSize} }

// afterMark returns what follows a byte order mark, if there is one.
func afterMark(r io.Reader) io.Reader {
	text := bufio.NewReader(r)
	if begin, _ := text.Peek(len(strictjson.Mark)); string(begin) == strictjson.Mark {
		_, _ = text.Discard(len(begin))
	}
	return text
}

// Read is part of io.Reader.
func (c *capped) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, fmt.Errorf("more than %d MiB, which is the most that is read", maxSize>>20)
	}
	n, err := c.Reader.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// Read reads limits from JSON:
//
//	{"limits": [
//	  {"id": "weight", "quota": 6000, "per": "1m", "window": "fixed", "scope": "address"},
//	  {"id": "orders", "quota": 100, "per": "10s", "by": ["account", "key"],
//	   "reserve": [{"priority": 300, "weight": 10}]},
//	  {"id": "order", "links": [{"id": "weight", "weight": 1}, {"id": "orders"}]},
//	  {"id": "depth", "links": [{"id": "weight", "weight": 5, "tariff": [
//	    {"param": "limit", "up_to": 100, "weight": 5}, {"param": "limit", "weight": 250}]}]}
//	]}
//
// The names are those of throttle.Limit's fields in lower case, with
// underscores; durations are written as time.ParseDuration reads them, windows
// as throttle.Window.String writes them, and "comment" may hold anything. What tells
// the meters of a limit apart is a list "by" of any of "account", "key" and "egress",
// each at most once; "keyed": true is "key" in it, written shorter. An unknown name is a
// mistake, and so is one that is given twice.
//
//	{"id": "ever", "quota": 10000, "window": "lifetime", "fallback": "trickle", "adopt": "both"},
//	{"id": "trickle", "quota": 1, "per": "10s"},
//	{"id": "calls", "quota": 1200, "per": "1m", "share": 0.5, "safety_margin": 0}
//
// "share" is above 0 and at most 1, and "safety_margin" at least 0 and below 1; where
// they are missing those of throttle.Options count, and a margin that is written as 0 is
// throttle.NoMargin. "fallback" is the id of another limit of the file. "adopt" is
// "lower", "both" or "nothing", as throttle.Adopt.String writes them.
//
// The limits are then checked as throttle.New checks them, and every mistake is
// reported: of one entry the first twenty that it cannot be read for, and how many more it
// has. Of what cannot be read nothing else is said, nor of what would follow from it. A byte
// order mark at the beginning is passed over.
func Read(r io.Reader) ([]throttle.Limit, error) {
	text, err := io.ReadAll(upTo(r))
	if err != nil {
		return nil, fmt.Errorf("limits: %w", err)
	}
	var file document
	wrong := told("limits", strictjson.Decode("", text, &file))
	if file.Limits == nil {
		return nil, cmp.Or(wrong, errors.New(`limits: there is no list "limits"`))
	}
	limits, errs := readEntries(file.Limits)
	if err := errors.Join(wrong, errors.Join(errs...)); err != nil {
		return nil, err
	}
	return limits, nil
}

// shareLocations has limits of one place have one location: each entry has loaded its own.
func shareLocations(limits []throttle.Limit) {
	first := map[string]*time.Location{}
	for i := range limits {
		if l := limits[i].Location; l != nil {
			if first[l.String()] == nil {
				first[l.String()] = l
			}
			limits[i].Location = first[l.String()]
		}
	}
}

// readEntries returns the limits of all entries, and every mistake in them: first what cannot be
// read.
func readEntries(texts []json.RawMessage) (limits []throttle.Limit, errs []error) {
	var more []error
	lost := false // the id of some entry
	for i, text := range texts {
		var e entry
		place := fmt.Sprint(i + 1)
		wrong := strictjson.Decode("", text, &e)
		if string(text) == "null" { // which would be read as an entry without anything in it
			wrong = errors.New("want an object")
		}
		errs = append(errs, told("limits: "+nameOf(i, text), wrong))
		u := unreadOf(wrong)
		switch {
		case e.ID != "":
		case u.has("id"):
			e.ID, lost = nameless+place, true
		default:
			e.ID = nameless + place
			errs = append(errs, fmt.Errorf("limits: entry %s: has no id", place))
		}
		l, mistakes := e.limit()
		if wrong != nil {
			u.suppose(&l)
		}
		limits, more = append(limits, l), append(more, mistakes...)
	}
	shareLocations(limits)
	checked := limits
	if lost {
		checked = slices.Concat(limits, standIns(limits))
	}
	_, err := throttle.New(checked, throttle.Options{})
	return limits, append(errs, named(errors.Join(append(more, err)...)))
}

// told names every mistake, or what else is wrong, in what is to be told of as about.
func told(about string, err error) error {
	var wrong *strictjson.Error
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &wrong):
		return fmt.Errorf("%s: %w", about, err)
	}
	errs := make([]error, len(wrong.Mistakes))
	for i, m := range wrong.Mistakes {
		place := about
		if m.Path != "" {
			place += ": " + m.Path
		}
		errs[i] = fmt.Errorf("%s: %s", place, m.Why)
	}
	return errors.Join(errs...)
}

// nameOf is how a mistake names an entry that cannot be read: by its id, or, for want of one,
// by its place, the first being 1.
func nameOf(i int, text json.RawMessage) string {
	var named struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(text, &named) != nil || named.ID == "" {
		return fmt.Sprintf("entry %d", i+1)
	}
	return fmt.Sprintf("limit %.40q", named.ID)
}

func (e entry) limit() (throttle.Limit, []error) {
	l := throttle.Limit{
		ID: e.ID, Quota: e.Quota, Per: time.Duration(e.Per), Window: throttle.Window(e.Window), Weight: e.Weight,
		By: throttle.By(e.By), Keyed: e.Keyed, Keys: e.Keys, Burst: e.Burst, Tick: time.Duration(e.Tick), Offset: time.Duration(e.Offset),
		RTTFloor: time.Duration(e.RTTFloor), MaxDelay: time.Duration(e.MaxDelay), CloseDelay: time.Duration(e.CloseDelay), Shared: e.Shared, Scope: e.Scope,
		Location: e.Location.Location, Months: e.Months, Fallback: e.Fallback, Adopt: throttle.Adopt(e.Adopt), Tariff: tariff(e.Tariff),
	}
	for _, link := range e.Links {
		l.Linked = append(l.Linked, throttle.Link{ID: link.ID, Weight: link.Weight, Tariff: tariff(link.Tariff)})
	}
	for _, reserve := range e.Reserve {
		l.Reserve = append(l.Reserve, throttle.Reserve(reserve))
	}
	return l, e.apply(&l)
}

// apply sets share and margin of a limit, and returns what is wrong with them. What is not
// written is that of the options; what is written has to be right as it stands.
func (e portion) apply(l *throttle.Limit) (mistakes []error) {
	complain := func(format string, value float64) {
		mistakes = append(mistakes, &throttle.LimitError{ID: l.ID, Err: fmt.Errorf(format, value)})
	}
	if s := e.Share; s != nil {
		if *s > 0 && *s <= 1 {
			l.Share = *s
		} else {
			complain("share %v: want a number above 0, and at most 1", *s)
		}
	}
	if m := e.SafetyMargin; m != nil {
		switch {
		case *m == 0:
			l.SafetyMargin = throttle.NoMargin
		case *m > 0 && *m < 1:
			l.SafetyMargin = *m
		default:
			complain("safety_margin %v: want a number of at least 0, and below 1", *m)
		}
	}
	return mistakes
}

// duration is a duration written as "1m30s".
type duration time.Duration

func (d *duration) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf(`duration %.40s: want a text such as "1m30s"`, text)
	}
	parsed, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf(`duration %.40q: want a text such as "1m30s"`, s)
	}
	*d = duration(parsed)
	return nil
}

// place is a location by its name in the time zone database.
type place struct{ *time.Location }

func (p *place) UnmarshalJSON(text []byte) error {
	var name string
	if err := json.Unmarshal(text, &name); err != nil {
		return fmt.Errorf(`location %.40s: want a name such as "America/Los_Angeles"`, text)
	}
	location, err := time.LoadLocation(name)
	if err != nil {
		return fmt.Errorf("location %.40q: %w", name, err)
	}
	p.Location = location
	return nil
}

// by is what tells the meters of a limit apart, as a list of names.
type by throttle.By

func (b *by) UnmarshalJSON(text []byte) error {
	mistake := fmt.Errorf(`by %.40s: want a list of "account", "key" and "egress", each at most once`, text)
	var names []string
	if err := json.Unmarshal(text, &names); err != nil {
		return mistake
	}
	*b = 0
	for _, name := range names {
		part, known := partNames[name]
		if !known || throttle.By(*b)&part != 0 {
			return mistake
		}
		*b |= by(part)
	}
	return nil
}

var partNames = map[string]throttle.By{
	throttle.ByAccount.String(): throttle.ByAccount, throttle.ByKey.String(): throttle.ByKey, throttle.ByEgress.String(): throttle.ByEgress,
}

// window is a window by its name.
type window throttle.Window

// windowNames are the names that may stand in a file, in the order of
// throttle's constants.
var windowNames = func() (names []string) {
	for w := throttle.Sliding; w <= throttle.Lifetime; w++ {
		names = append(names, w.String())
	}
	return names
}()

func (w *window) UnmarshalJSON(text []byte) error {
	var name string
	if err := json.Unmarshal(text, &name); err == nil {
		if i := slices.Index(windowNames, name); i >= 0 {
			*w = window(i)
			return nil
		}
	}
	return fmt.Errorf("window %.40s: want one of %s", text, strings.Join(windowNames, ", "))
}

// adopt is a throttle.Adopt by its name.
type adopt throttle.Adopt

// adoptNames are the names that may stand in a file, in the order of throttle's
// constants.
var adoptNames = []string{throttle.AdoptLower.String(), throttle.AdoptBoth.String(), throttle.AdoptNothing.String()}

func (a *adopt) UnmarshalJSON(text []byte) error {
	var name string
	if err := json.Unmarshal(text, &name); err == nil {
		if i := slices.Index(adoptNames, name); i >= 0 {
			*a = adopt(i)
			return nil
		}
	}
	return fmt.Errorf("adopt %.40s: want one of %s", text, strings.Join(adoptNames, ", "))
}

// exchangeInfo is what is read of Binance's GET /api/v3/exchangeInfo. It has other fields, and
// may have more tomorrow.
type exchangeInfo struct {
	RateLimits []exchangeLimit `json:"rateLimits"`
}

type exchangeLimit struct {
	RateLimitType string `json:"rateLimitType"`
	Interval      string `json:"interval"`
	IntervalNum   int64  `json:"intervalNum"`
	Limit         int64  `json:"limit"`
}

// findRateLimits reads a document as far as its rateLimits: the symbols, which
// mostly stand behind them, are many megabytes.
func findRateLimits(r io.Reader) ([]exchangeLimit, error) {
	decoder := json.NewDecoder(afterMark(upTo(r)))
	if begin, err := decoder.Token(); err != nil {
		return nil, err
	} else if begin != json.Delim('{') {
		return nil, errors.New("it is no JSON object")
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		switch name, _ := name.(string); {
		case name == "rateLimits":
			return readRateLimits(decoder)
		case strings.EqualFold(name, "rateLimits"):
			return nil, fmt.Errorf("%.40q: it is spelt rateLimits", name)
		}
		if err := skipValue(decoder); err != nil {
			return nil, err
		}
	}
	_, err := decoder.Token()
	return nil, err
}

// readRateLimits reads the value of the rateLimits. A limit that is there twice is not understood:
// whichever were taken, the other may be the one that requests are counted by.
func readRateLimits(decoder *json.Decoder) ([]exchangeLimit, error) {
	var list json.RawMessage
	if err := decoder.Decode(&list); err != nil {
		return nil, err
	}
	var info exchangeInfo
	text := slices.Concat([]byte(`{"rateLimits":`), list, []byte("}")) // so that a mistake has its whole path
	if err := strictjson.DecodePart("", text, &info); err != nil {
		return nil, err
	}
	return info.RateLimits, nil
}

// mostNested is how deep a value may be nested that is passed over.
const mostNested = 1000

// skipValue reads past a value, and holds none of it.
func skipValue(decoder *json.Decoder) error {
	for depth := 0; ; {
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		switch {
		case depth == 0:
			return nil
		case depth > mostNested: // the decoder remembers every level
			return errors.New("it is nested too deep")
		}
	}
}

var exchangeIntervals = map[string]time.Duration{
	"SECOND": time.Second, "MINUTE": time.Minute, "HOUR": time.Hour, "DAY": 24 * time.Hour,
}

// ReadExchangeInfo makes limits of a document of the shape of Binance's
// exchangeInfo. Each is a Fixed one, named by type and window, as in
// "REQUEST_WEIGHT_1M" or "ORDERS_10S". ORDERS are counted by account, and are a scope
// "account" of their own; everything else is scope "address". Add the routes that link to them. What
// stands behind the rateLimits is not read, and of each of them no more than these limits are made
// of: that is refused if it is there twice, or its name in other letters, small or capital. The
// error says what in the document has another shape.
func ReadExchangeInfo(r io.Reader) ([]throttle.Limit, error) {
	found, err := findRateLimits(r)
	if err != nil {
		return nil, told("exchangeInfo", err)
	}
	var limits []throttle.Limit
	var errs []error
	for i, e := range found {
		per, ok := exchangeIntervals[e.Interval]
		if !ok || e.IntervalNum < 1 || e.IntervalNum > 10_000 || e.RateLimitType == "" {
			errs = append(errs, fmt.Errorf("exchangeInfo: rateLimits[%d] is not understood", i))
			continue
		}
		scope, apart := "address", throttle.By(0)
		if e.RateLimitType == "ORDERS" {
			scope, apart = "account", throttle.ByAccount
		}
		limits = append(limits, throttle.Limit{
			ID:    fmt.Sprintf("%s_%d%c", e.RateLimitType, e.IntervalNum, e.Interval[0]),
			Quota: e.Limit, Per: time.Duration(e.IntervalNum) * per, Window: throttle.Fixed, Scope: scope, By: apart,
		})
	}
	if len(found) == 0 {
		errs = append(errs, errors.New("exchangeInfo: no rateLimits"))
	}
	_, err = throttle.New(limits, throttle.Options{})
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	return limits, nil
}
