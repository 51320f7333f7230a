package suites

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// Verdict is how a test ended.
type Verdict string

const (
	Pass    Verdict = "pass"
	Fail    Verdict = "fail"
	Skip    Verdict = "skip"
	Unended Verdict = "did not end" // its binary was gone before
)

// Outcomes are what became of one package's tests.
type Outcomes struct {
	Verdicts map[string]Verdict // by the test's name, subtests included
	Output   map[string]string  // what the tests printed
	Took     map[string]time.Duration
	Rest     string // what was printed beside them
	Ended    bool   // the package got a verdict
	Passed   bool   // and it was "pass"
}

// event is a line of test2json.
type event struct {
	Action, Test, Output string
	Elapsed              float64 // seconds, of a verdict
}

// ReadEvents reads what test2json writes of one package. What is no event is taken
// for output.
func ReadEvents(r io.Reader) (Outcomes, error) {
	out := Outcomes{Verdicts: map[string]Verdict{}, Output: map[string]string{}, Took: map[string]time.Duration{}}
	printed := map[string]*strings.Builder{}
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 64<<20)
	for scanner.Scan() {
		var e event
		if json.Unmarshal(scanner.Bytes(), &e) != nil || e.Action == "" {
			e = event{Action: "output", Output: scanner.Text() + "\n"}
		}
		out.take(e)
		if e.Action == "output" {
			if printed[e.Test] == nil {
				printed[e.Test] = new(strings.Builder)
			}
			printed[e.Test].WriteString(e.Output)
		}
	}
	for test, text := range printed {
		if test == "" {
			out.Rest = text.String()
		} else {
			out.Output[test] = text.String()
		}
	}
	if err := scanner.Err(); err != nil {
		return out, fmt.Errorf("read what the tests said: %w", err)
	}
	return out, nil
}

func (o *Outcomes) take(e event) {
	switch e.Action {
	case "run":
		if e.Test != "" {
			o.Verdicts[e.Test] = Unended
		}
	case "pass", "fail", "skip":
		if e.Test == "" {
			o.Ended, o.Passed = true, e.Action != "fail"
			return
		}
		o.Verdicts[e.Test] = Verdict(e.Action)
		o.Took[e.Test] = time.Duration(e.Elapsed * float64(time.Second))
	}
}

// TheWhole stands for what a package's binary says when no test failed: the exit
// code of a TestMain that looks for what stayed behind.
const TheWhole = "(TestMain)"

// judgeWhole gives TheWhole a verdict, unless that of a test says it already.
func (o *Outcomes) judgeWhole() {
	verdict := Pass
	if !o.Passed {
		verdict = Fail
	}
	for _, v := range o.Verdicts {
		if v == Fail || v == Unended {
			return
		}
	}
	o.Verdicts[TheWhole] = verdict
	if verdict == Fail {
		o.Output[TheWhole] = o.Rest
	}
}

// top is the name of the test that a subtest belongs to.
func top(test string) string {
	name, _, _ := strings.Cut(test, "/")
	return name
}
