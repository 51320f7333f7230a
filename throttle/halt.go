package throttle

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Filter selects requests, by what they say of themselves. Fields that are set join by
// AND; the zero Filter selects everything.
type Filter struct {
	Account string // Request.Account; DefaultAccount selects those that name none
	Egress  string // Request.Egress; DefaultEgress selects those that name none
	Key     string // Request.Key
	LimitID string // the limit that a request names, or is charged for want of one; not those linked to it
	// PriorityBelow selects what is less urgent than that; zero means any priority. To
	// select what is below Normal, which is zero, name Background+1.
	PriorityBelow Priority
	Method        string // in upper case
	// PathPrefix is how the path begins, percent-encoded, without the query: either as it
	// goes to the server, that of the base URL included, or as a request names it, behind
	// that of the base URL. It is compared byte by byte.
	PathPrefix string

	// Reason is told to whoever is refused, in errors and statistics. It selects nothing,
	// and must hold no secret.
	Reason string
}

// Subject is what a Filter looks at. A permit without a request has no Method and no
// Path, and is selected by no filter that names one of them.
type Subject struct {
	Parts
	LimitID      string
	Priority     Priority
	Method, Path string // never empty for a request
}

// Selects reports whether the filter selects a request, of whose Path it sees the whole
// alone: see Halt.Selects.
func (f *Filter) Selects(s Subject) bool {
	return f.takesParts(s.Parts) && f.takesClass(s.LimitID, s.Priority) && (f.Method == "" || f.Method == s.Method) &&
		(f.PathPrefix == "" || strings.HasPrefix(s.Path, f.PathPrefix))
}

func (f *Filter) takesParts(p Parts) bool {
	return (f.Account == "" || f.Account == cmp.Or(p.Account, DefaultAccount)) &&
		(f.Egress == "" || f.Egress == cmp.Or(p.Egress, DefaultEgress)) && (f.Key == "" || f.Key == p.Key)
}

func (f *Filter) takesClass(limit string, priority Priority) bool {
	return (f.LimitID == "" || f.LimitID == limit) && (f.PriorityBelow == 0 || priority < f.PriorityBelow)
}

// String is one line of what is set, such as `priority below 400, path "/orders"`. It has
// the account and the key, as statistics do; no error's text has them.
func (f Filter) String() string { return f.text(true) }

// text leaves out what may name an account, unless it is asked for.
func (f *Filter) text(parts bool) string {
	var all []string
	add := func(name, value string, private bool) {
		switch {
		case value == "":
		case private && !parts:
			all = append(all, "one "+name)
		case name == "account" && value == DefaultAccount, name == "egress" && value == DefaultEgress:
			all = append(all, "the default "+name)
		default:
			all = append(all, name+" "+strconv.Quote(value))
		}
	}
	add("account", f.Account, true)
	add("egress", f.Egress, true)
	add("key", f.Key, true)
	add("limit", f.LimitID, false)
	if f.PriorityBelow != 0 {
		all = append(all, "priority below "+strconv.Itoa(int(f.PriorityBelow)))
	}
	add("method", f.Method, false)
	add("path", f.PathPrefix, false)
	if len(all) == 0 {
		return "everything"
	}
	return strings.Join(all, ", ")
}

// ErrHalted is found in the error of whatever a halt has refused.
var ErrHalted = errors.New("halted")

// HaltError says which halt refused a request. Its text has neither account nor key.
type HaltError struct {
	ID     uint64 // of the halt; see Stats
	Filter Filter // what it selects, and its Reason
	Since  time.Time
}

// Error is part of error: one line.
func (e *HaltError) Error() string {
	text := fmt.Sprintf("halted since %s (%s)", e.Since.Format("15:04:05.000"), e.Filter.text(false))
	if e.Filter.Reason != "" {
		text += ": " + strings.Map(printable, e.Filter.Reason)
	}
	return text
}

func printable(c rune) rune {
	if !strconv.IsPrint(c) {
		return ' '
	}
	return c
}

// Is reports that it is ErrHalted.
func (e *HaltError) Is(target error) bool { return target == ErrHalted }

// Format prints what Error returns for every verb and flag.
func (e HaltError) Format(f fmt.State, verb rune) {
	text := e.Error()
	if verb == 'q' {
		text = strconv.Quote(text)
	}
	_, _ = io.WriteString(f, text)
}

// LogValue returns what Error does.
func (e HaltError) LogValue() slog.Value { return slog.StringValue(e.Error()) }

// MarshalJSON writes what Error returns.
func (e HaltError) MarshalJSON() ([]byte, error) { return json.Marshal(e.Error()) }

// Halt is one that stands, or did.
type Halt struct {
	ID      uint64 // no two of one Halts have the same
	Filter  Filter
	Since   time.Time
	base    string // that of its Halts
	refused atomic.Int64
}

// Selects reports whether the halt selects a request: by its whole path, or by what of it
// is behind the base URL's. Who halts in haste writes either, and one that selects nothing
// would look like one that halts.
func (h *Halt) Selects(s Subject) bool {
	if h.Filter.Selects(s) {
		return true
	}
	behind, under := strings.CutPrefix(s.Path, h.base)
	if h.base == "" || !under || behind != "" && behind[0] != '/' {
		return false
	}
	s.Path = cmp.Or(behind, "/")
	return h.Filter.Selects(s)
}

// Refused is how many requests and permits the halt has refused so far.
func (h *Halt) Refused() int64 { return h.refused.Load() }

// Refuse counts a refusal, and returns its error.
func (h *Halt) Refuse() error {
	h.Count()
	return h.Err()
}

// Err is the error of what the halt refuses, for whoever may find that it has left by
// itself; who has not counts.
func (h *Halt) Err() error { return &HaltError{ID: h.ID, Filter: h.Filter, Since: h.Since} }

// Count counts a refusal.
func (h *Halt) Count() { h.refused.Add(1) }

// Halts are those that stand. Unlike a Ledger, any goroutine may call them, at any time;
// without a halt a look is one load of a word that nobody writes. The zero value has none,
// and so has nil.
type Halts struct {
	base     string     // set before the first halt
	mu       sync.Mutex // held by writers
	last     uint64     // guarded by mu
	standing atomic.Pointer[[]*Halt]
}

// Under says which path of the base URL, without "/" at the end, a Filter.PathPrefix may
// leave out. It must be called before any other method, if at all.
func (h *Halts) Under(base string) { h.base = base }

// Add has a halt stand from now on: whoever looks after it returned is refused.
func (h *Halts) Add(f Filter, since time.Time) *Halt {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	one := &Halt{ID: h.last, Filter: f, Since: since, base: h.base}
	all := append(slices.Clone(h.Standing()), one)
	h.standing.Store(&all)
	return one
}

// Lift ends the halt of that ID, and no other. It reports whether it stood.
func (h *Halts) Lift(id uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.Standing()
	left := slices.DeleteFunc(slices.Clone(before), func(one *Halt) bool { return one.ID == id })
	if len(left) == len(before) {
		return false
	}
	if len(left) == 0 {
		h.standing.Store(nil)
		return true
	}
	h.standing.Store(&left)
	return true
}

// Any reports whether a halt stands.
func (h *Halts) Any() bool { return h != nil && h.standing.Load() != nil }

// Standing returns the halts that stand, the first of them first. It must not be changed.
func (h *Halts) Standing() []*Halt {
	if h == nil {
		return nil
	}
	if all := h.standing.Load(); all != nil {
		return *all
	}
	return nil
}

// Of returns the first halt that selects a request; nil if it may go on.
func (h *Halts) Of(s Subject) *Halt {
	for _, one := range h.Standing() {
		if one.Selects(s) {
			return one
		}
	}
	return nil
}

// Refuse returns the error of the first halt that selects a request; nil if it may go on.
func (h *Halts) Refuse(s Subject) error {
	if one := h.Of(s); one != nil {
		return one.Refuse()
	}
	return nil
}
