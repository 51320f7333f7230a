// Package eventstream reads streams of server-sent events, as the HTML standard has them
// parsed ("Server-sent events", "Interpreting an event stream"). It has no clock, no
// connection and no goroutine: bytes are put in as they come, in pieces of any size.
package eventstream

import (
	"bytes"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
)

// Event is one event as it was dispatched.
type Event struct {
	ID   string // the last event id that the stream has named so far
	Type string // "message" if the event names none
	Data string // the data lines, joined by line feeds
}

// ErrTooLarge is a line, or the data of an event, that is over the bound.
var ErrTooLarge = errors.New("an event is over the bound")

// Parser reads one stream from its beginning; another stream needs another Parser. What
// has been dispatched does not depend on where the pieces of the stream begin and end.
type Parser struct {
	// Most bounds the bytes of a line, and of the data of an event.
	Most int
	// ID is the last event id, which an event of the stream before may have named. It
	// changes with the dispatch of an event: the id of one that is cut off is nobody's.
	ID string
	// Retry is the reconnection time that the stream has named last; Retries tells how
	// often it has.
	Retry   time.Duration
	Retries int

	line      []byte // of the line that is not ended yet
	data      []byte // each line of it with a line feed behind it
	kind      string // the event's type
	id        string // of the event that is not ended yet
	begun     bool   // the first line has ended, or is known to have no mark before it
	halfBreak bool   // a carriage return has ended the last line: a line feed belongs to it
	idRead    bool   // id is the stream's own
}

// Next reads from a piece of the stream until an event is dispatched, and returns it with
// what is left of the piece. Without an event all of the piece has been read.
func (p *Parser) Next(piece []byte) (event Event, rest []byte, dispatched bool, err error) {
	for len(piece) > 0 {
		if p.halfBreak {
			p.halfBreak = false
			if piece[0] == '\n' {
				piece = piece[1:]
				continue
			}
		}
		end := bytes.IndexAny(piece, "\r\n")
		if end < 0 {
			return event, nil, false, p.keep(piece)
		}
		line := piece[:end]
		p.halfBreak = piece[end] == '\r'
		piece = piece[end+1:]
		if len(p.line) > 0 || len(line) > p.Most {
			if err := p.keep(line); err != nil {
				return event, nil, false, err
			}
			line = p.line
		}
		event, dispatched, err = p.end(line)
		p.line = p.line[:0]
		if dispatched || err != nil {
			return event, piece, dispatched, err
		}
	}
	return event, nil, false, nil
}

// keep adds to the line that is not ended yet.
func (p *Parser) keep(part []byte) error {
	if len(part) > p.Most-len(p.line) {
		return ErrTooLarge
	}
	p.line = append(p.line, part...)
	return nil
}

// end takes a line that is whole.
func (p *Parser) end(line []byte) (event Event, dispatched bool, err error) {
	if !p.begun {
		p.begun = true
		line = bytes.TrimPrefix(line, []byte("\uFEFF"))
	}
	if len(line) == 0 {
		event, dispatched = p.dispatch()
		return event, dispatched, nil
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) { // empty for a comment
	case "event":
		p.kind = text(value)
	case "data":
		if len(value) > p.Most-len(p.data) {
			return event, false, ErrTooLarge
		}
		p.data = append(append(p.data, value...), '\n')
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			p.id, p.idRead = text(value), true
		}
	case "retry":
		p.retry(value)
	}
	return event, false, nil
}

// longestRetry is what a reconnection time above it is read as: a day.
const longestRetry = 24 * time.Hour

// retry heeds nothing but ASCII digits.
func (p *Parser) retry(digits []byte) {
	ms := int64(0)
	for _, c := range digits {
		if c < '0' || c > '9' {
			return
		}
		ms = min(10*ms+int64(c-'0'), longestRetry.Milliseconds())
	}
	if len(digits) > 0 {
		p.Retry = time.Duration(ms) * time.Millisecond
		p.Retries++
	}
}

// dispatch ends an event. One without a data line is none, but its id counts.
func (p *Parser) dispatch() (event Event, dispatched bool) {
	if p.idRead {
		p.ID, p.idRead = p.id, false
	}
	data, kind := p.data, p.kind
	p.data, p.kind = p.data[:0], ""
	if len(data) == 0 {
		return event, false
	}
	if kind == "" {
		kind = "message"
	}
	return Event{ID: p.ID, Type: kind, Data: text(data[:len(data)-1])}, true
}

// text is what bytes say in UTF-8. What is no UTF-8 is replaced as the encoding standard
// has it.
func text(raw []byte) string {
	if utf8.Valid(raw) {
		return string(raw)
	}
	said, err := unicode.UTF8.NewDecoder().Bytes(raw)
	if err != nil { // it replaces, and has no errors
		return strings.ToValidUTF8(string(raw), "\uFFFD")
	}
	return string(said)
}
