package eventstream

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const most = 1 << 16

// read puts a stream into a parser, cut into pieces at those places.
func read(p *Parser, stream string, cuts ...int) (events []Event, err error) {
	for piece := range pieces(stream, cuts) {
		rest := []byte(piece)
		for len(rest) > 0 {
			var event Event
			var dispatched bool
			event, rest, dispatched, err = p.Next(rest)
			if err != nil {
				return events, err
			}
			if dispatched {
				events = append(events, event)
			}
		}
	}
	return events, nil
}

func pieces(stream string, cuts []int) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, cut := range cuts {
			cut = min(cut, len(stream))
			if !yield(stream[:cut]) {
				return
			}
			stream = stream[cut:]
		}
		yield(stream)
	}
}

func TestAStreamIsReadAsTheStandardSays(t *testing.T) {
	message := func(data string) Event { return Event{Type: "message", Data: data} }
	for stream, want := range map[string][]Event{
		"":                                  nil,
		"data: a\n\n":                       {message("a")},
		"data: a\ndata:b\ndata\n\n":         {message("a\nb\n")},
		"data:  two blanks\n\n":             {message(" two blanks")},
		"data\n\ndata\ndata\n\ndata:":       {message(""), message("\n")},
		"data: a\r\rdata: b\r\n\r\n":        {message("a"), message("b")},
		"data: a\r\n\rdata: b\n\r":          {message("a"), message("b")},
		"\uFEFFdata: a\n\n":                 {message("a")},
		"\uFEFF\uFEFFdata: a\n\n":           nil,
		"data: a\n\n\uFEFFdata: b\n\n":      {message("a")},
		": comment\n\n:\ndata: a\n\n":       {message("a")},
		"event: add\ndata: 1\n\ndata:2\n\n": {{Type: "add", Data: "1"}, message("2")},
		"event: add\n\ndata: 1\n\n":         {message("1")},
		"event\nevent: x\nevent\ndata\n\n":  {message("")},
		"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n": {
			{ID: "1", Type: "message", Data: "a"}, {ID: "1", Type: "message", Data: "b"}, message("c"),
		},
		"id: 1\n\ndata: a\n\n":                {{ID: "1", Type: "message", Data: "a"}},
		"id: 1\nid: 2\x00\ndata: a\n\n":       {{ID: "1", Type: "message", Data: "a"}},
		"Data: a\ndata : a\n data: a\n\n":     nil,
		"other: a\ndata: a: b\n\n":            {message("a: b")},
		"data: cut off\n":                     nil,
		"data: cut off":                       nil,
		"data: \xff\xe2\x82 \xe2\x82\xac\n\n": {message("\uFFFD\uFFFD €")},
		"data: \x00\n\n":                      {message("\x00")},
	} {
		got, err := read(&Parser{Most: most}, stream)
		require.NoError(t, err)
		require.Equal(t, want, got, "%q", stream)
	}
}

func TestALineThatACarriageReturnEndsIsNotWaitedForAnyLonger(t *testing.T) {
	p := &Parser{Most: most}
	got, err := read(p, "data: a\r\r")
	require.NoError(t, err)
	require.Len(t, got, 1, "whether a line feed follows says nothing of this event")
	got, err = read(p, "\ndata: b\n\n")
	require.NoError(t, err)
	require.Equal(t, []Event{{Type: "message", Data: "b"}}, got)
}

func TestTheIDOfAnEventThatIsCutOffIsNobodys(t *testing.T) {
	p := &Parser{Most: most, ID: "before"}
	_, err := read(p, "data: a\n\nid: 7\ndata: b\n")
	require.NoError(t, err)
	require.Equal(t, "before", p.ID)
	_, err = read(p, "\n")
	require.NoError(t, err)
	require.Equal(t, "7", p.ID)
}

func TestAReconnectionTimeIsOfDigitsAndAtOnce(t *testing.T) {
	p := &Parser{Most: most}
	for line, want := range map[string]time.Duration{
		"retry: 1500": 1500 * time.Millisecond, "retry:0": 0, "retry: 007": 7 * time.Millisecond,
		"retry: 99999999999999999999999999": longestRetry,
	} {
		*p = Parser{Most: most}
		_, err := read(p, line+"\n")
		require.NoError(t, err)
		require.Equal(t, want, p.Retry, line)
		require.Equal(t, 1, p.Retries, line)
	}
	for _, line := range []string{"retry: -1", "retry: 1s", "retry: 1.5", "retry", "retry: ", "retry:  1", "retry: ١"} {
		*p = Parser{Most: most}
		_, err := read(p, line+"\n")
		require.NoError(t, err)
		require.Zero(t, p.Retries, line)
	}
}

func TestALineAndTheDataOfAnEventAreBounded(t *testing.T) {
	long := strings.Repeat("x", 20)
	for _, stream := range []string{
		"data:" + long + "\n\n", ":" + long, "data: 1234567\ndata: 12345678\ndata: 1\n\n", "id:" + long + "\n\n",
	} {
		for cut := range len(stream) {
			_, err := read(&Parser{Most: 16}, stream, cut)
			require.ErrorIs(t, err, ErrTooLarge, "%q at %d", stream, cut)
		}
	}
	got, err := read(&Parser{Most: 16}, "data:12345678901\ndata:123\n\ndata:12345678901\n\n")
	require.NoError(t, err)
	require.Len(t, got, 2)
}

// ---- the oracle: the whole stream at once, in the words of the standard ----

type reading struct {
	events  []Event
	id      string
	retry   time.Duration
	retries int
}

func slowly(stream string) (r reading) {
	stream = strings.TrimPrefix(stream, "\uFEFF")
	stream = strings.ReplaceAll(strings.ReplaceAll(stream, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(stream, "\n")
	data, kind, buffer := "", "", ""
	for _, line := range lines[:len(lines)-1] {
		if line == "" {
			r.id = buffer
			if data != "" {
				if kind == "" {
					kind = "message"
				}
				r.events = append(r.events, Event{r.id, kind, strings.TrimSuffix(data, "\n")})
			}
			data, kind = "", ""
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "data":
			data += value + "\n"
		case "event":
			kind = value
		case "id":
			if !strings.Contains(value, "\x00") {
				buffer = value
			}
		case "retry":
			if ms, err := strconv.ParseUint(value, 10, 32); err == nil && strings.Trim(value, "0123456789") == "" {
				r.retry = min(time.Duration(ms)*time.Millisecond, longestRetry)
				r.retries++
			}
		}
	}
	return r
}

var piece = rapid.SampledFrom([]string{
	"data", "event", "id", "retry", ":", ": ", "\n", "\r", "\r\n", "\n\n", "x", "12", "\x00", " ", "\uFEFF", "€", "data: a\n", "id: 1\n", "retry: 3\n",
})

func TestNoMatterHowAStreamIsCutItIsReadAsTheStandardSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stream := strings.Join(rapid.SliceOfN(piece, 0, 40).Draw(t, "stream"), "")
		cuts := rapid.SliceOfN(rapid.IntRange(0, 9), 0, 30).Draw(t, "cuts")
		p := &Parser{Most: most}
		events, err := read(p, stream, cuts...)
		require.NoError(t, err)
		require.Equal(t, slowly(stream), reading{events, p.ID, p.Retry, p.Retries})
	})
}

func FuzzNext(f *testing.F) {
	f.Add("data: a\r\n\r\nid: 1\nretry: 5\n\n", 3)
	f.Add("\uFEFFdata\n\n:x\revent:y\rdata:z\r\r", 1)
	f.Fuzz(func(t *testing.T, stream string, size int) {
		if size = max(1, size%64); len(stream) > most {
			return
		}
		var cuts []int
		for range len(stream) / size {
			cuts = append(cuts, size)
		}
		p, whole := &Parser{Most: most}, &Parser{Most: most}
		got, err := read(p, stream, cuts...)
		require.NoError(t, err)
		want, err := read(whole, stream)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, whole.ID, p.ID)
		require.Equal(t, whole.Retry, p.Retry)
		require.LessOrEqual(t, len(got), strings.Count(stream, "data"))
	})
}
