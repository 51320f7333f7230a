package load

import (
	"errors"
	"net/textproto"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/engine"
)

// firstMessages has the first error of each kind and operation tell what it said: "tls" alone does
// not say which certificate was missing. All others cost a look at a map.
//
// Invariant: of an operation at most results.MostSamples messages are made in each phase.
type firstMessages struct {
	warmUp time.Duration

	mu   sync.Mutex
	told map[messageKey]bool
	made map[messageKey]int // by operation and phase; the kind is empty
}

type messageKey struct {
	operation int
	warm      bool
	kind      string
}

// tell gives the sample of a failed request its message if it is the first of its kind.
func (s *firstMessages) tell(m *sample, err error) {
	if s.first(m.operation, m.due < s.warmUp, m.kind) {
		m.message = messageOf(err, m.kind)
	}
}

func (s *firstMessages) first(operation int, warm bool, kind string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, all := messageKey{operation, warm, kind}, messageKey{operation, warm, ""}
	if s.told[key] || s.made[all] >= results.MostSamples {
		return false
	}
	if s.told == nil {
		s.told, s.made = make(map[messageKey]bool), make(map[messageKey]int)
	}
	s.told[key] = true
	s.made[all]++
	return true
}

// longestRead is how much of an error's text is looked at.
const longestRead = 4096

var (
	// aURL and aQuery are cut down to what names a place: users, passwords and keys stand in the rest.
	aURL   = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>]+`)
	aQuery = regexp.MustCompile(`\?[^\s"'<>?]*=[^\s"'<>]*`)
	// aQuote is what a client repeats of an answer: of its head, or of the beginning of its body.
	aQuote = regexp.MustCompile(`"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'`)
	// aHead is likewise, without quotes.
	aHead = regexp.MustCompile(`(malformed MIME header[a-z ]*:).*`)
)

// messageOf is what an error says, in one line of at most results.LongestSample runes, without
// control characters, without query and user of URLs, and without what clients quote of
// headers and bodies.
func messageOf(err error, kind string) string {
	text := err.Error()
	var ofURL *url.Error
	if errors.As(err, &ofURL) { // it may have blanks
		for _, quote := range []func(string) string{strconv.Quote, func(s string) string { return s }} {
			text = strings.ReplaceAll(text, quote(ofURL.URL), quote(placeOf(ofURL.URL)))
		}
	}
	var ofHead textproto.ProtocolError
	if errors.As(err, &ofHead) {
		text = strings.ReplaceAll(text, string(ofHead), aHead.ReplaceAllString(string(ofHead), "$1 …"))
	}
	if len(text) > longestRead { // what is cut through is no part of it
		text = text[:strings.LastIndexByte(text[:longestRead], ' ')+1]
	}
	text = strings.Map(visible, text)
	text = aQuery.ReplaceAllString(aURL.ReplaceAllStringFunc(text, placeOf), "")
	if quotes(err, kind) {
		text = aHead.ReplaceAllString(aQuote.ReplaceAllString(text, `"…"`), "$1 …")
	}
	return strings.Join(strings.Fields(text), " ")
}

// quotes says whether an error may repeat what was received. Those of the engine and of targets
// do not; of a handshake, a name or an address there is nothing to be hidden.
func quotes(err error, kind string) bool {
	var ofEngine *engine.Error
	switch kind {
	case kindTLS, kindDNS, kindRefused, kindTemplate:
		return false
	}
	return !errors.As(err, &ofEngine)
}

// placeOf is a URL without user, query and fragment.
func placeOf(text string) string {
	if at := strings.IndexAny(text, "?#"); at >= 0 {
		text = text[:at]
	}
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		return text
	}
	host, path := rest, ""
	if at := strings.IndexByte(rest, '/'); at >= 0 {
		host, path = rest[:at], rest[at:]
	}
	return scheme + "://" + host[strings.LastIndexByte(host, '@')+1:] + path
}

// visible makes a blank of what is no character that can be seen.
func visible(r rune) rune {
	if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
		return ' '
	}
	return r
}
