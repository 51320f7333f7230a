//go:build !unix

package peers

import (
	"errors"
	"fmt"
	"time"
)

// cpuTime needs getrusage.
func cpuTime() (time.Duration, error) {
	return 0, fmt.Errorf("CPU time of the process: %w", errors.ErrUnsupported)
}
