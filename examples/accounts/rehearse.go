package main

import (
	"context"
	"fmt"
	"io"

	"github.com/sluice-engine/sluice/engine"
)

// rehearse shows the order that each account would send: built, signed and looked up in
// the limits, and not sent. It prints names, and no value of a parameter or a header.
func rehearse(ctx context.Context, eng *engine.Engine, out io.Writer) error {
	for _, a := range accounts {
		rehearsal, err := eng.DryRun(ctx, newOrder(a.Name, symbols[0], "rehearsal"))
		if err != nil {
			return fmt.Errorf("%s cannot trade: %w", a.Name, err)
		}
		fmt.Fprintln(out, rehearsal)
	}
	return nil
}

// why says what would become of an order that was sent now.
func why(eng *engine.Engine, account, symbol string) (string, error) {
	x, err := eng.Explain(newOrder(account, symbol, ""))
	if err != nil {
		return "", err
	}
	if x.Leaves {
		return "it would leave", nil
	}
	return fmt.Sprintf("it would wait for %s until %s, behind %d others", x.HeldBy.Limit, x.HeldBy.Until.Format("15:04:05.000"), len(x.Ahead)), nil
}
