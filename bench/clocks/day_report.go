package clocks

import (
	"fmt"
	"io"
)

// DayVerdicts compares a day with what is promised.
func DayVerdicts(rows []DayRow) []Verdict {
	beyond, late, windowed, dated := 0, 0, 0, 0
	for _, r := range rows {
		switch {
		case r.Signer != Sluice:
		case r.Deadline == 0:
			beyond, windowed = beyond+r.Beyond, windowed+r.Requests
		default:
			late, dated = late+r.AcceptedLate, dated+r.Requests
		}
	}
	return []Verdict{
		none("timestamps refused beyond what the network alone costs", beyond, windowed),
		none("orders accepted after the caller's deadline", late, dated),
	}
}

// WriteDay writes a day's rows for people.
func WriteDay(w io.Writer, rows []DayRow) error {
	fmt.Fprint(w, "\nA receive window:\n\n")
	table := tabulate(w, "network", "drift ppm", "window ms", "signer", "too new", "too old", "network alone", "beyond the network", "requests")
	for _, r := range rows {
		if r.Deadline == 0 {
			fmt.Fprintf(table, "%s\t%+g\t%d\t%s\t%d\t%d\t%d\t%d\t%d\t\n", r.Network, r.DriftPPM, r.ReceiveWindow, r.Signer,
				r.Ahead, r.Behind, r.NetworkAlone, r.Beyond, r.Requests)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprint(w, "\nThe caller's deadline as the receive window:\n\n")
	table = tabulate(w, "network", "drift ppm", "deadline ms", "signer", "accepted late", "refused in time", "arrived in time", "requests")
	for _, r := range rows {
		if r.Deadline > 0 {
			fmt.Fprintf(table, "%s\t%+g\t%d\t%s\t%d\t%d\t%d\t%d\t\n", r.Network, r.DriftPPM, r.Deadline, r.Signer,
				r.AcceptedLate, r.RefusedInTime, r.InTime, r.Requests)
		}
	}
	return table.Flush()
}
