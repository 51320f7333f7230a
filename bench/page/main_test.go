package page

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(closing{m}) }

// closing closes the browser that the tests have shared before it is looked for what they left
// behind.
type closing struct{ tests *testing.M }

func (c closing) Run() int {
	defer closeBrowser()
	return c.tests.Run()
}
