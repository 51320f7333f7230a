package targets

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/internal/strictjson"
)

// harEntry is what is looked at of an entry.
type harEntry struct {
	Started string `json:"startedDateTime"`
	Request *struct {
		Method  string    `json:"method"`
		URL     string    `json:"url"`
		Headers []harPair `json:"headers"`
		Body    *struct {
			MimeType string    `json:"mimeType"`
			Text     string    `json:"text"`
			Params   []harPair `json:"params"`
			Encoding string    `json:"encoding"`
		} `json:"postData"`
	} `json:"request"`
}

type harPair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (s *source) har() (*Read, error) {
	r := &recording{source: s}
	decoder := json.NewDecoder(bytes.NewReader(s.text))
	line := func() int { return strictjson.LineAt(s.text, int(decoder.InputOffset())) }
	if found, err := enter(decoder, "log", "entries"); err != nil {
		return nil, s.fail(line(), "it is not JSON: %w", err)
	} else if !found {
		return nil, s.fail(0, "it has no list log.entries, as a HAR has")
	}
	for decoder.More() {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return nil, s.fail(line(), "it is not JSON: %w", err)
		}
		at := strictjson.LineAt(s.text, int(decoder.InputOffset())-len(raw))
		if err := r.harEntry(raw, at); err != nil {
			return nil, err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return nil, s.fail(line(), "it is not JSON: %w", err)
	}
	return r.read(), nil
}

// enter goes to the list at the end of the names, and into it.
func enter(decoder *json.Decoder, names ...string) (found bool, err error) {
	for _, name := range names {
		if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
			return false, err
		}
		for {
			if !decoder.More() {
				return false, nil
			}
			token, err := decoder.Token()
			if err != nil {
				return false, err
			}
			if token == name {
				break
			}
			var passed json.RawMessage
			if err := decoder.Decode(&passed); err != nil {
				return false, err
			}
		}
	}
	token, err := decoder.Token()
	return token == json.Delim('['), err
}

func (r *recording) harEntry(raw []byte, line int) error {
	var entry harEntry
	if err := json.Unmarshal(raw, &entry); err != nil {
		return r.fail(line, "the entry: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if entry.Request == nil {
		return r.fail(line, "the entry has no request")
	}
	e := exchange{Step: Step{Method: entry.Request.Method, URL: entry.Request.URL, Header: http.Header{}}}
	for _, pair := range entry.Request.Headers {
		if !strings.HasPrefix(pair.Name, ":") {
			e.Header.Add(pair.Name, pair.Value)
		}
	}
	if entry.Started != "" {
		at, err := time.Parse(time.RFC3339Nano, entry.Started)
		if err != nil {
			return r.fail(line, "startedDateTime %.40q is no time of RFC 3339", entry.Started)
		}
		e.at = at
	}
	if body := entry.Request.Body; body != nil {
		switch {
		case body.Encoding == "base64":
			decoded, err := base64.StdEncoding.DecodeString(body.Text)
			if err != nil {
				return r.fail(line, "postData: it is not base64")
			}
			e.Body = decoded
		case body.Text == "" && len(body.Params) > 0:
			if kind, _, _ := strings.Cut(body.MimeType, ";"); kind != "application/x-www-form-urlencoded" {
				return r.fail(line, "postData of type %.60q has params and no text: the bytes that were sent are not known", body.MimeType)
			}
			e.Body = []byte(encodeForm(body.Params))
		default:
			e.Body = []byte(body.Text)
		}
		if len(e.Body) > 0 && e.Header.Get("Content-Type") == "" && body.MimeType != "" {
			e.Header.Set("Content-Type", body.MimeType)
		}
	}
	return r.take(e, line)
}

// encodeForm encodes parameters in their order.
func encodeForm(params []harPair) string {
	parts := make([]string, len(params))
	for i, p := range params {
		parts[i] = url.QueryEscape(p.Name) + "=" + url.QueryEscape(p.Value)
	}
	return strings.Join(parts, "&")
}
