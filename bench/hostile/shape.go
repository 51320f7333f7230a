package hostile

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// shape is what is odd about the bytes of an answer, found without any of the parsers
// that are judged.
type shape struct {
	head    string   // all heads: the interim ones and the final one
	framing string   // the heads, and all behind them if the body is in chunks
	lengths []string // values of Content-Length, in the final head
	te      []string // values of Transfer-Encoding, there
	coding  string   // of Content-Encoding, there
	codings int      // how many lines of that name there are
	http10  bool
	chunked bool // somebody may take the body for chunked
}

var (
	bareLF      = regexp.MustCompile(`(^|[^\r])\n`)
	bareCR      = regexp.MustCompile(`\r([^\n]|$)`)
	folded      = regexp.MustCompile(`\n[ \t]`)
	foldedEnd   = regexp.MustCompile(`\r?\n[ \t]+`)
	control     = regexp.MustCompile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")
	goodStatus  = regexp.MustCompile(`^HTTP/1\.[01] [1-9][0-9]{2}( |\r?\n|$)`)
	looseStatus = regexp.MustCompile(`^HTTP/1\.[0-9] +[1-9][0-9]{2}( |\r?\n|$)`)
	goodField   = regexp.MustCompile("^[!#$%&'*+\\-.^_`|~0-9A-Za-z]+:")
	goodLength  = regexp.MustCompile(`^[0-9]{1,18}$`)
	chunkSizes  = regexp.MustCompile(`(?m)^\s*0*([0-9a-fA-F]{7,})[ \t]*(;.*)?\r?$`)
	interimLn   = regexp.MustCompile(`^\s*HTTP/[0-9.]+ +1(0[02-9]|[1-9][0-9])`)
)

func shapeOf(answer string) shape {
	var s shape
	rest, final := answer, ""
	for {
		var head string
		head, rest = splitHead(rest)
		s.head += head
		final = head
		if !interimLn.MatchString(head) || rest == "" {
			break
		}
	}
	s.http10 = strings.HasPrefix(final, "HTTP/1.0")
	for line := range strings.SplitSeq(foldedEnd.ReplaceAllString(final, " "), "\n") {
		name, value, _ := strings.Cut(line, ":")
		value = strings.Trim(value, " \t\r")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "content-length":
			s.lengths = append(s.lengths, value)
		case "transfer-encoding":
			s.te = append(s.te, value)
		case "content-encoding":
			s.coding += value
			s.codings++
		}
	}
	s.framing = s.head
	s.chunked = len(s.te) > 0
	if s.chunked {
		s.framing += rest
	}
	return s
}

// splitHead cuts a head off, by any end of line.
func splitHead(text string) (head, rest string) {
	end := len(text)
	for _, empty := range []string{"\n\r\n", "\n\n", "\n\r\r\n"} {
		if i := strings.Index(text, empty); i >= 0 {
			end = min(end, i+len(empty))
		}
	}
	return text[:end], text[end:]
}

// badNames reports whether a line that should begin with a field's name does not: in a
// head, or in a trailer section.
func (s shape) badNames() bool {
	status := true // the next line that is not empty is a status line
	for line := range strings.SplitSeq(s.head, "\n") {
		line = strings.TrimSuffix(line, "\r")
		switch {
		case line == "":
			status = true
		case status:
			status = false
		case !goodField.MatchString(line):
			return true
		}
	}
	trailer := ""
	if body := s.framing[len(s.head):]; s.chunked {
		if at := regexp.MustCompile(`(?m)^0+[ \t]*(;.*)?\r?\n`).FindStringIndex(body); at != nil {
			trailer, _ = splitHead("\n" + body[at[1]:])
		}
	}
	for line := range strings.SplitSeq(trailer, "\n") {
		if line = strings.TrimSuffix(line, "\r"); line != "" && !goodField.MatchString(line) {
			return true
		}
	}
	return false
}

func (s shape) badStatus() bool { return s.hasStatusBut(goodStatus) }

// worseStatus reports whether not even a lenient reader knows one by its status line.
func (s shape) worseStatus() bool { return s.hasStatusBut(looseStatus) }

func (s shape) hasStatusBut(good *regexp.Regexp) bool {
	rest := s.head
	for rest != "" {
		var head string
		if head, rest = splitHead(rest); !good.MatchString(head) {
			return true
		}
	}
	return false
}

func (s shape) badLengths() bool { return len(s.lengths) > 1 || s.worseLengths() }

// worseLengths reports whether one of the lengths is none.
func (s shape) worseLengths() bool {
	return slices.ContainsFunc(s.lengths, func(l string) bool { return !goodLength.MatchString(l) })
}

func (s shape) badCodings() bool {
	for _, te := range s.te {
		if !strings.EqualFold(te, "chunked") {
			return true
		}
	}
	return len(s.te) > 1 || len(s.te) == 1 && (s.http10 || len(s.lengths) > 0)
}

// hugeBody reports whether a length or a chunk is larger than any body may be.
func (s shape) hugeBody() bool {
	const most = 16 << 20
	for _, l := range s.lengths {
		if n, err := strconv.ParseInt(l, 10, 64); err == nil && n > most || len(l) > 18 {
			return true
		}
	}
	for _, size := range chunkSizes.FindAllStringSubmatch(s.framing[len(s.head):], -1) {
		if n, err := strconv.ParseUint(size[1], 16, 64); err != nil || n > most {
			return true
		}
	}
	return false
}
