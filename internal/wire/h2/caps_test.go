package h2

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

func TestALengthOverTheCapIsToldInHTTP2BeforeTheBodyComes(t *testing.T) {
	_, conns, _ := listenH2(t, 5, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1001")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	conns.limits.Body = 1000
	_, _, err := dial(t, conns).Exchange(get("/"), time.Now().Add(2*time.Second))
	require.ErrorIs(t, err, messages.ErrBodyTooLarge)
}

// net/http has no type for either error.
func TestAnHTTP2HeadHasItsCap(t *testing.T) {
	serve := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/line" {
			w.Header().Set("X", strings.Repeat("x", 70_000))
		}
		for i := range 700 {
			w.Header().Add(fmt.Sprint("X-", i), strings.Repeat("x", 60))
		}
	}
	for _, path := range []string{"/line", "/lines"} {
		_, conns, _ := listenH2(t, 5, serve)
		c := dial(t, conns)
		_, sent, err := c.Exchange(get(path), never)
		require.Error(t, err)
		require.Equal(t, messages.SentMaybe, sent)
		require.False(t, c.Reusable())
		require.NoError(t, c.Close())
	}
	_, conns, _ := listenH2(t, 5, serve)
	conns.limits.Header = 1 << 20
	_, _, err := dial(t, conns).Exchange(get("/line"), never)
	require.NoError(t, err)
}
