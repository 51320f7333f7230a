package h2frames

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/messages"
)

var errDeadline = context.DeadlineExceeded

func resets() (all []Case) {
	for code := range uint32(14) {
		want := peerClosed
		if code == refusedStream {
			want = fails(messages.SentYes, messages.ErrUnprocessed)
		}
		all = append(all,
			answering(fmt.Sprintf("a reset with code %d before an answer", code), want, func(id uint32) []byte { return reset(id, code) }).sending(10))
		if code != refusedStream {
			all = append(all, answering(fmt.Sprintf("a reset with code %d inside an answer", code), cut, func(id uint32) []byte {
				return slices.Concat(headers(id, 0, status("200")), data(id, 0, "o"), reset(id, code))
			}))
		}
	}
	refuse := func(p *peer) { p.write(reset(p.hello(), refusedStream)) }
	return append(all,
		answering("a reset with a code nobody knows", peerClosed, func(id uint32) []byte { return reset(id, 0xffffffff) }),
		answering("a reset twice", peerClosed, func(id uint32) []byte { return times(2, reset(id, cancelled)) }),
		answering("a reset behind the answer", answer(200, "ok"), func(id uint32) []byte { return append(ok(id), reset(id, noError)...) }),
		answering("a whole answer, and a reset that stops the request's body", answer(200, "ok"), func(id uint32) []byte {
			return append(ok(id), reset(id, noError)...)
		}).sending(1<<20),
		Case{Name: "a refused POST, repeated", method: "POST", body: 10, repeats: 2, want: answer(200, "ok"), play: refuse},
		Case{Name: "a refused GET, repeated", repeats: 2, want: answer(200, "ok"), play: refuse},
		Case{Name: "refused twice, repeated", method: "POST", body: 10, repeats: 2, want: answer(200, "ok"), hostile: 2, play: refuse, conns: 4},
		Case{Name: "a reset GET, repeated", repeats: 2, want: answer(200, "ok"), play: func(p *peer) { p.write(reset(p.hello(), 2)) }},
		Case{Name: "a reset POST is not repeated", method: "POST", body: 10, repeats: 2, want: peerClosed, play: func(p *peer) { p.write(reset(p.hello(), 2)) }},
	)
}

func goodbyes() []Case {
	unprocessed := fails(messages.SentYes, messages.ErrUnprocessed)
	after := func(f func(id uint32) []byte) func(*peer) {
		return func(p *peer) { p.write(f(p.hello())); p.silence() }
	}
	post := func(name string, want want, play func(*peer)) Case {
		return Case{Name: name, method: "POST", body: 10, want: want, play: play}
	}
	return []Case{
		post("goodbye, not to the request", unprocessed, after(func(uint32) []byte { return goaway(0, noError) })),
		post("goodbye, and the answer", answer(200, "ok"), after(func(id uint32) []byte { return append(goaway(id, noError), ok(id)...) })),
		post("goodbye to all to come, and the answer", answer(200, "ok"), after(func(id uint32) []byte { return append(goaway(1<<31-1, noError), ok(id)...) })),
		post("goodbye, and silence", late, after(func(id uint32) []byte { return goaway(id, noError) })).within(shortly),
		post("goodbye twice, the second not to the request", unprocessed, after(func(id uint32) []byte {
			return append(goaway(1<<31-1, noError), goaway(0, noError)...)
		})),
		post("goodbye whose last stream rises", unprocessed, after(func(id uint32) []byte { return append(goaway(0, noError), goaway(id, noError)...) })),
		post("goodbye in the middle of an answer", answer(200, "ok"), after(func(id uint32) []byte {
			return slices.Concat(headers(id, 0, status("200")), goaway(id, noError), data(id, endStream, "ok"))
		})),
		post("goodbye between HEADERS and CONTINUATION", malformed, after(func(id uint32) []byte {
			return slices.Concat(frame(kindHeaders, 0, id, status("200")...), goaway(id, noError), frame(kindContinuation, endHeaders, id))
		})),
		post("goodbye behind the answer", answer(200, "ok"), after(func(id uint32) []byte { return append(ok(id), goaway(id, noError)...) })),
		post("goodbye with a code, to a request that counts", late, after(func(id uint32) []byte { return goaway(id, calmDown) })).within(shortly),
		post("goodbye with a code, not to the request", unprocessed, after(func(uint32) []byte { return goaway(0, calmDown) })),
		post("goodbye, and the connection closed", fails(messages.SentMaybe, messages.ErrPeerClosed), func(p *peer) {
			p.write(goaway(p.hello(), noError))
			p.hangUp()
		}),
		post("goodbye in the middle of an answer, and the connection closed", cut, func(p *peer) {
			id := p.hello()
			p.write(headers(id, 0, status("200")), data(id, 0, "o"), goaway(id, noError))
			p.hangUp()
		}),
		post("goodbye, not to the request, repeated", answer(200, "ok"), after(func(uint32) []byte { return goaway(0, noError) })).repeated(2),
		{Name: "goodbye with the settings", want: answer(200, "ok"), repeats: 2, conns: 3, play: func(p *peer) { p.write(settings(), goaway(0, noError)); p.silence() }},
		post("a flood of goodbyes", fails(messages.SentMaybe, messages.ErrMalformedResponse), func(p *peer) { id := p.hello(); p.flood(50_000, goaway(id, noError)) }),
	}
}

func windows() []Case {
	const large = 1 << 20
	closedWindow := func(p *peer) uint32 { return p.hello(settingWindow, 0) }
	return []Case{
		Case{Name: "no window, for ever", want: late, play: func(p *peer) { closedWindow(p) }}.sending(large).within(shortly),
		Case{Name: "no window, and an answer", want: answer(413, "ok"), play: func(p *peer) {
			id := closedWindow(p)
			p.write(headers(id, 0, status("413")), data(id, endStream, "ok"))
		}}.sending(large),
		Case{Name: "a window that opens by WINDOW_UPDATE", want: answer(200, "ok"), play: func(p *peer) {
			id := closedWindow(p)
			p.write(windowUpdate(id, 1000), windowUpdate(id, large))
			p.taking(large)
			p.write(ok(id))
		}}.sending(large),
		Case{Name: "a window that opens by SETTINGS", want: answer(200, "ok"), play: func(p *peer) {
			id := closedWindow(p)
			p.write(settings(settingWindow, large))
			p.taking(large)
			p.write(ok(id))
		}}.sending(large),
		Case{Name: "a window that falls below zero, and rises", want: answer(200, "ok"), play: func(p *peer) {
			id := p.hello(settingWindow, 1000)
			p.taking(1000)
			p.write(settings(settingWindow, 0), settings(settingWindow, large))
			p.taking(large)
			p.write(ok(id))
		}}.sending(large),
		Case{Name: "windows of one byte", want: answer(200, "ok"), play: func(p *peer) {
			id := p.hello(settingWindow, 1)
			p.taking(200)
			p.write(ok(id))
		}}.sending(200),
		answering("more than the window of the stream", fails(messages.SentYes, errAny), func(id uint32) []byte {
			return slices.Concat(headers(id, 0, status("200")), times(2000, data(id, 0, string(make([]byte, 16<<10)))))
		}),
	}
}

// bounds are those of streams.
func bounds() []Case {
	return []Case{
		{Name: "no streams, for ever", want: fails(messages.SentNo, errDeadline).saying("allows no HTTP/2 streams"), timeout: shortly,
			play: func(p *peer) { p.hello(settingStreams, 0) }},
		{Name: "no streams, and then some", want: answer(200, "ok"), conns: 1, play: func(p *peer) {
			p.write(settings(settingStreams, 0), ping(), settings(settingStreams, 10))
		}},
		{Name: "no streams, goodbye", want: answer(200, "ok"), play: func(p *peer) {
			p.write(settings(settingStreams, 0), ping(), goaway(0, noError))
			p.silence()
		}, repeats: 2},
		{Name: "no streams, and the connection closed", want: answer(200, "ok"), play: func(p *peer) {
			p.write(settings(settingStreams, 0), ping())
			p.hangUp()
		}, repeats: 2},
		{Name: "one stream", want: answer(200, "ok"), conns: 1, play: func(p *peer) { p.write(ok(p.hello(settingStreams, 1))) }},
		{Name: "more streams than there are numbers", want: answer(200, "ok"), conns: 1, play: func(p *peer) { p.write(ok(p.hello(settingStreams, 1<<32-1))) }},
		{Name: "a header list of one byte", want: fails(messages.SentNo, messages.ErrInvalidRequest), lasting: true, conns: 1,
			play: func(p *peer) { p.hello(settingHeaderList, 1) }},
		{Name: "no table", want: answer(200, "ok"), conns: 1, play: func(p *peer) { p.write(ok(p.hello(settingTableSize, 0))) }},
		{Name: "a large table", want: answer(200, "ok"), conns: 1, play: func(p *peer) { p.write(ok(p.hello(settingTableSize, 1<<32-1))) }},
		{Name: "settings nobody knows", want: answer(200, "ok"), conns: 1, play: func(p *peer) { p.write(ok(p.hello(0, 1, 0xffff, 2, 8, 1, 9, 1))) }},
	}
}

func floods() (all []Case) {
	const many = 30_000
	for name, f := range map[string]func(id uint32) []byte{
		"PING":                        func(uint32) []byte { return ping() },
		"answers to PING":             func(uint32) []byte { return frame(kindPing, ack, 0, make([]byte, 8)...) },
		"SETTINGS":                    func(uint32) []byte { return settings() },
		"settings of tables":          func(uint32) []byte { return settings(settingTableSize, 0, settingTableSize, 4096) },
		"WINDOW_UPDATE":               func(uint32) []byte { return windowUpdate(0, 1) },
		"WINDOW_UPDATE of the stream": func(id uint32) []byte { return windowUpdate(id, 1) },
		"PRIORITY":                    func(id uint32) []byte { return frame(kindPriority, 0, id, 0, 0, 0, 0, 1) },
		"unknown frames":              func(uint32) []byte { return frame(kindUnknown, 0, 0, 1, 2, 3, 4) },
	} {
		all = append(all, flood(name, malformed, nil, f, many))
	}
	slices.SortFunc(all, func(a, b Case) int { return slices.Compare([]byte(a.Name), []byte(b.Name)) })
	begun := func(id uint32) []byte { return headers(id, 0, status("200")) }
	return append(all,
		flood("empty DATA", malformedBody, begun, func(id uint32) []byte { return data(id, 0, "") }, many),
		flood("DATA that is padding", malformedBody, begun, func(id uint32) []byte { return frame(kindData, padded, id, 0) }, many),
		flood("resets", peerClosed, nil, func(id uint32) []byte { return reset(id, cancelled) }, many),
		flood("empty CONTINUATION", malformed, func(id uint32) []byte { return frame(kindHeaders, 0, id, status("200")...) },
			func(id uint32) []byte { return frame(kindContinuation, 0, id) }, many),
		flood("CONTINUATION", fails(messages.SentMaybe, messages.ErrHeaderTooLarge), func(id uint32) []byte { return frame(kindHeaders, 0, id, status("200")...) },
			func(id uint32) []byte { return frame(kindContinuation, 0, id, line("x", strings.Repeat("x", 100))...) }, many),
		flood("DATA of a stream that is over", answer(200, "ok"), ok, func(id uint32) []byte { return data(id, 0, "more") }, many),
		answering("a thousand PINGs, and an answer", answer(200, "ok"), func(id uint32) []byte { return append(times(1000, ping()), ok(id)...) }).opening(1),
		Case{Name: "a flood of PING from a server that reads nothing", mute: true, flood: true, want: fails(messages.SentMaybe, errAny), timeout: 2 * shortly,
			play: func(p *peer) { p.write(settings()); p.flood(50_000_000, ping()) }},
	)
}

// flood is a case of frames without an end, behind a beginning.
func flood(name string, want want, begin, one func(id uint32) []byte, n int) Case {
	return Case{Name: "a flood of " + name, want: want, flood: true, play: func(p *peer) {
		id := p.hello()
		if begin != nil {
			p.write(begin(id))
		}
		p.flood(n, one(id))
	}}
}
