package h2frames

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

// shortly is the time of a request that is expected to wait in vain.
const shortly = 150 * time.Millisecond

func (c Case) within(d time.Duration) Case { c.timeout = d; return c }
func (c Case) asking(method string) Case   { c.method = method; return c }
func (c Case) sending(n int) Case          { c.method, c.body = "POST", n; return c }
func (c Case) repeated(n int) Case         { c.repeats = n; return c }
func (c Case) opening(n int) Case          { c.conns = n; return c }

func bodies() []Case {
	length := func(n string) []byte { return line("content-length", n) }
	return []Case{
		heading("a length, and as much", answer(200, "ok"), status("200"), length("2")),
		heading("a length, and less", cut, status("200"), length("3")),
		heading("a length, and more", malformedBody, status("200"), length("1")),
		heading("a length of 0, and more", answer(200, ""), status("200"), length("0")),
		answering("a length, and nothing", fails(messages.SentYes, messages.ErrTruncated), func(id uint32) []byte {
			return headers(id, endStream, status("200"), length("3"))
		}),
		answering("an answer without a body", answer(200, ""), func(id uint32) []byte { return headers(id, endStream, status("200")) }),
		answering("an empty DATA at the end", answer(200, "ok"), func(id uint32) []byte {
			return slices.Concat(headers(id, 0, status("200")), data(id, 0, "ok"), data(id, endStream, ""))
		}),
		answering("no end", fails(messages.SentYes, errDeadline), func(id uint32) []byte {
			return slices.Concat(headers(id, 0, status("200")), data(id, 0, "ok"))
		}).within(shortly),
		answering("no end, of a length that is there", fails(messages.SentYes, errDeadline), func(id uint32) []byte {
			return slices.Concat(headers(id, 0, status("200"), length("2")), data(id, 0, "ok"))
		}).within(shortly),
		answering("204 without an end", answer(204, ""), func(id uint32) []byte { return headers(id, 0, status("204")) }),
		heading("204 with a body", answer(204, ""), status("204")),
		heading("304 with a body", answer(304, ""), status("304")),
		heading("a body in the answer to a HEAD", answer(200, ""), status("200")).asking("HEAD"),
		answering("an answer to a HEAD", answer(200, ""), func(id uint32) []byte {
			return headers(id, endStream, status("200"), length("5"))
		}).asking("HEAD"),
		answering("an answer to a HEAD with an empty DATA", answer(200, ""), func(id uint32) []byte {
			return slices.Concat(headers(id, 0, status("200")), data(id, endStream, ""))
		}).asking("HEAD"),
		answering("a body over the cap", fails(messages.SentYes, messages.ErrBodyTooLarge), func(id uint32) []byte {
			return slices.Concat(headers(id, 0, status("200")), times(80, data(id, 0, strings.Repeat("x", 16<<10))))
		}),
		answering("a length over the cap", fails(messages.SentYes, messages.ErrBodyTooLarge), func(id uint32) []byte {
			return headers(id, 0, status("200"), length("999999999"))
		}),
		answering("DATA without a header", malformed, func(id uint32) []byte { return data(id, endStream, "ok") }),
		answering("an empty DATA without a header", malformed, func(id uint32) []byte { return data(id, endStream, "") }),
		answering("DATA behind the end", answer(200, "ok"), func(id uint32) []byte {
			return slices.Concat(ok(id), times(1000, data(id, 0, "more")))
		}),
		answering("DATA behind an end in the header", answer(200, ""), func(id uint32) []byte {
			return slices.Concat(headers(id, endStream, status("200")), times(1000, data(id, 0, "more")))
		}),
		answering("a header behind the end", answer(200, "ok"), func(id uint32) []byte {
			return slices.Concat(ok(id), headers(id, endStream, status("500")))
		}),
		answering("a whole answer while the request's body is open", answer(200, "ok"), ok).sending(1 << 20),
		answering("DATA behind the end while the request's body is open", answer(200, "ok"), func(id uint32) []byte {
			return slices.Concat(ok(id), times(1000, data(id, 0, "more")))
		}).sending(1 << 20),
	}
}

func padding() []Case {
	pad := func(kind, flags byte, length byte, rest ...byte) func(id uint32) []byte {
		return func(id uint32) []byte { return frame(kind, flags|padded, id, append([]byte{length}, rest...)...) }
	}
	begun := func(id uint32) []byte { return headers(id, 0, status("200")) }
	behind := func(f func(uint32) []byte) func(uint32) []byte {
		return func(id uint32) []byte { return append(begun(id), f(id)...) }
	}
	return []Case{
		answering("padding", answer(200, "ok"), behind(pad(kindData, endStream, 3, 'o', 'k', 0, 0, 0))),
		answering("nothing but padding", answer(200, ""), behind(pad(kindData, endStream, 3, 0, 0, 0))),
		answering("padding longer than its frame", malformedBody, behind(pad(kindData, endStream, 200, 'o', 'k'))),
		answering("padding of a frame without room for its length", malformedBody,
			behind(func(id uint32) []byte { return frame(kindData, endStream|padded, id) })),
		answering("a padded header", answer(200, ""), pad(kindHeaders, endHeaders|endStream, 2, append(status("200"), 0, 0)...)),
		answering("padding longer than its header", malformed, pad(kindHeaders, endHeaders|endStream, 200, status("200")...)),
		answering("a padded interim header, and DATA", malformed, func(id uint32) []byte {
			return append(pad(kindHeaders, endHeaders, 2, append(status("103"), 0, 0)...)(id), data(id, endStream, "ok")...)
		}),
	}
}

// strangers are frames of streams that they cannot be of.
func strangers() (all []Case) {
	frames := map[string]func(id uint32) []byte{
		"HEADERS": func(id uint32) []byte { return headers(id, endStream, status("200")) },
		"DATA":    func(id uint32) []byte { return data(id, endStream, "ok") },
		"a reset": func(id uint32) []byte { return reset(id, cancelled) },
	}
	for _, name := range []string{"HEADERS", "DATA", "a reset"} {
		for of, other := range map[string]uint32{"stream 0": 0, "an even stream": 2, "a stream that was never begun": 99} {
			all = append(all, answering(name+" of "+of, malformed, func(id uint32) []byte {
				return slices.Concat(frames[name](other), ok(id))
			}))
		}
	}
	slices.SortFunc(all, func(a, b Case) int { return strings.Compare(a.Name, b.Name) })
	return append(all,
		answering("a promise of a push", malformed, func(id uint32) []byte {
			return frame(kindPushPromise, endHeaders, id, append(word(2), line(":path", "/")...)...)
		}),
		answering("CONTINUATION of nothing", malformed, func(id uint32) []byte {
			return frame(kindContinuation, endHeaders, id, status("200")...)
		}),
		answering("CONTINUATION of another stream", malformed, func(id uint32) []byte {
			return slices.Concat(frame(kindHeaders, 0, id, status("200")...), frame(kindContinuation, endHeaders, id+2, line("x", "y")...))
		}),
		answering("PING between HEADERS and CONTINUATION", malformed, func(id uint32) []byte {
			return slices.Concat(frame(kindHeaders, 0, id, status("200")...), ping(), frame(kindContinuation, endHeaders, id, line("x", "y")...))
		}),
		answering("an unknown frame between HEADERS and CONTINUATION", malformed, func(id uint32) []byte {
			return slices.Concat(frame(kindHeaders, 0, id, status("200")...), frame(kindUnknown, 0, id), frame(kindContinuation, endHeaders, id, line("x", "y")...))
		}),
		answering("unknown frames everywhere", answer(200, "ok"), func(id uint32) []byte {
			unknown := slices.Concat(frame(kindUnknown, 0xff, 0, 1, 2, 3), frame(0xff, 0, id), frame(0x10, 0, 0, 0, 0, 0, 1), frame(10, 0, 0, 0, 0))
			return slices.Concat(unknown, headers(id, 0, status("200")), unknown, data(id, 0, "o"), unknown, data(id, endStream, "k"), unknown)
		}),
		answering("PRIORITY of itself", answer(200, "ok"), func(id uint32) []byte {
			return append(frame(kindPriority, 0, id, append(word(id), 1)...), ok(id)...)
		}),
		answering("PRIORITY that is too short", answer(200, "ok"), func(id uint32) []byte {
			return append(frame(kindPriority, 0, id, 1), ok(id)...)
		}),
		answering("the reserved bit", answer(200, "ok"), func(id uint32) []byte {
			return slices.Concat(headers(id|1<<31, 0, status("200")), data(id|1<<31, endStream, "ok"))
		}),
		answering("an answer to PING that nobody sent", answer(200, "ok"), func(id uint32) []byte {
			return append(frame(kindPing, ack, 0, make([]byte, 8)...), ok(id)...)
		}),
	)
}

// sizes are frames that are longer or shorter than they may be.
func sizes() (all []Case) {
	for _, f := range []struct {
		name  string
		bytes func(id uint32) []byte
	}{
		{"DATA over the largest frame", func(id uint32) []byte {
			return slices.Concat(headers(id, 0, status("200")), data(id, endStream, strings.Repeat("x", 16<<10+1)))
		}},
		{"a frame of 16 MiB, of which the header comes", func(id uint32) []byte {
			return slices.Concat(headers(id, 0, status("200")), []byte{0xff, 0xff, 0xff, kindData, 0, 0, 0, 0, byte(id)})
		}},
	} {
		all = append(all, answering(f.name, malformedBody, f.bytes))
	}
	for name, f := range map[string][]byte{
		"HEADERS over the largest frame":         headers(1, endStream, status("200"), line("x", strings.Repeat("x", 20_000))),
		"an unknown frame over the largest":      frame(kindUnknown, 0, 0, make([]byte, 20_000)...),
		"SETTINGS of 5 bytes":                    frame(kindSettings, 0, 0, 1, 2, 3, 4, 5),
		"SETTINGS of a stream":                   frame(kindSettings, 0, 1),
		"an answer to SETTINGS with a payload":   frame(kindSettings, ack, 0, make([]byte, 6)...),
		"answers to SETTINGS that nobody sent":   times(2, frame(kindSettings, ack, 0)),
		"a setting of a window over 2^31-1":      settings(settingWindow, 1<<31),
		"a setting of a frame below 16 KiB":      settings(settingFrameSize, 100),
		"a setting of a push that is no boolean": settings(settingPush, 7),
		"PING of 7 bytes":                        frame(kindPing, 0, 0, make([]byte, 7)...),
		"PING of a stream":                       frame(kindPing, 0, 1, make([]byte, 8)...),
		"WINDOW_UPDATE of 3 bytes":               frame(kindWindowUpdate, 0, 0, 0, 0, 1),
		"WINDOW_UPDATE by 0":                     windowUpdate(0, 0),
		"WINDOW_UPDATE by 0 of the stream":       windowUpdate(1, 0),
		"a window that overflows":                slices.Concat(windowUpdate(0, 1<<31-1), windowUpdate(0, 1<<31-1)),
		"a window of the stream that overflows":  slices.Concat(windowUpdate(1, 1<<31-1), windowUpdate(1, 1<<31-1)),
		"GOAWAY of 7 bytes":                      frame(kindGoaway, 0, 0, make([]byte, 7)...),
		"GOAWAY of a stream":                     frame(kindGoaway, 0, 1, make([]byte, 8)...),
		"a reset of 3 bytes":                     frame(kindReset, 0, 1, 0, 0, 8),
	} {
		c := answering(name, malformed, func(uint32) []byte { return f })
		c.fatal = name == "a window of the stream that overflows"
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b Case) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// borders are connections that end, at every border of frames and within each; and
// answers that are cut otherwise than in frames.
func borders() (all []Case) {
	const id = 1
	pieces := [][]byte{
		headers(id, 0, status("200"), line("x", "y")), data(id, 0, "o"), data(id, 0, "k"), headers(id, endStream, line("sum", "1")),
	}
	ended := func(name string, want want, sent []byte, end func(*peer)) {
		all = append(all, Case{Name: name, want: want, play: func(p *peer) {
			p.hello()
			p.write(sent)
			end(p)
		}})
	}
	for i := range pieces {
		whole := slices.Concat(pieces[:i]...)
		want := cut
		if i == 0 {
			want = peerClosed
		}
		ended(fmt.Sprintf("the connection closed behind %d frames", i), want, whole, (*peer).hangUp)
		for _, part := range []int{1, 5, 9, 10} {
			if part >= len(pieces[i]) {
				break
			}
			ended(fmt.Sprintf("the connection closed %d bytes behind %d frames", part, i), want, append(whole[:len(whole):len(whole)], pieces[i][:part]...), (*peer).hangUp)
		}
	}
	ended("the connection closed behind the answer", answer(200, "ok"), slices.Concat(pieces...), (*peer).hangUp)
	ended("the connection reset before an answer", peerClosed, nil, (*peer).tear)
	never := fails(messages.SentNo, errAny)
	whole := slices.Concat(pieces...)
	return append(all,
		Case{Name: "the connection closed at once", want: never, play: (*peer).hangUp},
		Case{Name: "the connection reset at once", want: never, play: (*peer).tear},
		Case{Name: "silence before SETTINGS", want: fails(messages.SentNo, errDeadline), timeout: shortly, mute: true, lasting: true, play: (*peer).silence},
		Case{Name: "PING before SETTINGS", want: never, play: func(p *peer) { p.write(ping()) }},
		Case{Name: "an answer to SETTINGS before SETTINGS", want: never, play: func(p *peer) { p.write(frame(kindSettings, ack, 0)) }},
		Case{Name: "an answer in HTTP/1.1", want: never, play: func(p *peer) { p.write([]byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")) }},
		Case{Name: "an answer in records of one byte", want: answer(200, "ok"), play: func(p *peer) {
			for _, b := range slices.Concat(settings(), whole[:0]) {
				p.write([]byte{b})
			}
			p.next()
			for _, b := range whole {
				p.write([]byte{b})
			}
		}},
		Case{Name: "an answer before it is asked for", want: answer(200, "ok"), repeats: 2, play: func(p *peer) { p.write(append(settings(), ok(1)...)) }},
		Case{Name: "silence", want: late, timeout: shortly, play: func(p *peer) { p.hello() }},
	)
}
