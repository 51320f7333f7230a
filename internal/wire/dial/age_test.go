package dial

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages/protocol"
)

// Without this a connection that always carries something would never end.
func TestNoPlaceIsTakenOnAnOldHTTP2Connection(t *testing.T) {
	from := make(chan string, 10)
	d, o := listenH2(t, 100, func(_ http.ResponseWriter, r *http.Request) { from <- r.RemoteAddr })
	d.MaxAge = 100 * time.Millisecond
	first := dialAny(t, d, o)
	exchangeOn := func(c protocol.Connection) string {
		_, _, err := c.Exchange(get("/"), time.Time{})
		require.NoError(t, err)
		return <-from
	}
	old := exchangeOn(first)
	require.Eventually(t, func() bool { return first.(protocol.Aged).Age() >= d.MaxAge }, 5*time.Second, time.Millisecond)

	second := dialAny(t, d, o)
	require.NotEqual(t, old, exchangeOn(second))
	require.Less(t, second.(protocol.Aged).Age(), first.(protocol.Aged).Age())
	require.Equal(t, old, exchangeOn(first), "which is not disturbed")
}
