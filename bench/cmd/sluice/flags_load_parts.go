package main

import (
	"errors"
	"time"

	"github.com/sluice-engine/sluice/bench/schedule"
	"github.com/sluice-engine/sluice/bench/targets"
	"github.com/sluice-engine/sluice/engine"
)

var errAbsent = errors.New("not there yet")

func parseRate(text string) (schedule.Rate, error)   { return schedule.Rate{}, errAbsent }
func parseStage(text string) (schedule.Stage, error) { return schedule.Stage{}, errAbsent }

func readTargets(file, format string) (targets.Plan, error) { return targets.Plan{}, errAbsent }

func readReplay(file, format string) (targets.Plan, []time.Duration, error) {
	return targets.Plan{}, nil, errAbsent
}

func readData(file string) (*targets.Data, error) { return nil, errAbsent }

func readVenue(file string) (*engine.Config, error) { return nil, errAbsent }
