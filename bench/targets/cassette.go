package targets

import (
	"encoding/base64"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// cassetteFile is what go-vcr, VCR and vcrpy write, as far as it is looked at.
type cassetteFile struct {
	Interactions []yaml.Node `yaml:"interactions"`
	VCR          []yaml.Node `yaml:"http_interactions"`
}

type interaction struct {
	Request struct {
		Method  string    `yaml:"method"`
		URL     string    `yaml:"url"` // go-vcr
		URI     string    `yaml:"uri"` // VCR and vcrpy
		Body    yaml.Node `yaml:"body"`
		Headers yaml.Node `yaml:"headers"`
	} `yaml:"request"`
	Response struct {
		Duration string `yaml:"duration"` // go-vcr, of version 3 on
	} `yaml:"response"`
	RecordedAt string `yaml:"recorded_at"` // VCR
}

func (s *source) cassette() (*Read, error) {
	var file cassetteFile
	if err := yaml.Unmarshal(s.text, &file); err != nil {
		return nil, s.yamlError(err)
	}
	r := &recording{source: s}
	var ended time.Duration // of the interactions before, if each began when the other had ended
	known := true
	for _, node := range append(file.Interactions, file.VCR...) {
		var one interaction
		if err := node.Decode(&one); err != nil {
			return nil, s.yamlError(err)
		}
		e, err := s.interaction(&one, node.Line)
		if err != nil {
			return nil, err
		}
		duration, err := took(one.Response.Duration)
		if known = known && err == nil && duration >= 0 && ended+duration >= ended; known && e.at.IsZero() {
			e.at = time.Unix(0, 0).Add(ended)
			ended += duration
		}
		if err := r.take(e, node.Line); err != nil {
			return nil, err
		}
	}
	if known && ended == 0 && len(r.exchanges) > 1 { // of a recorder that had no time to tell
		for i := range r.exchanges {
			r.exchanges[i].at = time.Time{}
		}
	}
	read := r.read()
	if known && read.Recorded != nil {
		read.Notes = append(read.Notes, "instants by the durations of the answers, as if each request began when the one before had ended")
	}
	return read, nil
}

// took reads how long an answer took: as YAML has it, "83.9ms", or as JSON has it, in nanoseconds.
func took(text string) (time.Duration, error) {
	if nanoseconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Duration(nanoseconds), nil
	}
	return time.ParseDuration(text)
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

// yamlError has the line apart from the text, and nothing of the file's content.
func (s *source) yamlError(err error) error {
	line := 0
	if found := yamlLine.FindStringSubmatch(err.Error()); found != nil {
		line, _ = strconv.Atoi(found[1])
	}
	why, _, _ := strings.Cut(strings.TrimPrefix(yamlLine.ReplaceAllString(err.Error(), ""), "yaml: "), "`")
	return s.fail(line, "it is no cassette: %.200q", strings.TrimSpace(why))
}

func (s *source) interaction(one *interaction, line int) (e exchange, err error) {
	e.Method, e.URL = one.Request.Method, one.Request.URL
	if e.URL == "" {
		e.URL = one.Request.URI
	}
	if e.URL == "" {
		return e, s.fail(line, "the interaction has no request with a url")
	}
	if e.Method == "" {
		e.Method = http.MethodGet
	}
	if e.Header, err = s.yamlHeader(&one.Request.Headers); err != nil {
		return e, err
	}
	if e.Body, err = s.yamlBody(&one.Request.Body); err != nil {
		return e, err
	}
	if one.RecordedAt != "" {
		for _, layout := range []string{http.TimeFormat, time.RFC1123, time.RFC1123Z, time.RFC3339Nano} {
			if at, err := time.Parse(layout, one.RecordedAt); err == nil {
				e.at = at
				return e, nil
			}
		}
		return e, s.fail(line, "recorded_at %.40q is no time that is understood", one.RecordedAt)
	}
	return e, nil
}

// yamlHeader reads a header whose values are texts or lists of them.
func (s *source) yamlHeader(node *yaml.Node) (http.Header, error) {
	header := http.Header{}
	if node.Kind == 0 || node.Tag == "!!null" {
		return header, nil
	}
	var values map[string]yaml.Node
	if err := node.Decode(&values); err != nil {
		return nil, s.yamlError(err)
	}
	for name, value := range values {
		var many []string
		if value.Kind == yaml.ScalarNode {
			many = []string{value.Value}
		} else if err := value.Decode(&many); err != nil {
			return nil, s.yamlError(err)
		}
		for _, text := range many {
			header.Add(name, text)
		}
	}
	return header, nil
}

// yamlBody reads a body: a text, as go-vcr and vcrpy have it, or VCR's object with a string, or
// with one in base64.
func (s *source) yamlBody(node *yaml.Node) ([]byte, error) {
	switch {
	case node.Kind == 0 || node.Tag == "!!null":
		return nil, nil
	case node.Kind == yaml.MappingNode:
		var body struct {
			String string `yaml:"string"`
			Base64 string `yaml:"base64_string"`
		}
		if err := node.Decode(&body); err != nil {
			return nil, s.yamlError(err)
		}
		if body.Base64 == "" {
			return []byte(body.String), nil
		}
		decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(body.Base64), ""))
		if err != nil {
			return nil, s.fail(node.Line, "the body is not base64")
		}
		return decoded, nil
	}
	var text string
	if err := node.Decode(&text); err != nil { // which decodes what is tagged as binary
		return nil, s.yamlError(err)
	}
	if text == "" {
		return nil, nil
	}
	return []byte(text), nil
}
