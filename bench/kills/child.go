package kills

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/bench/child"
	"github.com/sluice-engine/sluice/engine"
)

// order is what a process is told.
type order struct {
	Origin string
	Memory string
	Budget int64
	Life   int
}

// ready is what it says once it sends, or why it cannot.
type ready struct{ Err string }

const callers = 8

// Work is the process that is killed: an engine with a memory, and callers without
// measure. It ends by itself when its parent does.
func Work(ctx context.Context, in io.Reader, out io.Writer) error {
	child.LeaveInterrupts()
	var told order
	commands := json.NewDecoder(in)
	if err := commands.Decode(&told); err != nil {
		return err
	}
	eng, err := told.engine()
	var word ready
	if err != nil {
		word.Err = err.Error()
	}
	if err := errors.Join(err, json.NewEncoder(out).Encode(word)); err != nil {
		return err
	}
	defer eng.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for range callers {
		go told.call(ctx, eng)
	}
	child.UntilParentGone(in)
	return nil
}

func (o order) engine() (*engine.Engine, error) {
	config := engine.Config{
		BaseURL: o.Origin,
		Limits:  Limits(o.Budget),
		Time:    engine.TimeFrom("/time", "time").ChargedTo(engine.Unlimited),
		Auth:    auth.BitfinexV1("a key", "a secret"),
	}
	if o.Memory != "" {
		config.Memory = engine.MemoryFile(o.Memory)
	}
	return engine.New(config)
}

// call sends one request after another until the context ends.
func (o order) call(ctx context.Context, eng *engine.Engine) {
	rng := rand.New(rand.NewPCG(uint64(o.Life), rand.Uint64()))
	limits := Limits(o.Budget)
	for ctx.Err() == nil {
		id := limits[rng.IntN(len(limits))].ID
		req := &engine.Request{Path: "/" + id, LimitID: id, Query: engine.Values{"life": o.Life}, Timeout: 50 * time.Millisecond}
		switch id {
		case "symbol":
			req.Key = string(rune('a' + rng.IntN(symbols)))
			req.Query["symbol"] = req.Key
		case "signed":
			req.Auth = true
		}
		if _, err := eng.Do(ctx, req); err != nil {
			time.Sleep(time.Millisecond) // a limit is full, or a budget spent
		}
	}
}
