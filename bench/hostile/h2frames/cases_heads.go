package h2frames

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/messages"
)

// cases returns all of them.
func cases() []Case {
	return slices.Concat(
		statuses(), fields(), compression(), interims(), trailers(),
		bodies(), padding(), strangers(), sizes(), borders(),
		resets(), goodbyes(), windows(), bounds(), floods(),
	)
}

// answering is a case whose server answers the first stream with frames.
func answering(name string, want want, frames func(id uint32) []byte) Case {
	return Case{Name: name, want: want, play: func(p *peer) { p.write(frames(p.hello())) }}
}

// heading is a case whose server answers with a header block, and a body of "ok".
func heading(name string, want want, block ...[]byte) Case {
	return answering(name, want, func(id uint32) []byte {
		return slices.Concat(headers(id, 0, block...), data(id, endStream, "ok"))
	})
}

func statuses() (all []Case) {
	for _, s := range []string{"-1", "0", "99", "1000", "99999", "abc", "2e2", "+200", "0200", " 200", "20", "", "200 OK"} {
		all = append(all, heading(fmt.Sprintf("a status of %q", s), malformed, status(s)))
	}
	for _, s := range []int{200, 299, 404, 600, 999} {
		all = append(all, heading(fmt.Sprintf("a status of %d", s), answer(s, "ok"), status(fmt.Sprint(s))))
	}
	return append(all,
		heading("no status", malformed, line("x", "y")),
		heading("no header at all", malformed),
		heading("a status twice", malformed, status("200"), status("200")),
		heading("two statuses", malformed, status("200"), status("404")),
		heading("a status behind the fields", malformed, line("x", "y"), status("200")),
		heading("a status between the fields", malformed, status("200"), line("x", "y"), status("200")),
		heading("101", malformed, status("101")),
	)
}

func fields() (all []Case) {
	for name, value := range map[string]string{
		"connection": "keep-alive", "keep-alive": "timeout=5", "proxy-connection": "close",
		"transfer-encoding": "chunked", "upgrade": "h2c", "te": "gzip",
	} {
		all = append(all, heading("the field "+name, malformed, status("200"), line(name, value)))
	}
	slices.SortFunc(all, func(a, b Case) int { return strings.Compare(a.Name, b.Name) })
	for _, value := range []string{"-2", "+2", "two", "2, 2", "0x2", "99999999999999999999"} {
		all = append(all, heading(fmt.Sprintf("a length of %q", value), malformed, status("200"), line("content-length", value)))
	}
	const cap = 64 << 10
	long := slices.Concat(status("200"), line("x", strings.Repeat("x", cap+10_000)))
	many := slices.Concat(status("200"), times(5000, line("name", "value")))
	tooLarge := fails(messages.SentMaybe, messages.ErrHeaderTooLarge)
	return append(all,
		heading("two lengths", malformed, status("200"), line("content-length", "2"), line("content-length", "3")),
		heading("te: trailers", answer(200, "ok"), status("200"), line("te", "trailers")),
		heading("a name in upper case", malformed, status("200"), line("X", "y")),
		heading("a name with a blank", malformed, status("200"), line("x y", "z")),
		heading("an empty name", malformed, status("200"), line("", "z")),
		heading("a name of :", malformed, status("200"), line(":", "z")),
		heading("a line break in a value", malformed, status("200"), line("x", "y\r\nz: w")),
		heading("NUL in a value", malformed, status("200"), line("x", "y\x00z")),
		heading("a field of requests", malformed, status("200"), line(":path", "/")),
		heading("an unknown pseudo-header", malformed, status("200"), line(":teapot", "yes")),
		answering("a line over the cap", tooLarge, func(id uint32) []byte { return split(id, endStream, 16<<10, long) }),
		answering("lines over the cap", tooLarge, func(id uint32) []byte { return split(id, endStream, 16<<10, many) }),
		answering("a header in a hundred pieces", answer(200, ""), func(id uint32) []byte {
			return split(id, endStream, 10, slices.Concat(status("200"), line("x", strings.Repeat("x", 1000))))
		}),
		Case{Name: "10 MiB of header", want: fails(messages.SentMaybe, errAny), play: func(p *peer) {
			id := p.hello()
			block := slices.Concat(status("200"), times(100, line("x", strings.Repeat("x", 100<<10))))
			p.write(split(id, endStream, 16<<10, block))
		}},
	)
}

func compression() []Case {
	const firstRemembered = 62
	ok := answer(200, "ok")
	return []Case{
		heading("HPACK: the number 0", malformed, numbered(0)),
		heading("HPACK: a number nobody has given", malformed, status("200"), numbered(100)),
		heading("HPACK: a number without an end", malformed, status("200"), times(20, []byte{0xff})),
		heading("HPACK: a line cut short", malformed, status("200"), []byte{0, 10, 'x'}),
		heading("HPACK: a length over what there is", malformed, status("200"), []byte{0, 1, 'x', 0x7f, 0xff, 0x7f}),
		heading("HPACK: broken Huffman", malformed, status("200"), []byte{0, 0x84, 0xff, 0xff, 0xff, 0xff, 1, 'x'}),
		heading("HPACK: garbage", malformed, []byte("HTTP/1.1 200 OK\r\nServer: none of this\r\n\r\n")),
		heading("HPACK: a table larger than allowed", malformed, []byte{0x3f, 0xe1, 0xff, 0x7f}, status("200")),
		heading("HPACK: a table's size behind a line", malformed, status("200"), remembered("x", "y"), []byte{0x20}),
		heading("HPACK: an empty table, and the old one", ok, []byte{0x20, 0x3f, 0xe1, 0x1f}, status("200")),
		heading("HPACK: what was remembered", ok, status("200"), remembered("x", "y"), numbered(firstRemembered)),
		heading("HPACK: what was remembered, in no table", malformed, []byte{0x20}, status("200"), remembered("x", "y"), numbered(firstRemembered)),
		heading("HPACK: a status that was remembered", answer(299, "ok"), remembered(":status", "299")),
		heading("HPACK: a bomb", fails(messages.SentMaybe, messages.ErrHeaderTooLarge),
			status("200"), remembered("x", strings.Repeat("x", 3000)), times(10_000, numbered(firstRemembered))),
	}
}

func interims() []Case {
	interim := func(id uint32, code string) []byte { return headers(id, 0, status(code)) }
	return []Case{
		answering("interim answers, and then the final one", answer(200, "ok"), func(id uint32) []byte {
			return slices.Concat(interim(id, "100"), interim(id, "102"), interim(id, "103"), interim(id, "199"), ok(id))
		}),
		answering("an interim answer that ends the stream", malformed, func(id uint32) []byte {
			return headers(id, endStream, status("103"))
		}),
		answering("DATA behind an interim answer", malformed, func(id uint32) []byte {
			return slices.Concat(interim(id, "103"), data(id, endStream, "ok"))
		}),
		answering("DATA behind an interim answer whose status was remembered", malformed, func(id uint32) []byte {
			return slices.Concat(headers(id, 0, remembered(":status", "103")), headers(id, 0, numbered(62)), data(id, endStream, "ok"))
		}),
		answering("a final status that was remembered, DATA at once", answer(201, "ok"), func(id uint32) []byte {
			return slices.Concat(interim(id, "103"), headers(id, 0, remembered(":status", "201")), data(id, endStream, "ok"))
		}),
		answering("nothing behind an interim answer", late, func(id uint32) []byte { return interim(id, "103") }).within(shortly),
		{Name: "a flood of interim answers", want: fails(messages.SentMaybe, messages.ErrHeaderTooLarge), flood: true,
			play: func(p *peer) { id := p.hello(); p.flood(30_000, headers(id, 0, status("103"), line("link", "x"))) }},
	}
}

func trailers() []Case {
	begun := func(id uint32) []byte { return slices.Concat(headers(id, 0, status("200")), data(id, 0, "ok")) }
	trailing := func(name string, want want, flags byte, block ...[]byte) Case {
		return answering(name, want, func(id uint32) []byte { return append(begun(id), headers(id, flags, block...)...) })
	}
	return []Case{
		trailing("a trailer", answer(200, "ok"), endStream, line("sum", "1")),
		trailing("a status in a trailer", malformedBody, endStream, status("200")),
		trailing("a pseudo-header in a trailer", malformedBody, endStream, line(":x", "1")),
		trailing("a trailer that does not end the stream", malformedBody, 0, line("sum", "1")),
		trailing("a trailer in upper case", malformedBody, endStream, line("Sum", "1")),
		answering("two trailers", answer(200, "ok"), func(id uint32) []byte {
			return slices.Concat(begun(id), headers(id, endStream, line("sum", "1")), headers(id, endStream, line("sum", "1")))
		}),
		answering("a trailer over the cap", fails(messages.SentYes, errAny), func(id uint32) []byte {
			return slices.Concat(begun(id), split(id, endStream, 16<<10, line("sum", strings.Repeat("x", 100<<10))))
		}),
	}
}
