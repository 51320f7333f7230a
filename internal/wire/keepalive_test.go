package wire

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// keeping is an answer with a Keep-Alive line.
func keeping(hint string) string {
	return "HTTP/1.1 200 OK\r\nKeep-Alive: " + hint + "\r\nContent-Length: 2\r\n\r\nok"
}

func TestAConnectionSaysHowLongItsServerKeepsItIdle(t *testing.T) {
	for hint, want := range map[string]time.Duration{
		"timeout=1":                      750 * time.Millisecond,
		"timeout=2":                      1500 * time.Millisecond,
		"Timeout = 5 ,max=100":           4 * time.Second,
		"max=3, timeout=60":              59 * time.Second,
		"timeout=5, timeout=3":           2250 * time.Millisecond,
		"timeout=99999999999999999999":   mostKeptAlive*time.Second - time.Second,
		"timeout=5s":                     0,
		"timeout=-1":                     0,
		"timeouts=5":                     0,
		"60":                             0,
		"":                               0,
		"timeout=\"5\"":                  0,
		"max=100":                        0,
		"timeout=5\r\nKeep-Alive: max=9": 4 * time.Second,
	} {
		c := over(play(keeping(hint)), Limits{})
		require.Zero(t, c.IdleHint(), "it has said nothing yet")
		exchange(t, c, get("/"))
		require.Equal(t, want, c.IdleHint(), hint)
		require.True(t, c.Reusable())
	}
}

func TestAHintHoldsForTheAnswersThatSayNothing(t *testing.T) {
	first := keeping("timeout=5")
	tape := play(first + ok)
	tape.piece = len(first)
	c := over(tape, Limits{})
	exchange(t, c, get("/"))
	tape.piece = len(ok)
	exchange(t, c, get("/"))
	require.Equal(t, 4*time.Second, c.IdleHint())
}

func TestAConnectionIsSpentWhenItsServerReadsNoMore(t *testing.T) {
	for name, hints := range map[string][]string{
		"none left":        {"max=0"},
		"counting down":    {"max=2", "max=1", "max=0"},
		"always the same":  {"max=2", "max=2", "max=2"},
		"said once":        {"max=2", "timeout=5", "timeout=5"},
		"no time":          {"timeout=0, max=100"},
		"no time any more": {"timeout=5", "timeout=0"},
	} {
		tape := play("")
		c := over(tape, Limits{})
		for i, hint := range hints {
			require.True(t, c.Reusable(), name)
			tape.answers = []byte(keeping(hint))
			exchange(t, c, get("/"))
			if name == "always the same" { // which may be a count down, or not: the less is believed
				require.Equal(t, 2-i, c.left)
			}
		}
		require.False(t, c.Reusable(), name)
	}
}

func FuzzKeepAlive(f *testing.F) {
	for _, hint := range []string{"timeout=5, max=100", "timeout=,=", "max=0", "timeout=18446744073709551617", ",,,=5;timeout=1"} {
		f.Add([]byte(hint), []byte("max=7"))
	}
	f.Fuzz(func(t *testing.T, one, two []byte) {
		h := newHead()
		h.keepAlive(one)
		first := h
		h.keepAlive(two)
		for _, n := range []int{h.idle, h.more} {
			require.True(t, -1 <= n && n <= mostKeptAlive)
		}
		// A second line takes away at most.
		require.True(t, first.idle < 0 || h.idle <= first.idle && h.idle >= 0)
		require.True(t, first.more < 0 || h.more <= first.more && h.more >= 0)
		k := keepAlive{left: -1}
		k.heed(&h)
		require.True(t, k.hint >= 0 && k.hint <= mostKeptAlive*time.Second)
		if h.idle > 0 {
			require.Less(t, k.hint, time.Duration(h.idle)*time.Second, "retired before the server's time is over")
			require.Positive(t, k.hint)
		}
	})
}

// Whatever the server says of keeping it: it was told that there is no other request.
func TestAConnectionIsUsedUpByARequestThatSaysSo(t *testing.T) {
	for _, streams := range []bool{false, true} {
		c := over(play("HTTP/1.1 200 I am fine \r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"), Limits{})
		call := get("/")
		call.Close, call.Stream = true, streams
		resp, _, err := c.Exchange(call, never)
		require.NoError(t, err)
		require.Equal(t, "200 I am fine ", resp.Status)
		require.False(t, resp.Close, "the server said nothing of the kind")
		if streams {
			body, err := io.ReadAll(resp.Stream)
			require.NoError(t, err)
			require.Equal(t, "ok", string(body))
		}
		require.False(t, c.Reusable())
	}
}
