package load

import (
	"errors"

	"github.com/sluice-engine/sluice/bench/targets"
)

// journey is what the arrivals of a run do.
type journey struct {
	names   []string // of operations
	weights []uint64
	chains  [][]leg
	total   uint64
}

type leg struct {
	operation int
	request   *targets.Request
	success   []int
}

func newJourney(plan targets.Plan) (*journey, error) {
	j := &journey{}
	if len(plan.Chains) == 0 {
		return nil, errors.New("there is nothing to request: the plan has no chains")
	}
	index := make(map[string]int)
	for c := range plan.Chains {
		var legs []leg
		for s := range plan.Chains[c].Steps {
			step := &plan.Chains[c].Steps[s]
			method := step.Method
			if method == "" {
				method = "GET"
			}
			name := step.Operation
			if name == "" {
				name = method + " " + step.URL
			}
			if _, ok := index[name]; !ok {
				index[name] = len(j.names)
				j.names = append(j.names, name)
			}
			legs = append(legs, leg{index[name], &targets.Request{Step: step, Method: method, URL: step.URL, Header: step.Header, Body: step.Body}, step.Success})
		}
		j.chains = append(j.chains, legs)
		w := max(plan.Chains[c].Weight, 1)
		j.total += w
		j.weights = append(j.weights, w)
	}
	return j, nil
}

// chained says that a step may follow another.
func (j *journey) chained() bool {
	for _, legs := range j.chains {
		if len(legs) > 1 {
			return true
		}
	}
	return false
}

// course is one arrival's way through a journey. A worker has one, for one arrival after the other.
type course struct {
	journey *journey
	legs    []leg
	at      int
}

// begin is the first of arrival n.
func (c *course) begin(n uint64) {
	c.legs, c.at = c.journey.chains[0], 0
	if len(c.journey.chains) > 1 {
		x := n % c.journey.total
		for i, w := range c.journey.weights {
			if x < w {
				c.legs = c.journey.chains[i]
				break
			}
			x -= w
		}
	}
}

// next returns the next request; false if there is none.
func (c *course) next() (*targets.Request, int, error, bool) {
	if c.at >= len(c.legs) {
		return nil, 0, nil, false
	}
	l := &c.legs[c.at]
	c.at++
	return l.request, l.operation, nil, true
}

// learn takes from an answer what later steps need.
func (c *course) learn(*Answer) error { return nil }

// succeeds says whether a status is no error. Zero is that of a client without statuses.
func succeeds(step *targets.Step, status int) bool {
	if status == 0 {
		return true
	}
	if step == nil || step.Success == nil {
		return status >= 200 && status < 400
	}
	for _, s := range step.Success {
		if s == status {
			return true
		}
	}
	return false
}
