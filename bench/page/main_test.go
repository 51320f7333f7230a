package page

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/bench/browser"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(browser.Tests{M: m}) }
