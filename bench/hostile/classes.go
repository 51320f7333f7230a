package hostile

import (
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/engine"
)

// class is a kind of difference from net/http that is meant. The first that holds
// counts.
type class struct {
	name   string
	reason string
	holds  func(d difference) bool
}

// kind is what is counted.
func (c class) kind() string { return c.name + ": " + c.reason }

// strict makes a class of answers that the engine refuses as malformed and net/http
// reads, or waits for more of. The reason is read off the bytes, and not off what the
// engine says.
func strict(name, reason string, odd func(s shape) bool) class {
	return class{"strict, " + name, reason, func(d difference) bool {
		return d.ours.verdict == fails && d.theirs.verdict != fails && errors.Is(d.ours.err, engine.ErrMalformedResponse) && odd(d.shape)
	}}
}

// capped makes a class of answers that are over a cap of the engine's.
func capped(name, reason string, cause error, odd func(d difference) bool) class {
	return class{"cap, " + name, reason, func(d difference) bool {
		return d.ours.verdict == fails && errors.Is(d.ours.err, cause) && odd(d)
	}}
}

const byDecision = "refused, docs/decisions/0002"

// classes are those of an engine that reads strictly.
var classes = slices.Concat([]class{
	strict("status line", "no other version than 1.0 and 1.1, no code but three digits from 100 on: "+byDecision, shape.badStatus),
	strict("bare line feed", byDecision, func(s shape) bool { return bareLF.MatchString(s.framing) }),
	strict("bare carriage return", byDecision, func(s shape) bool { return bareCR.MatchString(s.framing) }),
	strict("NUL", byDecision, func(s shape) bool { return strings.Contains(s.framing, "\x00") }),
	strict("control character", "no field value has one, RFC 9110, section 5.5", func(s shape) bool { return control.MatchString(s.head) }),
	strict("folded line", byDecision, func(s shape) bool { return folded.MatchString(s.framing) }),
	strict("field name", "blank before the colon, no colon, no token: "+byDecision, shape.badNames),
	strict("length", "repeated, or no number of up to 18 digits: "+byDecision, shape.badLengths),
	strict("transfer coding", "another than chunked, twice, beside a length, or in HTTP/1.0: "+byDecision, shape.badCodings),
	strict("chunks", "sizes without digits, of more than 15, or with something behind them: "+byDecision, func(s shape) bool { return s.chunked }),
	unaskedSwitch,
}, inAnyCase)

// lenientClasses are those of an engine that reads leniently: it refuses what no
// reading makes sure of.
var lenientClasses = slices.Concat([]class{
	strict("status line", "no other version than 1.x, no code but three digits from 100 on: "+byDecision, shape.worseStatus),
	strict("length", "no number of up to 18 digits, and no body that long will come", shape.worseLengths),
	strict("chunks", "sizes of more than 15 digits, or with something behind them: "+byDecision, func(s shape) bool { return s.chunked }),
	unaskedSwitch,
	{"head that is not complete", "judged as a whole, once its end is there, for a folded line changes that before it; net/http judges line by line", func(d difference) bool {
		return d.ours.verdict == waits && d.theirs.verdict == fails && !strings.HasSuffix(d.shape.head, "\n\n") && !strings.HasSuffix(d.shape.head, "\n\r\n")
	}},
	{"blanks at the end of a folded value", "are none of it, RFC 9112, section 5.1; net/http keeps that for a line that holds nothing else", func(d difference) bool {
		d.theirs.header = d.theirs.header.Clone()
		for name, values := range d.theirs.header {
			for i, value := range values {
				d.theirs.header[name][i] = strings.TrimRight(value, " \t")
			}
		}
		return folded.MatchString(d.shape.head) && sameBut(d, "Transfer-Encoding", "Trailer", "Connection")
	}},
	{"end of a trailer section", "a bare line feed ends it as it ends a head; net/http, which reads heads so, looks for CR LF CR LF here", func(d difference) bool {
		return d.ours.verdict == answers && d.theirs.verdict != answers && d.shape.chunked && bareLF.MatchString(d.shape.framing[len(d.shape.head):])
	}},
	{"length beside chunks, and no body", "the length is left out, with a body and without; net/http tells it where there is none", func(d difference) bool {
		d.ours.beside = "" // so is the length there
		return d.shape.chunked && len(d.shape.lengths) > 0 && d.ours.header.Get("Content-Length") == "" && d.theirs.body == "" && sameBut(d, "Transfer-Encoding", "Content-Length", "Trailer")
	}},
}, inAnyCase)

var unaskedSwitch = strict("101", "nobody has asked for another protocol", func(s shape) bool { return strings.Contains(s.head, " 101") })

// inAnyCase are the classes that have nothing to do with how strictly is read.
var inAnyCase = []class{
	{"coding, deflate and x-gzip", "the engine asks for deflate and undoes it, and knows gzip by its old name; net/http asks for gzip alone", ownCoding},
	{"two codings", "in two lines: both count, and identity is none; net/http looks at the first alone", func(d difference) bool {
		switch {
		case d.shape.codings < 2:
			return false
		case d.ours.verdict == waits: // for the end of what it hands over as it came
			return d.theirs.verdict == fails && strings.Contains(d.theirs.err.Error(), "gzip: ")
		case d.ours.verdict != answers:
			return false
		}
		plain, err := unpacked("gzip", d.theirs.body)
		return d.ours.header.Get("Content-Encoding") != "" || err == nil && plain == d.ours.body
	}},
	capped("body", "16 MiB, for length and chunks are believed to be meant", engine.ErrBodyTooLarge, func(d difference) bool { return d.shape.hugeBody() }),
	capped("ratio", "a byte may become 200, once there is a megabyte", engine.ErrBodyTooLarge, func(d difference) bool {
		return d.shape.coding != "" && len(d.theirs.body) > 1<<20
	}),
	capped("head", "64 KiB for a head, for all interim heads, for a trailer section", engine.ErrHeaderTooLarge, func(d difference) bool {
		return len(d.shape.framing) > 64<<10
	}),
	{"blanks before a chunk extension", "allowed by RFC 9112, section 7.1.1, and refused by net/http", func(d difference) bool {
		return d.ours.verdict == answers && d.theirs.verdict == fails && d.shape.chunked && strings.Contains(d.theirs.err.Error(), "invalid byte in chunk length")
	}},
	{"trailer within 64 KiB", "net/http has room for 4 KiB alone", func(d difference) bool {
		return d.ours.verdict != fails && d.theirs.verdict == fails && strings.Contains(d.theirs.err.Error(), "suspiciously long trailer")
	}},
	{"trailer announced", "what is announced means nothing to the engine, and what comes in a trailer is never believed about framing", func(d difference) bool {
		return d.ours.verdict != fails && d.theirs.verdict == fails && strings.Contains(d.theirs.err.Error(), "bad trailer key")
	}},
	{"header as it came", "Do tells Transfer-Encoding, Trailer and Connection as received; net/http takes them out", func(d difference) bool {
		return strings.HasPrefix(d.door, "Do") && sameBut(d, "Transfer-Encoding", "Trailer", "Connection")
	}},
}

// sameBut reports whether two answers are the same but for what names say in the header,
// and for trailers that were announced and did not come.
func sameBut(d difference, names ...string) bool {
	if d.ours.verdict != answers || d.theirs.verdict != answers {
		return false
	}
	without := func(o outcome) outcome {
		o.header = maps.Clone(o.header)
		for _, name := range names {
			delete(o.header, name)
		}
		o.trailer = maps.Clone(o.trailer)
		maps.DeleteFunc(o.trailer, func(_ string, v []string) bool { return len(v) == 0 })
		return o
	}
	return len(differences(without(d.theirs), without(d.ours))) == 0
}

// ownCoding holds where the engine has undone a coding, or found it wrong, that
// net/http hands over as it came.
func ownCoding(d difference) bool {
	coding := strings.ToLower(d.shape.coding)
	if coding != "deflate" && coding != "x-gzip" {
		return false
	}
	coded := d.theirs.body
	if d.theirs.verdict == waits && !d.shape.chunked {
		coded = strings.TrimPrefix(d.odd.answer, d.shape.head) // it waits for the end, and hands nothing over
	}
	plain, err := unpacked(coding, coded)
	switch {
	case d.ours.verdict == fails:
		// What of a body was missing is io.ErrUnexpectedEOF alone by RoundTripper, as it
		// is to net/http of the coding that it knows.
		return err != nil && (errors.Is(d.ours.err, engine.ErrMalformedResponse) || errors.Is(d.ours.err, engine.ErrTruncated) || errors.Is(d.ours.err, io.ErrUnexpectedEOF))
	case d.ours.verdict != answers, d.theirs.verdict != answers:
		return false
	}
	return err == nil && plain == d.ours.body && d.ours.header.Get("Content-Encoding") == ""
}
