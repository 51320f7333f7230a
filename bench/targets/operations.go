package targets

import (
	"strings"
	"unicode"
)

// MaxOperations is how many operations a plan has at most: each is measured for itself, and
// that takes memory. If steps without a name would make more, each is named by its method and
// its path with "…" in place of all parts that have a digit in them; or else by its method and
// the first part of its path; or else by its method alone.
const MaxOperations = 100

// name gives every step its operation.
func (p *preparing) name() {
	for coarseness := range 4 {
		p.operations, p.indices = nil, map[string]int{}
		for c := range p.chains {
			for s := range p.chains[c].steps {
				p.chains[c].steps[s].name(p, p.plan.Chains[c].Steps[s], coarseness)
			}
		}
		if len(p.operations) <= MaxOperations {
			return
		}
	}
	p.checkOperations()
}

func (p *preparing) checkOperations() {
	if n := len(p.operations); n > MaxOperations {
		p.add("%d operations are more than %d, the most that are told apart: give some of them the same name", n, MaxOperations)
	}
}

func (s *step) name(p *preparing, given Step, coarseness int) {
	if s.Operation = given.Operation; s.Operation == "" {
		s.Operation = s.Method
		if coarseness < 3 {
			s.Operation += " " + coarse(pathOf(given.URL), coarseness)
		}
	}
	s.request.Operation = p.operation(s.Operation)
}

// operation returns the index of a name.
func (p *Prepared) operation(name string) int {
	at, known := p.indices[name]
	if !known {
		at = len(p.operations)
		p.indices[name] = at
		p.operations = append(p.operations, name)
	}
	return at
}

// pathOf is the path of a URL as it is written, which may have templates in it.
func pathOf(text string) string {
	if _, rest, absolute := strings.Cut(text, "://"); absolute {
		text = rest
		if i := strings.IndexAny(text, "/?#"); i >= 0 {
			text = text[i:]
		} else {
			text = ""
		}
	} else if strings.HasPrefix(text, "{{") {
		first, rest, _ := strings.Cut(text, "}}")
		if text = rest; !strings.HasPrefix(rest, "/") {
			return first + "}}" // whose path is not known before
		}
	}
	text, _, _ = strings.Cut(text, "#")
	text, _, _ = strings.Cut(text, "?")
	if text == "" {
		return "/"
	}
	return text
}

func coarse(path string, coarseness int) string {
	if coarseness == 0 {
		return path
	}
	parts := strings.Split(path, "/")
	if coarseness == 2 && len(parts) > 2 {
		return "/" + parts[1] + "/…"
	}
	for i, part := range parts {
		if strings.ContainsFunc(part, unicode.IsDigit) && !version(part) {
			parts[i] = "…"
		}
	}
	return strings.Join(parts, "/")
}

// version says whether a part of a path is one such as "v3".
func version(part string) bool {
	return len(part) <= 3 && part[0] == 'v' && strings.Trim(part[1:], "0123456789") == ""
}
