package load

import (
	"errors"

	"github.com/sluice-engine/sluice/bench/targets"
)

// journey is what the arrivals of a run do.
type journey struct {
	plan    *targets.Prepared
	names   []string // of operations, by targets.Request.Operation
	chained bool     // a step may follow another
}

func newJourney(plan targets.Plan) (*journey, error) {
	prepared, err := plan.Prepare()
	if err != nil {
		return nil, err
	}
	j := &journey{plan: prepared, names: prepared.Operations()}
	for _, chain := range plan.Chains {
		j.chained = j.chained || len(chain.Steps) > 1
	}
	return j, nil
}

// operationOf is that of a request that could not be made.
func (j *journey) operationOf(err error) int {
	var fill *targets.FillError
	if errors.As(err, &fill) {
		for i, name := range j.names {
			if name == fill.Operation {
				return i
			}
		}
	}
	return 0
}

// succeeds says whether a status is no error. Zero is that of a client without statuses.
func succeeds(step *targets.Step, status int) bool {
	return status == 0 || step.Succeeded(status)
}

// learn hands a step's answer on to the steps behind it.
func learn(session *targets.Session, r *targets.Request, a *Answer) error {
	if r.Last && !r.KeepBody {
		return nil
	}
	status := a.Status
	if status == 0 {
		status = 200 // of a client without statuses
	}
	return session.Answered(status, a.Header, a.Body)
}
