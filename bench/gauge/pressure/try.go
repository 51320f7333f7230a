package pressure

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// Alone is the environment variable that says, if it is not empty, that nothing else was started
// beside the tests. Then the first Try waits for the machine to calm down, and a test is excused
// only by pressure that was there during every attempt.
const Alone = "SLUICE_ALONE"

// calm is how long is waited for a machine to calm down, and moment how long it must have been.
const (
	calm   = 30 * time.Second
	moment = 300 * time.Millisecond
)

var awaited sync.Once

// blindly is how many times as often is tried where nothing is known of the machine.
const blindly = 3

// Gross marks what an attempt says as so far off that no busy machine explains it.
func Gross(err error) error { return gross{err} }

type gross struct{ error }

func (g gross) Unwrap() error { return g.error }

// Try makes attempts until one returns nil, so many at most, and else ends the test: it fails,
// unless the machine was under pressure in half of the attempts, which skips it. What is wrong
// whatever the machine does, an attempt does not return but fails the test with.
func Try(t testing.TB, tries int, attempt func() error) {
	t.Helper()
	alone := os.Getenv(Alone) != ""
	if alone {
		awaited.Do(func() {
			awaitCalm(calm, func() Reading {
				before := read()
				time.Sleep(moment)
				return read().since(before)
			})
		})
	}
	if !read().known {
		tries *= blindly
	}
	var made []tried
	for range tries {
		before := read()
		err := attempt()
		made = append(made, tried{err, read().since(before)})
		if err == nil {
			return
		}
	}
	switch excused, because := judge(made, alone); {
	case excused:
		t.Skip(because)
	default:
		t.Fatal(because)
	}
}

// awaitCalm returns once a reading is not pressed, or after so long.
func awaitCalm(within time.Duration, look func() Reading) {
	for began := time.Now(); time.Since(began) < within && look().Pressed(); {
	}
}

type tried struct {
	err     error
	machine Reading
}

// judge says whether attempts that all failed are excused by the machine, and in any case how
// they went.
func judge(made []tried, alone bool) (excused bool, because string) {
	var b strings.Builder
	known, pressed, grossly := true, 0, 0
	for i, m := range made {
		fmt.Fprintf(&b, "attempt %d of %d: %v; %v\n", i+1, len(made), m.err, m.machine)
		known = known && m.machine.Known
		if m.machine.Pressed() {
			pressed++
		}
		if errors.As(m.err, new(gross)) {
			grossly++
		}
	}
	switch {
	case known && alone:
		excused = pressed == len(made)
	case known:
		excused = 2*pressed >= len(made)
	default:
		excused = !alone && grossly < len(made)
	}
	if excused {
		return true, "this machine has too much to do for this test:\n" + b.String()
	}
	return false, "not once as it must be:\n" + b.String()
}
