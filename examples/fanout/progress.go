package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/engine"
)

// progress shows how far the work is: as a bar that is drawn over itself, or in lines.
type progress struct {
	out io.Writer
	bar bool
}

const width = 30

func (p *progress) every() time.Duration {
	if p.bar {
		return 100 * time.Millisecond
	}
	return time.Second
}

// tell is a FanOut.OnProgress.
func (p *progress) tell(now engine.Progress) {
	part := float64(now.Done) / float64(max(1, now.Total))
	text := fmt.Sprintf("%5.1f%%  %d of %d", 100*part, now.Done, now.Total)
	if now.Failed > 0 {
		text += fmt.Sprintf(", %d failed", now.Failed)
	}
	text += fmt.Sprintf(", %d wait%s, %d on their way", now.Waiting, forWhat(now.WaitingBy), now.InFlight)
	if now.Retrying > 0 {
		text += fmt.Sprintf(", %d to go again", now.Retrying)
	}
	if !now.EstimatedEnd.IsZero() {
		text += fmt.Sprintf(", ends in %.1f s", max(0, time.Until(now.EstimatedEnd).Seconds()))
	}
	if p.bar {
		full := int(part * width)
		fmt.Fprintf(p.out, "\r\x1b[K[%s%s] %s", strings.Repeat("#", full), strings.Repeat("·", width-full), text)
		return
	}
	fmt.Fprintf(p.out, "%4.1f s %s\n", now.Elapsed.Seconds(), text)
}

func (p *progress) end() {
	if p.bar {
		fmt.Fprintln(p.out)
	}
}

// forWhat names the limits that hold them up: of those that they are charged to, the ones
// that have no room now.
func forWhat(waits []engine.RunWait) string {
	var ids []string
	for _, w := range waits {
		if w.Next.After(time.Now()) && !slices.Contains(ids, w.ID) {
			ids = append(ids, w.ID)
		}
	}
	if ids == nil {
		return ""
	}
	return " for " + strings.Join(ids, " and ")
}

// String is the account in a few lines.
func (a account) String() string {
	text := fmt.Sprintf("done             %6d, with %d candles\n", a.done, a.candles)
	for _, line := range []struct {
		name string
		n    int
	}{
		{"failed", a.failed}, {"not sent", a.unsent}, {"in doubt", a.doubt}, {"not read", a.unread}, {"refused at first", a.refused},
	} {
		if line.n > 0 {
			text += fmt.Sprintf("%-16s %6d\n", line.name, line.n)
		}
	}
	if a.first != nil {
		text += fmt.Sprintf("the first that failed: %v\n", a.first)
	}
	return text
}

// read is how many requests were read from the input.
func (a account) read() int { return a.done + a.failed + a.unsent + a.doubt }

func isTerminal(out io.Writer) bool {
	file, is := out.(*os.File)
	if !is {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
