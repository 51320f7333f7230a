package targets

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/internal/jsonpath"
)

// Session is the way of one arrival through the steps of its chain. Its zero value is ready for
// Begin, also for the next arrival when one has ended; it is for one goroutine at a time. A
// step without templates costs no memory.
type Session struct {
	prepared *Prepared
	steps    []step
	next     int  // the step that Next returns
	open     bool // the request of step next-1 has had no answer
	values   []string
	request  Request
	n        uint64
}

// Begin makes s that of arrival n, counted from 0 on all machines together.
func (p *Prepared) Begin(s *Session, n uint64) {
	s.prepared, s.n, s.next, s.open = p, n, 0, false
	if p.plan.Generator != nil {
		s.steps = nil
		return
	}
	var at int
	if order := p.plan.Order; order != nil {
		at = order[n%uint64(len(order))]
	} else {
		at = p.picker.pick(n)
	}
	c := &p.chains[at]
	s.steps = c.steps
	s.values = s.values[:0]
	if data := p.plan.Data; data != nil {
		s.values = append(s.values, data.Rows[rowOf(n, len(p.plan.Order), len(data.Rows))]...)
	}
	for len(s.values) < c.slots {
		s.values = append(s.values, "")
	}
}

// Next returns the next request, false if there is none: after the last step, and after one
// whose answer was no success, lacked something, or was not handed to Answered. An error, of type
// *FillError unless it is a Generator's, says that the request cannot be made, and ends the session.
func (s *Session) Next() (r *Request, more bool, err error) {
	if s.open {
		s.steps, s.open = nil, false
		return nil, false, nil
	}
	if s.prepared.plan.Generator != nil {
		return s.generate()
	}
	if s.next >= len(s.steps) {
		return nil, false, nil
	}
	at := &s.steps[s.next]
	s.request = at.request
	if err := at.fill(&s.request, s.values, s.prepared.plan.Base); err != nil {
		s.steps = nil
		return nil, false, err
	}
	s.next++
	s.open = true
	return &s.request, true, nil
}

func (s *Session) generate() (*Request, bool, error) {
	if s.next > 0 {
		return nil, false, nil
	}
	s.next, s.open = 1, true
	made, err := s.prepared.plan.Generator.Step(s.n)
	if err != nil {
		return nil, false, err
	}
	operation, known := s.prepared.indices[made.Operation]
	if !known && made.Operation != "" {
		return nil, false, fmt.Errorf("targets: the generator's operation %.40q is none of those that it named", made.Operation)
	}
	s.request = Request{
		Step: made, Method: made.Method, URL: made.URL, Header: made.Header, Body: made.Body, Account: made.Account, Key: made.Key,
		Operation: operation, Last: true,
	}
	if made.Method == "" {
		s.request.Method = http.MethodGet
	}
	return &s.request, true, nil
}

// Answered keeps of the answer to the last request what its step says. Header and body are looked
// at only if the request has KeepBody. A status that is no success ends the session, and so does
// an answer that lacks what is to be saved, which is a *SaveError.
func (s *Session) Answered(status int, header http.Header, body []byte) error {
	s.open = false
	if s.next == 0 || s.next > len(s.steps) { // no request, a generated one, or one of a session that has ended
		return nil
	}
	at := &s.steps[s.next-1]
	if !at.Succeeded(status) {
		s.steps = nil
		return nil
	}
	for i := range at.saves {
		kept := &at.saves[i]
		value, found := kept.find(header, body)
		if !found {
			s.steps = nil
			return &SaveError{Operation: at.Operation, Number: at.request.Number, Name: kept.Name, From: kept.from(), Status: status}
		}
		s.values[kept.slot] = value
	}
	return nil
}

// fill fills a request's templates in.
func (s *step) fill(r *Request, values []string, base string) error {
	if s.url != nil {
		filled, err := s.text(s.url, "URL", values)
		if err != nil {
			return err
		}
		if s.url.parts[0].form == aURL && s.url.parts[0].value >= 0 {
			if len(filled) > 0 && filled[0] == '/' {
				filled = strings.TrimSuffix(base, "/") + filled
			}
			if checkURL(filled) != nil {
				return &FillError{s.Operation, s.request.Number, "URL", s.url.parts[0].name, "it is not the beginning of a URL"}
			}
		}
		r.URL = filled
	}
	for _, part := range []struct {
		*template
		where string
		into  *string
	}{{s.account, "account", &r.Account}, {s.key, "key", &r.Key}} {
		if part.template != nil {
			var err error
			if *part.into, err = s.text(part.template, part.where, values); err != nil {
				return err
			}
		}
	}
	if s.body != nil {
		r.Body, _, _ = s.body.fill(make([]byte, 0, s.body.room()), values) // no value is refused there
	}
	return s.fillHeader(r, values)
}

func (s *step) fillHeader(r *Request, values []string) error {
	if len(s.header) == 0 {
		return nil
	}
	r.Header = maps.Clone(s.Header)
	for i, f := range s.header {
		text, err := s.text(f.text, "header "+f.name, values)
		if err != nil {
			return err
		}
		if i == 0 || s.header[i-1].name != f.name {
			r.Header[f.name] = slices.Clone(r.Header[f.name])
		}
		r.Header[f.name][f.index] = text
	}
	return nil
}

func (s *step) text(t *template, where string, values []string) (string, error) {
	filled, name, why := t.fill(make([]byte, 0, t.room()), values)
	if why != "" {
		return "", &FillError{s.Operation, s.request.Number, where, name, why}
	}
	return string(filled), nil
}

// save is a Save with its expression compiled, and the slot that it fills.
type save struct {
	Save
	slot    int
	pattern *regexp.Regexp // nil if there is none
}

func (s *save) find(header http.Header, body []byte) (value string, found bool) {
	switch {
	case s.Header != "":
		for _, text := range header.Values(s.Header) {
			if value, found := s.part(text); found {
				return value, true
			}
		}
		return "", false
	case s.JSON != "":
		raw, found := jsonpath.Find(body, s.JSON)
		if !found || string(raw) == "null" {
			return "", false
		}
		if text, plain := jsonpath.Text(raw); plain {
			raw = text
		}
		return s.part(string(raw)) // of an object or a list: all of it, as it stands
	}
	match := s.pattern.FindSubmatch(body)
	if match == nil {
		return "", false
	}
	return string(match[min(1, len(match)-1)]), true
}

// part is what the expression takes of a value.
func (s *save) part(text string) (value string, found bool) {
	if s.pattern == nil {
		return text, true
	}
	match := s.pattern.FindStringSubmatch(text)
	if match == nil {
		return "", false
	}
	return match[min(1, len(match)-1)], true
}

// from says where the value is looked for.
func (s *save) from() string {
	where := "text"
	switch {
	case s.Header != "":
		where = fmt.Sprintf("header %q", s.Header)
	case s.JSON != "":
		where = fmt.Sprintf("JSON value %q", s.JSON)
	}
	if s.Regexp != "" {
		where += fmt.Sprintf(" that matches %q", s.Regexp)
	}
	return where
}
