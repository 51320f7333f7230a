package h2

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
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

func TestTheCapOfACodedBodyIsOnWhatItBecomesInHTTP2(t *testing.T) {
	body := make([]byte, 1000)
	rand.NewChaCha8([32]byte{}).Read(body)
	var squeezed bytes.Buffer
	z := gzip.NewWriter(&squeezed)
	z.Write(body)
	z.Close()
	require.Greater(t, squeezed.Len(), len(body))
	_, conns, _ := listenH2(t, 5, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		if r.URL.Path == "/told" {
			w.Header().Set("Content-Length", strconv.Itoa(squeezed.Len()))
		}
		http.NewResponseController(w).Flush()
		w.Write(squeezed.Bytes())
	})
	for _, path := range []string{"/told", "/untold"} {
		conns.limits.Body = 1000
		resp, _, err := dial(t, conns).Exchange(decoding(path), never)
		require.NoError(t, err, path)
		require.Equal(t, body, resp.Body, path)
	}
}

func TestACodingThatBecomesNothingEndsInHTTP2(t *testing.T) {
	var empty bytes.Buffer
	gzip.NewWriter(&empty).Close()
	many := bytes.Repeat(empty.Bytes(), 1000)
	_, conns, _ := listenH2(t, 5, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		for r.Context().Err() == nil {
			w.Write(many)
		}
	})
	_, _, err := dial(t, conns).Exchange(decoding("/"), never)
	require.ErrorIs(t, err, messages.ErrBodyTooLarge)
	resp, _, err := dial(t, conns).Exchange(streaming(decoding("/")), never)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, resp.Stream)
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
