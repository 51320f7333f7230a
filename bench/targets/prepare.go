package targets

import (
	"fmt"
	"math"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"
)

// Prepared is a plan that was checked and is ready to be sent. It is safe for concurrent use.
type Prepared struct {
	plan       Plan
	chains     []chain
	picker     *picker
	operations []string
	indices    map[string]int // of operations
}

// chain is a Chain whose templates have been read.
type chain struct {
	steps []step
	slots int // of values: first those of the row, then those that are saved
}

type step struct {
	Step
	templates
	request Request // as far as it is the same for all arrivals
	saves   []save
}

// templates of a step; those that are nil have no values in them.
type templates struct {
	url, body, account, key *template
	header                  []field
}

// field is a value of a header that is a template.
type field struct {
	name  string
	index int
	text  *template
}

// preparing collects what is wrong with a plan.
type preparing struct {
	*Prepared
	mistakes []string
}

func (p *preparing) add(format string, args ...any) {
	p.mistakes = append(p.mistakes, fmt.Sprintf(format, args...))
}

// Prepare checks the plan and makes it ready. It keeps the plan's slices and maps, which must
// not be changed any more. The error is of type *PlanError, and names every mistake.
func (p Plan) Prepare() (*Prepared, error) {
	ready := &preparing{Prepared: &Prepared{plan: p, indices: map[string]int{}}}
	ready.checkData()
	switch {
	case p.Generator != nil:
		ready.checkGenerator()
	case len(p.Chains) == 0:
		ready.add("chains: there is nothing to send")
	default:
		ready.readChains()
	}
	if len(ready.mistakes) > 0 {
		return nil, &PlanError{ready.mistakes}
	}
	return ready.Prepared, nil
}

// Operations are what steps are reported under, each once, in the order in which they come
// first. Request.Operation is an index of it.
func (p *Prepared) Operations() []string { return slices.Clone(p.operations) }

func (p *preparing) checkGenerator() {
	if len(p.plan.Chains) > 0 || p.plan.Order != nil || p.plan.Data != nil {
		p.add("a generator makes all that is sent: leave out chains, order and data")
	}
	if p.plan.Generator.Step == nil {
		p.add("generator: Step is nil")
	}
	if len(p.plan.Generator.Operations) == 0 {
		p.add("generator: Operations has no name to report under")
	}
	for _, name := range p.plan.Generator.Operations {
		p.operation(name)
	}
	p.checkOperations()
}

func (p *preparing) checkData() {
	data := p.plan.Data
	if data == nil {
		return
	}
	for i, name := range data.Columns {
		if !validName.MatchString(name) {
			p.add("data.columns[%d]: %.40q is no name: want letters, digits and any of _ - . behind a letter", i, name)
		}
		if slices.Index(data.Columns, name) < i {
			p.add("data.columns[%d]: %.40q is there twice", i, name)
		}
	}
	if len(data.Columns) == 0 {
		p.add("data.columns: there are none")
	}
	if len(data.Rows) == 0 {
		p.add("data.rows: there are none")
	}
	for i, row := range data.Rows {
		if len(row) != len(data.Columns) {
			p.add("data.rows[%d] has %d values for %d columns", i, len(row), len(data.Columns))
			return
		}
		if slices.ContainsFunc(row, isNotUTF8) {
			p.add("data.rows[%d]: a value is not UTF-8", i)
			return
		}
	}
}

func (p *preparing) readChains() {
	weights, sum := make([]uint64, len(p.plan.Chains)), uint64(0)
	p.chains = make([]chain, len(p.plan.Chains))
	for i, c := range p.plan.Chains {
		p.readChain(i, c)
		weights[i] = max(c.Weight, 1)
		if weights[i] > math.MaxUint32 {
			p.add("chains[%d].weight: %d is more than %d", i, c.Weight, math.MaxUint32)
			weights[i] = 1
		}
		sum += weights[i]
	}
	p.name()
	if p.plan.Order == nil {
		p.picker = newPicker(weights, p.plan.Seed)
		return
	}
	if sum > uint64(len(weights)) {
		p.add("order: it and weights exclude one another")
	}
	if len(p.plan.Order) == 0 {
		p.add("order: it is empty")
	}
	for i, index := range p.plan.Order {
		if index < 0 || index >= len(p.chains) {
			p.add("order[%d]: there is no chain %d of %d", i, index, len(p.chains))
			return
		}
	}
}

func (p *preparing) readChain(i int, c Chain) {
	if len(c.Steps) == 0 {
		p.add("chains[%d].steps: there are none", i)
	}
	names := &names{data: p.plan.Data}
	ready := &p.chains[i]
	ready.steps = make([]step, len(c.Steps))
	for j, given := range c.Steps {
		s := &ready.steps[j]
		s.Step = given
		at := fmt.Sprintf("chains[%d].steps[%d]", i, j)
		s.check(p, at)
		s.readTemplates(p, at, names)
		s.readSaves(p, at, names)
	}
	ready.slots = names.count()
	for j := range ready.steps {
		ready.steps[j].fix(j, j == len(ready.steps)-1)
	}
}

// names gives every value of a chain its slot: first come the columns.
type names struct {
	data  *Data
	saved []string
}

func (n *names) columns() int {
	if n.data == nil {
		return 0
	}
	return len(n.data.Columns)
}

func (n *names) count() int { return n.columns() + len(n.saved) }

// find returns the slot of a name that is known by now.
func (n *names) find(name string) (int, error) {
	if n.data != nil {
		if i := slices.Index(n.data.Columns, name); i >= 0 {
			return i, nil
		}
	}
	if i := slices.Index(n.saved, name); i >= 0 {
		return n.columns() + i, nil
	}
	return 0, fmt.Errorf("{{%s}} is neither a column of the data nor saved by an earlier step of the chain", name)
}

// isNotUTF8 says that a text would be another one after it went to another machine as JSON.
func isNotUTF8(text string) bool { return !utf8.ValidString(text) }

func (s *step) checkTexts(p *preparing, at string) {
	for _, part := range []struct{ name, text string }{
		{"operation", s.Operation}, {"url", s.URL}, {"limit", s.Limit}, {"account", s.Account}, {"key", s.Key},
	} {
		if isNotUTF8(part.text) {
			p.add("%s.%s: it is not UTF-8: write other bytes as %%XX", at, part.name) // it may be a secret
		}
	}
	for name, values := range s.Header {
		if slices.ContainsFunc(values, isNotUTF8) {
			p.add("%s.header.%s: a value is not UTF-8", at, name)
		}
	}
}

func (s *step) check(p *preparing, at string) {
	s.checkTexts(p, at)
	if s.Method == "" {
		s.Method = http.MethodGet
	}
	if !httpguts.ValidHeaderFieldName(s.Method) { // which is a token, as a method is
		p.add("%s.method: %.20q is no method", at, s.Method)
	}
	if strings.HasPrefix(s.URL, "/") {
		if s.URL = strings.TrimSuffix(p.plan.Base, "/") + s.URL; p.plan.Base == "" {
			p.add("%s.url: %.60q has no host, and there is no base to join it to", at, s.URL)
		}
	}
	for name, values := range s.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			p.add("%s.header: %.40q is no name of a header", at, name)
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				p.add("%s.header.%s: a value has a line break or another control character", at, name)
			}
		}
	}
	for _, status := range s.Success {
		if status < 100 || status > 599 {
			p.add("%s.success: %d is no status", at, status)
		}
	}
}

func (s *step) readTemplates(p *preparing, at string, names *names) {
	read := func(where, text string) *template {
		if s.Literal || !strings.Contains(text, "{{") {
			return nil
		}
		t, err := compile(text, names.find)
		if err != nil {
			p.add("%s.%s: %v", at, where, err)
		}
		return t
	}
	if s.url = read("url", s.URL); s.url != nil {
		s.url.setURL()
	} else if s.Literal || !strings.Contains(s.URL, "{{") {
		s.URL = escape(s.URL)
	}
	switch plain := s.url.harmless(s.URL); {
	case s.url == nil && !s.Literal && strings.Contains(s.URL, "{{"): // a mistake already
	case s.URL != "" && strings.HasPrefix(s.URL, "/"): // and so is this
	default:
		if err := checkURL(plain); err != nil {
			p.add("%s.url: %v", at, err)
		}
	}
	if s.body = read("body", string(s.Body)); s.body != nil {
		switch kind, _, _ := mime.ParseMediaType(contentType(s.Header)); {
		case kind == "application/json" || strings.HasSuffix(kind, "+json"):
			s.body.setJSON()
		case kind == "application/x-www-form-urlencoded":
			s.body.setAll(inAForm)
		}
	}
	s.account, s.key = read("account", s.Account), read("key", s.Key)
	for name, values := range s.Header {
		for i, value := range values {
			if t := read("header."+name, value); t != nil {
				t.setAll(aField)
				s.header = append(s.header, field{name, i, t})
			}
		}
	}
}

// harmless is the URL with something harmless in place of its values.
func (t *template) harmless(text string) string {
	if t == nil {
		return text
	}
	var b strings.Builder
	for i, p := range t.parts {
		switch {
		case p.value < 0:
			b.WriteString(p.literal)
		case p.form == aURL && i == 0:
			b.WriteString("http://x")
		case strings.HasSuffix(b.String(), ":"): // a port
			b.WriteString("1")
		default:
			b.WriteString("x")
		}
	}
	return b.String()
}

func (s *step) readSaves(p *preparing, at string, names *names) {
	for i, given := range s.Save {
		where := fmt.Sprintf("%s.save[%d]", at, i)
		kept := save{Save: given}
		switch {
		case !validName.MatchString(given.Name):
			p.add("%s.name: %.40q is no name: want letters, digits and any of _ - . behind a letter", where, given.Name)
		case names.data != nil && slices.Contains(names.data.Columns, given.Name):
			p.add("%s.name: %q is a column of the data already", where, given.Name)
		case !slices.Contains(names.saved, given.Name):
			names.saved = append(names.saved, given.Name)
		}
		if given.Header != "" && given.JSON != "" {
			p.add("%s: header and json exclude one another", where)
		} else if given.Header == "" && given.JSON == "" && given.Regexp == "" {
			p.add("%s: want one of header, json and regexp", where)
		}
		if given.Regexp != "" {
			var err error
			if kept.pattern, err = regexp.Compile(given.Regexp); err != nil {
				p.add("%s.regexp: %v", where, err)
			}
		}
		kept.slot, _ = names.find(given.Name)
		s.saves = append(s.saves, kept)
	}
}

// fix fills in what is the same for every arrival.
func (s *step) fix(number int, last bool) {
	s.request = Request{
		Step: &s.Step, Method: s.Method, URL: s.URL, Header: s.Header, Body: s.Body, Account: s.Account, Key: s.Key,
		KeepBody: len(s.saves) > 0, Number: number, Last: last,
	}
}

// contentType is the type of the body that a header tells, however the name is spelt.
func contentType(header http.Header) string {
	for name, values := range header {
		if strings.EqualFold(name, "Content-Type") && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}
