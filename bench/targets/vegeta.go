package targets

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/sluice-engine/sluice/internal/strictjson"
	"golang.org/x/net/http/httpguts"
)

// beginsTarget is a line of method and URL. No line of a header looks like it, for the name of
// one has no blank in it.
var beginsTarget = regexp.MustCompile(`^[A-Z]+[ \t]+\S`)

func (s *source) vegeta() (*Read, error) {
	var steps []Step
	var current *Step // whose header is being read
	number := 0
	for text := range bytes.Lines(s.text) {
		number++
		line := strings.TrimSpace(string(text))
		switch {
		case line == "":
			current = nil
		case line[0] == '#':
		case beginsTarget.MatchString(line):
			method, url, _ := strings.Cut(line, " ")
			if i := strings.IndexByte(line, '\t'); i >= 0 && i < len(method) {
				method, url = line[:i], line[i:]
			}
			steps = append(steps, Step{Method: method, URL: strings.TrimSpace(url)})
			current = &steps[len(steps)-1]
			if err := s.plausible(current.URL, number); err != nil {
				return nil, err
			}
		case current == nil:
			return nil, s.fail(number, "%.60q: want a method and a URL, such as GET https://example.com/", line)
		case line[0] == '@':
			body, err := s.open(line[1:], true)
			if err != nil {
				return nil, s.fail(number, "the body %.200q: %w", line[1:], withoutPath(err))
			}
			current.Body, current = body, nil
		default:
			if err := s.headerLine(current, line, number); err != nil {
				return nil, err
			}
		}
	}
	return &Read{Plan: inTurn(steps)}, nil
}

func (s *source) headerLine(step *Step, line string, number int) error {
	name, value, found := strings.Cut(line, ":")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !found || value == "" || !httpguts.ValidHeaderFieldName(name) {
		return s.fail(number, "%.40q is no line of a header, such as Accept: text/plain", name)
	}
	if step.Header == nil {
		step.Header = http.Header{}
	}
	step.Header[name] = append(step.Header[name], value) // as it is spelt: there are servers to whom that matters
	return nil
}

// plausible refuses what certainly is no URL; with a line, which Prepare does not know.
func (s *source) plausible(url string, line int) error {
	switch {
	case strings.Contains(url, "{{"):
		return nil
	case strings.HasPrefix(url, "/"):
		if s.Base == "" {
			return s.fail(line, "%.60q has no host, and there is no base to join it to", pathOf(url))
		}
		return nil
	}
	if err := checkURL(escape(url)); err != nil {
		return s.fail(line, "%w", err)
	}
	return nil
}

// jsonLine is a target of vegeta's JSON format, and more.
type jsonLine struct {
	Method    string     `json:"method"`
	URL       string     `json:"url"`
	Header    jsonHeader `json:"header"`
	Body      *string    `json:"body"` // base64
	Operation string     `json:"operation"`
	Limit     string     `json:"limit"`
	Account   string     `json:"account"`
	Key       string     `json:"key"`
	Priority  int        `json:"priority"`
	Sign      bool       `json:"sign"`
	Success   []int      `json:"success"`
	Literal   bool       `json:"literal"`
}

// jsonHeader is a header whose values are texts or lists of texts. Its names stay as they are spelt.
type jsonHeader http.Header

// UnmarshalJSON is part of json.Unmarshaler.
func (h *jsonHeader) UnmarshalJSON(text []byte) error {
	var values map[string]json.RawMessage
	if json.Unmarshal(text, &values) != nil {
		return errors.New("want an object of names and texts, or lists of texts")
	}
	read := http.Header{}
	for name, raw := range values {
		var one string
		var many []string
		if json.Unmarshal(raw, &one) == nil && raw[0] == '"' {
			many = []string{one}
		} else if json.Unmarshal(raw, &many) != nil {
			return errors.New("want texts, or lists of texts, as values")
		}
		read[name] = many
	}
	*h = jsonHeader(read)
	return nil
}

func (s *source) jsonLines() (*Read, error) {
	var steps []Step
	number := 0
	for text := range bytes.Lines(s.text) {
		number++
		if text = bytes.TrimSpace(text); len(text) == 0 {
			continue
		}
		var line jsonLine
		if err := strictjson.Decode(s.name, text, &line); err != nil {
			return nil, s.fail(number, "%s", strings.Join(whys(err), "; "))
		}
		step, err := line.step()
		if err != nil {
			return nil, s.fail(number, "%w", err)
		}
		if err := s.plausible(step.URL, number); err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	return &Read{Plan: inTurn(steps)}, nil
}

// whys are the mistakes of a line, whose own number is told beside them.
func whys(err error) (texts []string) {
	var wrong *strictjson.Error
	if !errors.As(err, &wrong) {
		return []string{err.Error()}
	}
	for _, m := range wrong.Mistakes {
		if m.Path != "" {
			m.Why = m.Path + ": " + m.Why
		}
		texts = append(texts, m.Why)
	}
	return texts
}

func (l *jsonLine) step() (Step, error) {
	step := Step{
		Operation: l.Operation, Method: l.Method, URL: l.URL, Header: http.Header(l.Header), Limit: l.Limit,
		Account: l.Account, Key: l.Key, Priority: l.Priority, Sign: l.Sign, Success: l.Success, Literal: l.Literal,
	}
	if l.Method == "" || l.URL == "" {
		return step, errors.New("want a method and a url")
	}
	if l.Body != nil && *l.Body != "" {
		body, err := base64.StdEncoding.DecodeString(*l.Body)
		if err != nil {
			return step, errors.New("body: it is not base64")
		}
		step.Body = body
	}
	return step, nil
}
