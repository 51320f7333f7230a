package suites

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// whole runs all tests. When the binary ended before its time, a panic or a test
// that waited for ever, those that had not begun are run by themselves. Those with a
// reason are run apart from the beginning.
func (p *project) whole(ctx context.Context, cfg Config, mode string, known Outcomes) (Outcomes, error) {
	listed := cfg.listed(p.suite.Name, mode, known)
	all, err := p.once(ctx, mode, some{without: listed})
	if err != nil {
		return all, err
	}
	for {
		missing := slices.DeleteFunc(all.missing(known), func(test string) bool { return slices.Contains(listed, test) })
		if len(missing) == 0 {
			break
		}
		p.told(fmt.Sprintf("      %s: the binary ended early; %d tests that had not begun are run again", mode, len(missing)))
		more, err := p.once(ctx, mode, some{only: missing})
		if err != nil {
			return all, err
		}
		if all.add(more) == 0 {
			break
		}
	}
	for _, test := range all.besides() {
		alone, err := p.once(ctx, mode, some{only: []string{test}})
		if err != nil {
			return all, err
		}
		all.forget(test)
		all.add(alone)
	}
	all.judgeWhole()
	return all, p.apart(ctx, mode, listed, known, &all)
}

// listed are the tests at the root of which a reason says that they may differ, or
// that a subtest may.
func (cfg Config) listed(suite, mode string, known Outcomes) []string {
	var names []string
	for _, r := range cfg.Reasons {
		_, has := known.Verdicts[top(r.Test)]
		if has && r.Suite == suite && (r.Mode == "" || r.Mode == mode) && !slices.Contains(names, top(r.Test)) {
			names = append(names, top(r.Test))
		}
	}
	slices.Sort(names)
	return names
}

// What is expected to differ often waits for ever: it is given less time than others,
// and several such tests wait beside one another.
const (
	apartAtOnce  = 4
	apartSilence = 4 * time.Second // beyond what the baseline took for the test
)

// apart runs each of these tests in a process of its own, and adds what becomes of
// them to all. One that does not differ is repeated, for a difference may be a matter
// of luck, and its reason is stale only if there is none.
func (p *project) apart(ctx context.Context, mode string, tests []string, known Outcomes, all *Outcomes) error {
	outcomes, mistakes := make([]Outcomes, len(tests)), make([]error, len(tests))
	places := make(chan struct{}, apartAtOnce)
	var running sync.WaitGroup
	for i, test := range tests {
		running.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			only := some{only: []string{test}, silence: apartSilence + known.Took[test]}
			for range repeats {
				outcomes[i], mistakes[i] = p.once(ctx, mode, only)
				if mistakes[i] != nil || len(Differ(known.of(test), outcomes[i])) > 0 {
					return
				}
			}
		})
	}
	running.Wait()
	for _, o := range outcomes {
		all.add(o)
	}
	return errors.Join(mistakes...)
}

// of are the verdicts of a test at the root and its subtests.
func (o Outcomes) of(test string) Outcomes {
	part := Outcomes{Verdicts: map[string]Verdict{}}
	for name, verdict := range o.Verdicts {
		if top(name) == test {
			part.Verdicts[name] = verdict
		}
	}
	return part
}

// besides are the tests at the root that have not ended, if there are several: most
// of them only ran beside the one that kept the binary from its end.
func (o Outcomes) besides() []string {
	var names []string
	for test, verdict := range o.Verdicts {
		if verdict == Unended && !strings.Contains(test, "/") {
			names = append(names, test)
		}
	}
	if len(names) < 2 {
		return nil
	}
	slices.Sort(names)
	return names
}

// forget drops the verdicts of a test and its subtests.
func (o *Outcomes) forget(test string) {
	maps.DeleteFunc(o.Verdicts, func(name string, _ Verdict) bool { return top(name) == test })
}

// missing are the tests at the root that known has and o has not.
func (o Outcomes) missing(known Outcomes) []string {
	var names []string
	for test := range known.Verdicts {
		if _, has := o.Verdicts[test]; !has && !strings.Contains(test, "/") && test != TheWhole {
			names = append(names, test)
		}
	}
	slices.Sort(names)
	return names
}

// add takes over the verdicts that o has not, and returns how many tests at the root
// were among them.
func (o *Outcomes) add(more Outcomes) (added int) {
	fresh := map[string]bool{}
	for test := range more.Verdicts {
		if _, has := o.Verdicts[top(test)]; !has {
			fresh[top(test)] = true
		}
	}
	for test, verdict := range more.Verdicts {
		if fresh[top(test)] {
			o.Verdicts[test], o.Output[test] = verdict, more.Output[test]
		}
	}
	o.Rest += more.Rest
	return len(fresh)
}
