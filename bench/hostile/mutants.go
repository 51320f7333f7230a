package hostile

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-engine/sluice/bench/exchange/memnet"
)

// mutant is a valid answer with something done to its bytes.
type mutant struct {
	odd
	split int // where the server pauses for a moment; 0 does not
}

// valid are the answers that mutants are made of.
func valid() []odd {
	zipped := packed("gzip", strings.Repeat("hello, ", 50))
	deflated := packed("deflate", strings.Repeat("hello, ", 50))
	one := func(method, answer string) odd { return odd{method: method, answer: answer} }
	return []odd{
		one("GET", okay+"Content-Length: 5\r\n\r\nhello"),
		one("GET", okay+"Content-Length: 0\r\nX-A: b\r\n\r\n"),
		one("GET", okay+"Date: Mon, 01 Jan 2024 00:00:00 GMT\r\nServer: x\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{\"a\":1,\"b\":[2,3]}"),
		one("GET", okay+"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n"),
		one("GET", okay+"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\na;x=y\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n"),
		one("GET", okay+"Transfer-Encoding: chunked\r\n\r\n8\r\na,0\r\n\r\nb\r\n0\r\n\r\n"),
		one("GET", fmt.Sprintf("%sContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", okay, len(zipped), zipped)),
		one("GET", fmt.Sprintf("%sContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", okay, len(zipped), zipped)),
		one("GET", fmt.Sprintf("%sContent-Encoding: deflate\r\nContent-Length: %d\r\n\r\n%s", okay, len(deflated), deflated)),
		one("GET", okay+"Connection: close\r\n\r\nto the end"),
		one("GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
		one("GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"+okay+"Content-Length: 5\r\n\r\nhello"),
		one("GET", "HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n"),
		one("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 5\r\n\r\n"),
		one("GET", "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy"),
		one("GET", "HTTP/1.1 302 Found\r\nLocation: /odd/1\r\nContent-Length: 0\r\n\r\n"),
		one("HEAD", okay+"Content-Length: 500\r\n\r\n"),
		one("HEAD", okay+"Transfer-Encoding: chunked\r\n\r\n"),
		one("GET", okay+"Set-Cookie: a=b; Path=/\r\nSet-Cookie: c=d\r\nKeep-Alive: timeout=5, max=100\r\nContent-Length: 5000\r\n\r\n"+strings.Repeat("0123456789", 500)),
		one("GET", okay+strings.Repeat("X-Long: "+strings.Repeat("y", 100)+"\r\n", 60)+"Content-Length: 2\r\n\r\nok"),
	}
}

// pieces are what is put into answers.
var pieces = []string{
	"\r\n", "\n", "\r", "\r\n\r\n", " ", "\t", ":", "\x00", "\x01", "\xff", ",", ";", "0", "-", "+", "0\r\n\r\n", "5\r\n", "ffffffffffffffff",
	"Content-Length: 3\r\n", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: identity\r\n", "Connection: close\r\n", "Connection: keep-alive\r\n", "Content-Encoding: gzip\r\n", "Trailer: X\r\n",
	"HTTP/1.1 ", "HTTP/1.0 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "X: y\r\n", " folded\r\n", smuggled,
}

// mutate does one to four things to an answer.
func mutate(rng *rand.Rand, all []odd) mutant {
	m := mutant{odd: all[rng.IntN(len(all))]}
	b := []byte(m.answer)
	for range 1 + rng.IntN(4) {
		b = changed(rng, b, []byte(all[rng.IntN(len(all))].answer))
	}
	m.answer, m.closes = string(b), rng.IntN(2) == 0
	m.name = fmt.Sprintf("%.200q", m.answer)
	if rng.IntN(3) == 0 && len(b) > 0 {
		m.split = rng.IntN(len(b))
	}
	return m
}

// changed does one thing to b; other is what may be spliced into it.
func changed(rng *rand.Rand, b, other []byte) []byte {
	if len(b) == 0 {
		return append(b, other...)
	}
	at := rng.IntN(len(b))
	if rng.IntN(2) == 0 { // most of what matters is at the beginning
		at = rng.IntN(min(len(b), 80))
	}
	to := min(len(b), at+1+rng.IntN(12))
	put := func(text []byte) []byte { return append(append(append([]byte{}, b[:at]...), text...), b[at:]...) }
	switch rng.IntN(8) {
	case 0:
		b = append([]byte{}, b...)
		b[at] ^= 1 << rng.IntN(8)
		return b
	case 1:
		return append([]byte{}, b[:at]...) // cut
	case 2:
		return append(append([]byte{}, b[:at]...), b[to:]...) // take out
	case 3:
		return put(b[at:to]) // double
	case 4, 5:
		return put([]byte(pieces[rng.IntN(len(pieces))]))
	case 6:
		b = append([]byte{}, b...)
		b[at] = pieces[rng.IntN(16)][0]
		return b
	default: // splice
		return append(append([]byte{}, b[:at]...), other[rng.IntN(len(other)):]...)
	}
}

// defaultMutants is how many there are if nobody says.
const defaultMutants = 20_000

func playMutants(t *testing.T, c Config, r *Report) {
	n := c.Cases
	if n == 0 {
		n = defaultMutants
	}
	playMutated(t, c, r, strictly, n)
}

func playMutated(t *testing.T, c Config, r *Report, how arrangement, n int) {
	rng := rand.New(rand.NewPCG(c.Seed, 2))
	all := valid()
	for done := 0; done < n; done += together {
		c.progress(r.Part, done/together, n/together)
		var some []mutant
		for range min(together, n-done) {
			some = append(some, mutate(rng, all))
		}
		playMutantsTogether(t, some, r, how)
	}
}

// playMutantsTogether has one engine read mutants from one origin, so that whatever one
// leaves behind meets the next.
func playMutantsTogether(t *testing.T, some []mutant, r *Report, how arrangement) {
	synctest.Test(t, func(*testing.T) {
		listener := memnet.Listen()
		s := serve(listener, func(c net.Conn, request *http.Request) bool {
			i, _ := strconv.Atoi(strings.TrimPrefix(request.URL.Path, "/odd/"))
			m := some[i]
			if m.split > 0 {
				_, _ = io.WriteString(c, m.answer[:m.split])
				time.Sleep(time.Millisecond)
			}
			_, _ = io.WriteString(c, m.answer[m.split:])
			return !m.closes
		})
		theirs := netHTTP(listener.DialContext, how.proxy)
		eng := newEngine(how.config(listener.DialContext))
		for i, m := range some {
			r.Played++
			expected := theirs.get(m.method, fmt.Sprintf("http://mem.test/odd/%d", i))
			theirs.close() // what it makes of one must not depend on that before
			for n, door := range doors {
				r.meetMutant(byDoor(eng, door), i, n, m, expected, how.classes)
			}
			abandon(eng, m.method, fmt.Sprintf("http://mem.test/odd/%d", i))
			time.Sleep(5 * time.Millisecond)
			r.next(byDoor(eng, "Do"), "http://mem.test", fmt.Sprintf("/next/%d", i), func() string {
				return fmt.Sprintf("%v, split at %d, abandoned", m, m.split)
			})
		}
		theirs.close()
		_ = eng.Close()
		s.stop()
	})
}

func (r *Report) meetMutant(ours client, i, n int, m mutant, expected outcome, classes []class) {
	began := time.Now()
	got := ours.get(m.method, fmt.Sprintf("http://mem.test/odd/%d", i))
	if took := time.Since(began); took > patience+time.Second {
		r.fail("LATE: %v, %s: %v after %v", m, ours.name, got, took)
	}
	if got.verdict == fails && expected.verdict != answers {
		r.count("an error, and no answer for net/http either")
	} else {
		r.judge(difference{m.odd, ours.name, expected, got, shapeOf(m.answer)}, classes)
	}
	time.Sleep(5 * time.Millisecond) // what is split off is there: no client can know of it before
	r.next(ours, "http://mem.test", fmt.Sprintf("/next/%d/%d", i, n), func() string {
		return fmt.Sprintf("%v, split at %d, %s: %v", m, m.split, ours.name, got)
	})
}
