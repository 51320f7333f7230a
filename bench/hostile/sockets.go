package hostile

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
)

// playSockets plays odd answers over TCP, in real time: there an engine looks at its
// sockets itself. Those that have clients wait for more are left out.
func playSockets(t *testing.T, c Config, r *Report) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	all := oddAnswers()
	s := serve(listener, func(c net.Conn, request *http.Request) bool {
		i, _ := strconv.Atoi(strings.TrimPrefix(request.URL.Path, "/odd/"))
		_, _ = io.WriteString(c, all[i].answer)
		return !all[i].closes
	})
	dial := new(net.Dialer).DialContext
	theirs := netHTTP(dial, nil)
	config := strictly.config(nil)
	config.Connections = engine.Connections{Max: 4}
	eng := newEngine(config)
	step := 3 // a quarter of a minute's worth
	if c.Cases > 0 {
		step = max(step, len(all)/c.Cases|1)
	}
	at := "http://" + listener.Addr().String()
	for i := 0; i < len(all); i += step {
		c.progress("sockets", i/step, len(all)/step)
		r.playSocket(all[i], i, at, theirs, eng)
	}
	theirs.close()
	_ = eng.Close()
	s.stop()
}

func (r *Report) playSocket(o odd, i int, at string, theirs client, eng *engine.Engine) {
	// A server that stays has whoever wants more wait for it, and time is real here.
	expected := theirs.within(30*time.Millisecond, o.method, fmt.Sprintf("%s/odd/%d", at, i))
	theirs.close()
	if expected.verdict == waits {
		return
	}
	r.Played++
	for n, door := range doors {
		ours := byDoor(eng, door)
		got := ours.within(3*time.Second, o.method, fmt.Sprintf("%s/odd/%d", at, i))
		r.judge(difference{o, door, expected, got, shapeOf(o.answer)}, classes)
		if got.verdict == waits {
			return // so would each door, for as long
		}
		r.nextCrossing(ours, at, fmt.Sprintf("/next/%d/%d", i, n), func() string { return fmt.Sprintf("%v, %s: %v", o, door, got) })
	}
	abandon(eng, o.method, fmt.Sprintf("%s/odd/%d", at, i))
	r.nextCrossing(byDoor(eng, "Do"), at, fmt.Sprintf("/next/%d", i), func() string { return fmt.Sprintf("%v, abandoned", o) })
}

// nextCrossing is next where a request may cross with the close of a server that goes:
// then it is sent again.
func (r *Report) nextCrossing(c client, at, path string, before func() string) {
	for range 3 {
		got := c.within(5*time.Second, "GET", at+path)
		if !errors.Is(got.err, messages.ErrPeerClosed) && !errors.Is(got.err, engine.ErrTruncated) {
			r.demand(got, path, before)
			return
		}
		r.count("a request that crossed with a close")
	}
	r.next(c, at, path, before)
}
