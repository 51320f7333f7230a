package results

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMostErrorsAreNamedWithAMessageIfOneWasKept(t *testing.T) {
	require.Empty(t, new(Operation).Mostly())
	o := Operation{Errors: map[string]uint64{"timeout": 3, "refused": 7, "reset": 7}, Samples: map[string]string{"refused": "nobody listens", "timeout": "late"}}
	require.Equal(t, "refused: nobody listens", o.Mostly())
	o.Errors["reset"]++
	require.Equal(t, "reset", o.Mostly())
}
