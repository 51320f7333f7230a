package targets

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/sluice-engine/sluice/internal/percent"
)

// template is a text with places for values.
type template struct {
	parts []part
	size  int // of the literal texts
}

// part is a literal text, or the place of a value.
type part struct {
	literal string
	value   int // the slot of the value; -1 for a literal one
	name    string
	form    form
}

// form says how a value is written.
type form uint8

const (
	asIs    form = iota
	aURL         // the beginning of a URL, or all of it
	aHost        // within the host of a URL
	inURL        // percent-encoded
	aField       // in a header: checked
	inJSON       // within a text of JSON
	inAForm      // as the value of a form
)

var validName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// compile takes a text apart. slot says which slot a name has. A template without any name
// is nil.
func compile(text string, slot func(string) (int, error)) (*template, error) {
	t := &template{}
	for rest := text; ; {
		literal, after, found := strings.Cut(rest, "{{")
		if literal != "" {
			t.parts = append(t.parts, part{literal: literal, value: -1})
			t.size += len(literal)
		}
		if !found {
			break
		}
		name, behind, closed := strings.Cut(after, "}}")
		name = strings.TrimSpace(name)
		if !closed || !validName.MatchString(name) {
			return nil, fmt.Errorf("{{%.30q is no template: want {{name}}, or literal to send it as it is", after)
		}
		at, err := slot(name)
		if err != nil {
			return nil, err
		}
		t.parts = append(t.parts, part{value: at, name: name})
		rest = behind
	}
	for _, p := range t.parts {
		if p.value >= 0 {
			return t, nil
		}
	}
	return nil, nil
}

// setAll gives every value the same form.
func (t *template) setAll(f form) {
	for i := range t.parts {
		t.parts[i].form = f
	}
}

// setURL gives each value the form of its place in a URL, and encodes what is literal in its
// path and its query.
func (t *template) setURL() {
	before := ""
	for i := range t.parts {
		p := &t.parts[i]
		if p.value < 0 {
			before += p.literal
			if at := max(authorityEnd(before)-(len(before)-len(p.literal)), 0); at < len(p.literal) {
				p.literal = p.literal[:at] + percent.EscapeTarget(p.literal[at:])
			}
			continue
		}
		switch _, rest, absolute := strings.Cut(before, "://"); {
		case before == "" || strings.Trim(before, "\x00") == "" && !absolute:
			p.form = aURL
		case absolute && !strings.ContainsAny(rest, "/?#"):
			p.form = aHost
		default:
			p.form = inURL
		}
		before += "\x00" // which ends nothing
	}
}

// setJSON gives the values within texts of a JSON body the form of such.
func (t *template) setJSON() {
	inside, escaped := false, false
	for i := range t.parts {
		p := &t.parts[i]
		if p.value >= 0 {
			if inside {
				p.form = inJSON
			}
			continue
		}
		for _, c := range []byte(p.literal) {
			switch {
			case escaped:
				escaped = false
			case c == '\\':
				escaped = inside
			case c == '"':
				inside = !inside
			}
		}
	}
}

// fill appends the text with its values. If one cannot stand where it should, its name and why
// come back.
func (t *template) fill(dst []byte, values []string) (filled []byte, name, why string) {
	for i := range t.parts {
		p := &t.parts[i]
		if p.value < 0 {
			dst = append(dst, p.literal...)
			continue
		}
		value := values[p.value]
		if why := p.form.refuses(value); why != "" {
			return nil, p.name, why
		}
		dst = p.form.append(dst, value)
	}
	return dst, "", ""
}

// room is how long a filled text is likely to be.
func (t *template) room() int { return t.size + 24*len(t.parts) }

// refuses says why a value cannot have the form.
func (f form) refuses(value string) string {
	switch f {
	case aURL:
		for _, c := range []byte(value) {
			if c <= ' ' || c == 0x7f {
				return "it has a blank or a control character"
			}
		}
	case aHost:
		if value == "" {
			return "it is empty, and a host is not"
		}
		for _, c := range []byte(value) {
			if !isUnreserved(c) && c != ':' && c != '[' && c != ']' {
				return "it has what no host has"
			}
		}
	case aField:
		for _, c := range []byte(value) {
			if c < ' ' && c != '\t' || c == 0x7f {
				return "it has a line break or another control character"
			}
		}
	}
	return ""
}

const upperHex = "0123456789ABCDEF"

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

func (f form) append(dst []byte, value string) []byte {
	switch f {
	case inURL, inAForm:
		for _, c := range []byte(value) {
			switch {
			case isUnreserved(c):
				dst = append(dst, c)
			case c == ' ' && f == inAForm:
				dst = append(dst, '+')
			default:
				dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
			}
		}
		return dst
	case inJSON:
		return appendJSON(dst, value)
	}
	return append(dst, value...)
}

// appendJSON appends what stands between the quotes of a JSON text.
func appendJSON(dst []byte, value string) []byte {
	plain := utf8.ValidString(value)
	for i := 0; i < len(value) && plain; i++ {
		plain = value[i] >= ' ' && value[i] != '"' && value[i] != '\\'
	}
	if plain {
		return append(dst, value...)
	}
	quoted, _ := json.Marshal(value)
	return append(dst, quoted[1:len(quoted)-1]...)
}
