//go:build !unix

package gauge

import (
	"errors"
	"fmt"
	"time"
)

// CPUTime needs getrusage.
func CPUTime() (time.Duration, error) {
	return 0, fmt.Errorf("CPU time of the process: %w", errors.ErrUnsupported)
}
