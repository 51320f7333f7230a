package hostile

import (
	"fmt"
	"io"
	"log"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// Config says what is played.
type Config struct {
	Seed uint64 // of all draws
	// Cases is how many answers are mutated; zero means 20,000. Above zero, what needs
	// an engine of its own is played at one door each, and no more answers than that over
	// sockets.
	Cases int
	Part  string // one alone; all if empty
	Out   io.Writer
}

// Report is what came of a part.
type Report struct {
	Part   string
	Played int            // cases
	Counts map[string]int // what was found of each kind that is no failure
	Failed int
	first  []string // of the failures
	Took   time.Duration
}

// mostShown is how many failures of a part are printed.
const mostShown = 25

// fail notes a failure.
func (r *Report) fail(format string, args ...any) {
	r.Failed++
	if len(r.first) < mostShown {
		r.first = append(r.first, fmt.Sprintf(format, args...))
	}
}

func (r *Report) count(kind string) { r.Counts[kind]++ }

// part is one kind of hostility. To add one, append it to parts.
type part struct {
	name, says string
	play       func(t *testing.T, c Config, r *Report)
}

var parts = []part{
	{"answers", "odd answers, beside net/http's Transport", playAnswers},
	{"mutants", "valid answers with bytes changed, beside net/http's Transport", playMutants},
	{"lenient", "both once more, read leniently, beside net/http's Transport", playLenient},
	{"connections", "connections of foreign types, and bytes out of turn", playConnections},
	{"sockets", "odd answers once more, over loopback", playSockets},
	{"relays", "odd answers once more, through proxies that pass plain HTTP on", playRelays},
	{"frames", "HTTP/2 that breaks its rules, frame by frame", playFrames},
	{"tls", "split records, alerts, bare ends, garbage", playTLS},
	{"tunnels", "CONNECT and SOCKS5 proxies that answer oddly", playTunnels},
	{"tokens", "token endpoints that are of no use", playTokens},
	{"time", "time endpoints that lie, hang or talk nonsense", playTime},
	{"secrets", "what public types print", playSecrets},
}

// Names returns those of all parts.
func Names() (names []string) {
	for _, p := range parts {
		names = append(names, p.name)
	}
	return names
}

// Play plays the parts. It must not be called inside of a bubble. A part that there is
// not ends the test.
func Play(t *testing.T, c Config) (reports []Report) {
	if c.Part != "" && !slices.Contains(Names(), c.Part) {
		t.Fatalf("no part %q: there are %s", c.Part, strings.Join(Names(), ", "))
	}
	defer log.SetOutput(log.Writer())
	log.SetOutput(io.Discard) // net/http tells everybody what it thinks of such servers
	for _, p := range parts {
		if c.Part != "" && c.Part != p.name {
			continue
		}
		fmt.Fprintf(c.Out, "%s: %s\n", p.name, p.says)
		began := time.Now()
		r := Report{Part: p.name, Counts: map[string]int{}}
		p.play(t, c, &r)
		r.Took = time.Since(began)
		r.print(c.Out)
		reports = append(reports, r)
	}
	summary(c.Out, reports)
	return reports
}

func (r *Report) print(out io.Writer) {
	for _, kind := range slices.Sorted(maps.Keys(r.Counts)) {
		fmt.Fprintf(out, "  %6d %s\n", r.Counts[kind], kind)
	}
	for _, text := range r.first {
		fmt.Fprintf(out, "  FAILURE %s\n", text)
	}
	if more := r.Failed - len(r.first); more > 0 {
		fmt.Fprintf(out, "  and %d more\n", more)
	}
	fmt.Fprintf(out, "%s: %d cases in %.1f s, %d failures\n", r.Part, r.Played, r.Took.Seconds(), r.Failed)
}

func summary(out io.Writer, reports []Report) {
	fmt.Fprintf(out, "\n%-12s %8s %8s %8s\n", "part", "cases", "failed", "seconds")
	for _, r := range reports {
		fmt.Fprintf(out, "%-12s %8d %8d %8.1f\n", r.Part, r.Played, r.Failed, r.Took.Seconds())
	}
}

// sampled reports whether a case is left out at a door: of a sample each has one.
func (c Config) sampled(i, door int) bool { return c.Cases > 0 && door != i%len(doors) }

// progress prints how far a part is, now and then.
func (c Config) progress(name string, done, all int) {
	if step := max(1, all/4); done%step == 0 && done > 0 && done < all {
		fmt.Fprintf(c.Out, "  %s: %d of %d\n", name, done, all)
	}
}
