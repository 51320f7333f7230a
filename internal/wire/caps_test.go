package wire

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

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
		"the most interim heads": {interim(5), nil},
		"more interim heads":     {interim(6), messages.ErrMalformedResponse},
	} {
		_, _, err := NewConn(playAndHangUp(c.response), Limits{}).Exchange(get("/"), never)
		require.ErrorIs(t, err, c.want, name)
	}
}

func TestALengthOverTheCapIsToldInHTTP2BeforeTheBodyComes(t *testing.T) {
	_, d, o, _ := listenH2(t, 5, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1001")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	d.Limits.Body = 1000
	_, _, err := dialAny(t, d, o).Exchange(get("/"), time.Now().Add(2*time.Second))
	require.ErrorIs(t, err, messages.ErrBodyTooLarge)
}

// net/http has no type for either error.
func TestAnHTTP2HeadHasItsCap(t *testing.T) {
	_, d, o, _ := listenH2(t, 5, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/line" {
			w.Header().Set("X", strings.Repeat("x", 70_000))
		}
		for i := range 700 {
			w.Header().Add(fmt.Sprint("X-", i), strings.Repeat("x", 60))
		}
	})
	for _, path := range []string{"/line", "/lines"} {
		c := dialAny(t, d, o)
		_, sent, err := c.Exchange(get(path), never)
		require.Error(t, err)
		require.Equal(t, messages.SentMaybe, sent)
		require.False(t, c.Reusable())
		require.NoError(t, c.Close())
	}
	d.Limits.Header = 1 << 20
	_, _, err := dialAny(t, d, o).Exchange(get("/line"), never)
	require.NoError(t, err)
}
