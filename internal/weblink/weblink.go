// Package weblink reads the links of Link header lines (RFC 8288).
//
// Servers write them by hand, and so it reads as RFC 8288, appendix B.2, says that a
// reader should: what is no link ends the line, and what was read before it counts; blanks
// may stand anywhere; a parameter may be a token or a quoted string, and of two that say
// the same the first counts.
package weblink

import "strings"

// Link is one link of a header.
type Link struct {
	Target string // as it stands between the angle brackets, without blanks around it
	Rel    string // its relations, separated by blanks; empty if it says none
	// Anchor is what the link leads from, instead of the page that has it; Anchored tells
	// an empty one, which is that page, from none.
	Anchor   string
	Anchored bool
}

// Is reports whether a relation, such as "next", is among those of the link.
func (l Link) Is(relation string) bool {
	for one := range strings.FieldsSeq(l.Rel) {
		if strings.EqualFold(one, relation) {
			return true
		}
	}
	return false
}

// Parse returns the links of some lines, in order. Each is the value of one Link line,
// and may have several.
func Parse(lines ...string) []Link {
	var links []Link
	for _, line := range lines {
		rest := line
		for {
			var link Link
			var ok bool
			rest = strings.TrimLeft(rest, blanks+",")
			if link, rest, ok = one(rest); !ok {
				break
			}
			links = append(links, link)
		}
	}
	return links
}

const blanks = " \t"

// one reads one link from the beginning of a text, and returns what follows it.
func one(text string) (link Link, rest string, ok bool) {
	if text == "" || text[0] != '<' {
		return link, text, false
	}
	target, rest, closed := strings.Cut(text[1:], ">")
	if !closed {
		return link, text, false
	}
	link.Target = strings.Trim(target, blanks)
	said := map[string]bool{}
	for {
		rest = strings.TrimLeft(rest, blanks)
		if rest == "" || rest[0] != ';' {
			return link, rest, true
		}
		var name, value string
		name, value, rest = parameter(rest[1:])
		if said[name] {
			continue // the first counts
		}
		said[name] = true
		switch name {
		case "rel":
			link.Rel = value
		case "anchor":
			link.Anchor, link.Anchored = value, true
		}
	}
}

// parameter reads "name=value", or a name alone, from the beginning of a text.
func parameter(text string) (name, value, rest string) {
	text = strings.TrimLeft(text, blanks)
	end := strings.IndexAny(text, blanks+"=;,")
	if end < 0 {
		return strings.ToLower(text), "", ""
	}
	name, rest = strings.ToLower(text[:end]), strings.TrimLeft(text[end:], blanks)
	if rest == "" || rest[0] != '=' {
		return name, "", rest
	}
	rest = strings.TrimLeft(rest[1:], blanks)
	if rest != "" && rest[0] == '"' {
		value, rest = quoted(rest)
		return name, value, rest
	}
	if end = strings.IndexAny(rest, ";,"); end < 0 {
		end = len(rest)
	}
	return name, strings.TrimRight(rest[:end], blanks), rest[end:]
}

// quoted reads a quoted string, which a text begins with. One without an end goes to the
// end of the text.
func quoted(text string) (value, rest string) {
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return b.String(), text[i+1:]
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}
