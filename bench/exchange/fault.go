package exchange

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// FaultKind is what goes wrong with an answer.
type FaultKind uint8

const (
	// FaultStatus answers with Status and does not execute the request.
	FaultStatus FaultKind = iota
	// FaultStatusAfter executes the request and answers with Status all the
	// same: the outcome is unknown to the client.
	FaultStatusAfter
	// FaultClose closes the connection without executing or answering.
	FaultClose
	// FaultCloseAfter executes the request, then closes without an answer.
	FaultCloseAfter
	// FaultTruncate executes the request and closes half-way through the body.
	FaultTruncate
	// FaultReset resets the connection without executing or answering, and
	// FaultResetAfter after it has executed the request.
	FaultReset
	FaultResetAfter
	// FaultHalfClose executes the request, ends its own side of the connection half-way
	// through the body, and goes on to read what comes.
	FaultHalfClose
	// FaultSlow executes the request and takes Config.SlowBody for the body.
	FaultSlow
	// FaultShortLength executes the request and announces fewer bytes than it sends: the
	// rest is in the way of whoever uses the connection again.
	FaultShortLength
	// FaultLongLength executes the request, announces more bytes than it sends, and leaves
	// the connection open: the client waits until its own time is up.
	FaultLongLength

	lastFault = FaultLongLength
)

// Fault makes a share of the requests fail. They are charged all the same.
type Fault struct {
	Kind        FaultKind
	Status      int     // 400 to 599, with a status kind
	Probability float64 // above 0, at most 1; all faults together at most 1
}

var faultNames = map[FaultKind]string{
	FaultClose: "close", FaultCloseAfter: "after-close", FaultTruncate: "truncate",
	FaultReset: "reset", FaultResetAfter: "after-reset", FaultHalfClose: "half-close", FaultSlow: "slow",
	FaultShortLength: "short-length", FaultLongLength: "long-length",
}

const faultWords = "a status, after-STATUS, close, after-close, reset, after-reset, truncate, half-close, slow, short-length or long-length"

// String writes the fault as ParseFaults reads it.
func (f Fault) String() string {
	return f.name() + ":" + strconv.FormatFloat(f.Probability, 'g', -1, 64)
}

func (f Fault) name() string {
	switch f.Kind {
	case FaultStatus:
		return strconv.Itoa(f.Status)
	case FaultStatusAfter:
		return "after-" + strconv.Itoa(f.Status)
	}
	if name, ok := faultNames[f.Kind]; ok {
		return name
	}
	return fmt.Sprintf("fault(%d)", uint8(f.Kind))
}

// ParseFaults reads a comma-separated list of WHAT:PROBABILITY. WHAT is a
// status from 400 to 599 (the request is not executed), after-STATUS (it is
// executed, the answer says otherwise), close, after-close, reset, after-reset, truncate,
// half-close, slow, short-length or long-length. A probability is a number up to 1, or a
// percentage with its sign. Empty text means no faults.
//
//	503:1%,after-504:0.005,after-close:0.001
func ParseFaults(text string) ([]Fault, error) {
	if text == "" {
		return nil, nil
	}
	var faults []Fault
	for item := range strings.SplitSeq(text, ",") {
		f, err := parseFault(item)
		if err != nil {
			return nil, err
		}
		faults = append(faults, f)
	}
	if wrong := faultMistakes(faults); len(wrong) > 0 {
		return nil, wrong[0]
	}
	return faults, nil
}

// ParseStatuses reads a list of STATUS:PERCENT, as fortio's servers do: "503:1,429:0.5".
// They are answered without executing the request. Empty text means none.
func ParseStatuses(text string) ([]Fault, error) {
	if text == "" {
		return nil, nil
	}
	items := strings.Split(text, ",")
	for i, item := range items {
		status, percent, ok := strings.Cut(item, ":")
		if _, err := strconv.Atoi(status); !ok || err != nil {
			return nil, fmt.Errorf("status %q: want STATUS:PERCENT, as in 503:1", item)
		}
		items[i] = status + ":" + strings.TrimSuffix(percent, "%") + "%"
	}
	return ParseFaults(strings.Join(items, ","))
}

// parseProbability reads a share of 1, or a percentage with its sign.
func parseProbability(text string) (float64, error) {
	number, percent := strings.CutSuffix(text, "%")
	p, err := strconv.ParseFloat(number, 64)
	if percent {
		p /= 100
	}
	return p, err
}

func parseFault(text string) (f Fault, err error) {
	what, probability, ok := strings.Cut(text, ":")
	if !ok {
		return f, fmt.Errorf("fault %q: want WHAT:PROBABILITY, as in 503:0.01", text)
	}
	if f.Probability, err = parseProbability(probability); err != nil {
		return f, fmt.Errorf("fault %q: %q is not a probability", text, probability)
	}
	for kind, name := range faultNames {
		if what == name {
			f.Kind = kind
			return f, nil
		}
	}
	status, after := strings.CutPrefix(what, "after-")
	if after {
		f.Kind = FaultStatusAfter
	}
	if f.Status, err = strconv.Atoi(status); err != nil {
		return f, fmt.Errorf("fault %q: want %s", text, faultWords)
	}
	return f, nil
}

func faultMistakes(faults []Fault) (wrong []error) {
	total := 0.0
	for _, f := range faults {
		hasStatus := f.Kind == FaultStatus || f.Kind == FaultStatusAfter
		switch {
		case f.Kind > lastFault:
			wrong = append(wrong, fmt.Errorf("fault %q: unknown kind", f))
		case hasStatus && (f.Status < 400 || f.Status > 599):
			wrong = append(wrong, fmt.Errorf("fault %q: status must be from 400 to 599", f))
		}
		if !(f.Probability > 0 && f.Probability <= 1) {
			wrong = append(wrong, fmt.Errorf("fault %q: probability must be above 0 and at most 1", f))
		}
		total += f.Probability
	}
	if total > 1+1e-9 {
		wrong = append(wrong, fmt.Errorf("faults: probabilities add up to %g, above 1", total))
	}
	return wrong
}

// drawFault picks at most one fault, with one draw.
func drawFault(faults []Fault, rng *rand.Rand) *Fault {
	if len(faults) == 0 {
		return nil
	}
	u := rng.Float64()
	for i := range faults {
		if u -= faults[i].Probability; u < 0 {
			return &faults[i]
		}
	}
	return nil
}

// before reports whether the fault keeps the request from being executed.
func (f *Fault) before() bool {
	return f != nil && (f.Kind == FaultStatus || f.Kind == FaultClose || f.Kind == FaultReset)
}

// hides reports whether the request is executed and the client is not told, or not all of it. A
// slow body is told to who waits for its end.
func (f *Fault) hides() bool {
	if f == nil {
		return false
	}
	switch f.Kind {
	case FaultStatusAfter, FaultCloseAfter, FaultResetAfter, FaultTruncate, FaultHalfClose, FaultLongLength:
		return true
	}
	return false
}

// tells reports whether the client has the answer, though its connection is kept for longer.
func (f *Fault) tells() bool { return f != nil && f.Kind == FaultShortLength }

func (f *Fault) answer() *apiError {
	return &apiError{status: f.Status, Code: -1000, Msg: "An unknown error occurred while processing the request."}
}
