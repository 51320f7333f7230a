package targets

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/sluice-engine/sluice/internal/strictjson"
)

// chainsFile is the document of the format Chains.
type chainsFile struct {
	Base    string          `json:"base"`
	Data    string          `json:"data"`
	Chains  []chainEntry    `json:"chains"`
	Comment json.RawMessage `json:"comment"` // for people; not read
}

type chainEntry struct {
	Name    string          `json:"name"`
	Weight  uint64          `json:"weight"`
	Steps   []stepEntry     `json:"steps"`
	Comment json.RawMessage `json:"comment"`
}

type stepEntry struct {
	Operation  string          `json:"operation"`
	Method     string          `json:"method"`
	URL        string          `json:"url"`
	Header     jsonHeader      `json:"header"`
	Body       json.RawMessage `json:"body"`
	BodyBase64 string          `json:"body_base64"`
	BodyFile   string          `json:"body_file"`
	Literal    bool            `json:"literal"`
	Limit      string          `json:"limit"`
	Account    string          `json:"account"`
	Key        string          `json:"key"`
	Priority   int             `json:"priority"`
	Sign       bool            `json:"sign"`
	Save       []saveEntry     `json:"save"`
	Success    []int           `json:"success"`
	Comment    json.RawMessage `json:"comment"`
}

type saveEntry struct {
	Name   string `json:"name"`
	Header string `json:"header"`
	JSON   string `json:"json"`
	Regexp string `json:"regexp"`
}

func (s *source) chains() (*Read, error) {
	var file chainsFile
	if err := strictjson.Decode(s.name, s.text, &file); err != nil {
		return nil, err
	}
	read := &Read{Plan: Plan{Base: file.Base}}
	for i, entry := range file.Chains {
		chain := Chain{Name: entry.Name, Weight: entry.Weight}
		for j, given := range entry.Steps {
			step, err := s.stepEntry(given)
			if err != nil {
				return nil, s.fail(0, "chains[%d].steps[%d].%w", i, j, err)
			}
			chain.Steps = append(chain.Steps, step)
		}
		read.Plan.Chains = append(read.Plan.Chains, chain)
	}
	if file.Data != "" {
		text, err := s.open(file.Data, false)
		if err != nil {
			return nil, s.fail(0, "data: %.200q: %w", file.Data, err)
		}
		if read.Plan.Data, err = ParseData(file.Data, text); err != nil {
			return nil, err
		}
	}
	return read, nil
}

func (s *source) stepEntry(e stepEntry) (Step, error) {
	step := Step{
		Operation: e.Operation, Method: e.Method, URL: e.URL, Header: http.Header(e.Header), Literal: e.Literal, Limit: e.Limit,
		Account: e.Account, Key: e.Key, Priority: e.Priority, Sign: e.Sign, Success: e.Success,
	}
	for _, given := range e.Save {
		step.Save = append(step.Save, Save(given))
	}
	body, isJSON, err := s.body(e)
	step.Body = body
	if isJSON && contentType(step.Header) == "" {
		if step.Header == nil {
			step.Header = http.Header{}
		}
		step.Header.Set("Content-Type", "application/json")
	}
	if step.Method == "" && len(body) > 0 {
		step.Method = http.MethodPost
	}
	return step, err
}

// body is the body of a step, and whether it was written as JSON.
func (s *source) body(e stepEntry) (body []byte, isJSON bool, err error) {
	given := 0
	if e.Body != nil {
		given++
		var text string
		if e.Body[0] == '"' && json.Unmarshal(e.Body, &text) == nil {
			body = []byte(text)
		} else {
			var compact bytes.Buffer
			_ = json.Compact(&compact, e.Body) // which is JSON, since the document is
			body, isJSON = compact.Bytes(), true
		}
	}
	if e.BodyBase64 != "" {
		given++
		if body, err = base64.StdEncoding.DecodeString(e.BodyBase64); err != nil {
			return nil, false, errors.New("body_base64: it is not base64")
		}
	}
	if e.BodyFile != "" {
		given++
		if body, err = s.open(e.BodyFile, false); err != nil {
			return nil, false, &FileError{File: "body_file: " + e.BodyFile, Err: err}
		}
	}
	if given > 1 {
		return nil, false, errors.New("body, body_base64 and body_file exclude one another")
	}
	return body, isJSON, nil
}
