package throttle_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/throttle"
)

func TestTheCustomaryPrioritiesHaveNamesAndNoOther(t *testing.T) {
	for p, name := range map[throttle.Priority]string{
		throttle.Urgent: "urgent", throttle.High: "high", throttle.Account: "account", throttle.Normal: "normal", throttle.Background: "background",
		1: "", 401: "", -101: "",
	} {
		require.Equal(t, name, p.Name())
	}
}
