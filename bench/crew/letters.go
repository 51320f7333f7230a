package crew

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/sluice-engine/sluice/bench/results"
)

// Version is of the protocol between machines. All machines of a run have the same; it goes
// up with every change of a letter, of a Job, or of what the results of a second look like.
const Version = 1

// letter is what machines say to one another. Exactly one of its bodies is set.
type letter struct {
	Version int    `json:"v"`
	Run     string `json:"run"`              // random
	Worker  int    `json:"worker,omitempty"` // which of the run's, told back in every answer
	Reply   string `json:"reply,omitempty"`  // host:port of the coordinator, in all its letters

	// The coordinator's.
	Enlist  *enlist  `json:"enlist,omitempty"`
	Probe   *probe   `json:"probe,omitempty"` // renews the lease, as every letter does
	Begin   *begin   `json:"begin,omitempty"`
	Stop    *stop    `json:"stop,omitempty"`
	Dismiss *dismiss `json:"dismiss,omitempty"`

	// The worker's.
	Enlisted *enlisted `json:"enlisted,omitempty"`
	Refused  *refused  `json:"refused,omitempty"`
	Reading  *reading  `json:"reading,omitempty"`
	Snapshot *live     `json:"snapshot,omitempty"`

	// Of both, by courier.
	Part  *part  `json:"part,omitempty"`
	Taken *taken `json:"taken,omitempty"`
}

// enlist asks a worker to serve a run. It is said again until it is answered.
type enlist struct {
	Coordinator string        `json:"coordinator"` // its name, for whoever is told that the worker is busy
	Lease       time.Duration `json:"lease"`       // how long its word is good
	Workers     int           `json:"workers"`
}

// enlisted answers enlist.
type enlisted struct {
	Name        string              `json:"name"`
	Environment results.Environment `json:"environment"`
}

// refused answers what a worker will not do, and dismiss. It is the last of a run.
type refused struct {
	Reason string `json:"reason"`
}

// probe asks what a worker's clock shows. Sent is the coordinator's, and comes back.
type probe struct {
	Sent time.Duration `json:"sent"`
}

// reading answers probe: the worker's clock when it answered, as a Unix time.
type reading struct {
	Sent  time.Duration `json:"sent"`
	Clock time.Duration `json:"clock"`
	Begun bool          `json:"begun,omitempty"` // begin arrived
	Quiet time.Duration `json:"quiet,omitempty"` // for how long the run itself has told nothing
}

// begin says at which Unix time of the worker's clock the schedule has its instant 0.
type begin struct {
	At time.Duration `json:"at"`
}

// stop ends a run early; its results are still sent.
type stop struct {
	Reason string `json:"reason"`
}

// dismiss frees the worker, results or not.
type dismiss struct{}

// live is a run as one worker sees it.
type live struct {
	results.Snapshot
}

// report is what a worker tells of its run by courier: one of these.
type report struct {
	Ready    *ready            `json:"ready,omitempty"`
	Interval *results.Interval `json:"interval,omitempty"`
	Ended    *results.End      `json:"ended,omitempty"`
	Failed   string            `json:"failed,omitempty"` // in place of Ready or Ended
}

// ready says that the worker understood its job and could begin at once.
type ready struct {
	Operations []string `json:"operations,omitempty"`
}

var errLetter = errors.New("no letter of this protocol")

// decodeLetter reads a letter, and is as strict as can be about what is one.
func decodeLetter(text []byte) (letter, error) {
	if len(text) > mostLetter {
		return letter{}, fmt.Errorf("%w: %d bytes", errLetter, len(text))
	}
	var l letter
	if err := json.Unmarshal(text, &l); err != nil {
		return letter{}, fmt.Errorf("%w: %w", errLetter, err)
	}
	if l.Version != Version {
		return letter{}, fmt.Errorf("%w: version %d, this is version %d", errLetter, l.Version, Version)
	}
	if l.Run == "" || len(l.Run) > 64 {
		return letter{}, fmt.Errorf("%w: it is of no run", errLetter)
	}
	bodies := 0
	for _, there := range []bool{
		l.Enlist != nil, l.Probe != nil, l.Begin != nil, l.Stop != nil, l.Dismiss != nil,
		l.Enlisted != nil, l.Refused != nil, l.Reading != nil, l.Snapshot != nil, l.Part != nil, l.Taken != nil,
	} {
		if there {
			bodies++
		}
	}
	if bodies != 1 {
		return letter{}, fmt.Errorf("%w: %d bodies", errLetter, bodies)
	}
	return l, nil
}

// printable makes text that came from elsewhere fit to be shown: a terminal obeys some
// characters, and a line has an end.
func printable(text string) string {
	const longest = 500
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}
