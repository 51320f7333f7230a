package h2

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/internal/wire/wiretest"
	"github.com/sluice-engine/sluice/messages"
)

func TestATrailerArrivesOverEitherProtocol(t *testing.T) {
	for _, streams := range []int{0, 5} {
		announced := make(chan http.Header, 1)
		_, conns, _ := listenH2(t, streams, func(w http.ResponseWriter, r *http.Request) {
			announced <- r.Trailer.Clone()
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, r.Trailer.Get("Sum"))
		})
		for range 2 {
			trailer := http.Header{"Sum": nil}
			resp, _, err := dial(t, conns).Exchange(trailing("abc", trailer, func() { trailer.Set("Sum", "42") }), never)
			require.NoError(t, err)
			require.Equal(t, "42", resp.Text())
			require.Equal(t, http.Header{"Sum": nil}, <-announced)
		}
	}
}

func TestATrailerThatIsNoneIsNeverSent(t *testing.T) {
	for _, streams := range []int{0, 5} {
		_, conns, _ := listenH2(t, streams, mirrorH2)
		for _, name := range []string{"Content-Length", "transfer-encoding", "Trailer", "Host", "Authorization", "Cookie", "Content-Type", "If-Match", "Range", "A B", "", "X\r\nY"} {
			c := dial(t, conns)
			_, sent, err := c.Exchange(trailing("abc", http.Header{name: nil}, func() {}), never)
			var refused *wire.CallError
			require.ErrorAs(t, err, &refused, name)
			require.Equal(t, "trailer", refused.Part)
			require.Equal(t, messages.SentNo, sent)
			require.True(t, c.Reusable())
			c.Close()
		}
		for name, late := range map[string]http.Header{
			"a value":           {"Sum": {"s3cret\r\nX: y"}},
			"an unfit addition": {"Sum": {"1"}, "Host": {"s3cret"}},
		} {
			c := dial(t, conns)
			trailer := http.Header{"Sum": nil}
			_, sent, err := c.Exchange(trailing("abc", trailer, func() {
				for k, v := range late {
					trailer[k] = v
				}
			}), never)
			var refused *wire.CallError
			require.ErrorAs(t, err, &refused, name)
			require.NotContains(t, err.Error(), "s3cret")
			require.Equal(t, messages.SentMaybe, sent)
			require.False(t, c.Reusable())
			c.Close()
		}
	}
}

func TestAPanicInABodyOverHTTP2IsAnError(t *testing.T) {
	_, conns, _ := listenH2(t, 5, mirrorH2)
	_, _, err := dial(t, conns).Exchange(uploading(wiretest.ReaderFunc(func([]byte) (int, error) { panic("broken") }), -1), never)
	var panicked *messages.PanicError
	require.ErrorAs(t, err, &panicked)
	_, _, err = dial(t, conns).Exchange(get("/"), never)
	require.NoError(t, err)
}

func TestOverHTTP2ABodyIsNotSentToAServerThatObjects(t *testing.T) {
	_, conns, _ := listenH2(t, 5, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusExpectationFailed) })
	call := awaitsLeave("abc")
	body := call.Reader.(*strings.Reader)
	resp, _, err := dial(t, conns).Exchange(call, never)
	require.NoError(t, err)
	require.Equal(t, http.StatusExpectationFailed, resp.StatusCode)
	require.Equal(t, 3, body.Len())
}
