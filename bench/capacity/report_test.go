package capacity

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNoDurationIsWrittenWithAnExponent(t *testing.T) {
	for us, want := range map[float64]string{999.4: "999µs", 999.7: "1.00ms", 1000: "1.00ms", 999_700: "1.00s", 12_345: "12.3ms"} {
		require.Equal(t, want, duration(us))
	}
}
