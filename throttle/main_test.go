package throttle

import (
	"flag"
	"os"
	"testing"
)

// Worlds are large: a few of each suffice every time (-rapid.checks=1000 for more),
// and shrinking one is of little help, for its seed tells all.
func TestMain(m *testing.M) {
	flag.Set("rapid.checks", "8")
	flag.Set("rapid.shrinktime", "1s")
	flag.Set("rapid.nofailfile", "true")
	flag.Parse()
	os.Exit(m.Run())
}
