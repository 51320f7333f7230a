package wire

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

func TestTheCapsAreInForceByDefault(t *testing.T) {
	const start, end = "HTTP/1.1 200 OK\r\nX: ", "\r\nContent-Length: 2\r\n\r\n"
	head := func(size int) string { return start + strings.Repeat("x", size-len(start)-len(end)) + end + "ok" }
	length := func(n int) string { return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n) }
	interim := func(n int) string { return strings.Repeat("HTTP/1.1 103 \r\n\r\n", n) + ok }
	for name, c := range map[string]struct {
		response string
		want     error
	}{
		"the largest head":       {head(64 << 10), nil},
		"a larger head":          {head(64<<10 + 1), messages.ErrHeaderTooLarge},
		"the largest body":       {length(16 << 20), messages.ErrTruncated},
		"a larger body":          {length(16<<20 + 1), messages.ErrBodyTooLarge},
		"the most interim heads": {interim(64 << 10 / 17), nil},
		"more interim heads":     {interim(64<<10/17 + 1), messages.ErrHeaderTooLarge},
	} {
		_, _, err := over(playAndHangUp(c.response), Limits{}).Exchange(get("/"), never)
		require.ErrorIs(t, err, c.want, name)
	}
}
