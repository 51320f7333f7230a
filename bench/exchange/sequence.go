package exchange

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// SequenceReport is in which order the requests of one key were executed, by the numbers that
// their client gave them. Requests of different priorities are looked at apart: they may
// overtake one another.
type SequenceReport struct {
	Of       string `json:"of"` // the account, or the client's address
	Key      string `json:"key,omitempty"`
	Priority string `json:"priority,omitempty"`
	Requests int64  `json:"requests"` // executed
	// Late is how many were executed after one of a higher number, Repeated how many had the
	// highest number so far, and Missing how many numbers between the first and the
	// last were executed at no time, at least.
	Late     int64 `json:"late"`
	Repeated int64 `json:"repeated"`
	Missing  int64 `json:"missing"`
}

// keptSequences is how many keys are told apart.
const keptSequences = 1_000

// lane is whose requests have one order.
type lane struct{ of, key, priority string }

// sequence follows one lane in constant memory.
type sequence struct {
	requests, late, repeated int64
	least, most              uint64
}

// sequences are guarded by the exchange's mutex.
type sequences struct {
	lanes map[lane]*sequence
	other int64 // requests of keys that are too many
}

// numbered reads "N" or "KEY:N".
func numbered(text string) (key string, n uint64, ok bool) {
	if at := strings.LastIndexByte(text, ':'); at >= 0 {
		key, text = text[:at], text[at+1:]
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return key, n, err == nil
}

func (s *sequences) executed(l lane, n uint64) {
	q := s.lanes[l]
	if q == nil {
		if len(s.lanes) == keptSequences {
			s.other++
			return
		}
		if s.lanes == nil {
			s.lanes = map[lane]*sequence{}
		}
		q = &sequence{least: n}
		s.lanes[l] = q
	}
	switch {
	case q.requests > 0 && n == q.most:
		q.repeated++
	case n < q.most:
		q.late++
	}
	q.requests++
	q.least, q.most = min(q.least, n), max(q.most, n)
}

func (q *sequence) missing() int64 {
	there := q.most - q.least
	executed := uint64(q.requests - q.repeated)
	if there < executed { // one less than there are numbers
		return 0
	}
	return int64(min(there-executed+1, 1<<62))
}

func (s *sequences) report() (list []SequenceReport) {
	for l, q := range s.lanes {
		list = append(list, SequenceReport{
			Of: l.of, Key: l.key, Priority: l.priority,
			Requests: q.requests, Late: q.late, Repeated: q.repeated, Missing: q.missing(),
		})
	}
	slices.SortFunc(list, func(a, b SequenceReport) int {
		return cmp.Or(cmp.Compare(a.Of, b.Of), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Priority, b.Priority))
	})
	return list
}

// JainIndex is how evenly shares are: (Σx)² / (n·Σx²), from 1/n, if one has everything, to 1, if
// all have the same. None, or nothing to share, is even.
func JainIndex(shares []int64) float64 {
	sum, squares := 0.0, 0.0
	for _, x := range shares {
		sum += float64(x)
		squares += float64(x) * float64(x)
	}
	if squares == 0 {
		return 1
	}
	return sum * sum / (float64(len(shares)) * squares)
}
