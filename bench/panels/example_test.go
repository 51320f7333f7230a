package panels_test

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/sluice-engine/sluice/bench/panels"
	"github.com/sluice-engine/sluice/bench/results"
)

// A file of results becomes a page that can be sent to anybody.
func ExampleWrite() {
	var file, page bytes.Buffer
	w, _ := results.NewWriter(&file, results.Header{Name: "Monday", Model: "open"})
	_ = w.Add(results.Interval{Second: 0, Phase: results.Main, Offered: 500, Sent: 500, Completed: 500})
	_ = w.End(results.End{Reason: "finished"})

	run, err := results.Read(&file)
	if err != nil {
		fmt.Println(err)
		return
	}
	err = panels.Write(&page, run)
	fmt.Println(err, strings.Contains(page.String(), "500 were due, 500 were sent, 500 ended"))
	// Output: <nil> true
}
