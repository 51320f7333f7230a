package hostile

import (
	"testing"

	"github.com/sluice-engine/sluice/bench/hostile/h2frames"
)

// sampleOfFrames is the share of frames that a sample plays: time is real there.
const sampleOfFrames = 5

func playFrames(t *testing.T, c Config, r *Report) {
	options := h2frames.Options{Progress: func(done, all int) { c.progress(r.Part, done, all) }}
	if c.Cases > 0 {
		options.Step = sampleOfFrames
	}
	played, err := h2frames.Run(t.Context(), options)
	if err != nil {
		r.fail("%v", err)
	}
	r.Played = played.Cases
	for _, text := range played.Violations {
		r.fail("%s", text)
	}
}
