package strictjson

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type length time.Duration

func (l *length) UnmarshalJSON(text []byte) error {
	var s string
	if json.Unmarshal(text, &s) != nil {
		return fmt.Errorf("want a text")
	}
	d, err := time.ParseDuration(s)
	*l = length(d)
	return err
}

type document struct {
	Name  string            `json:"name"`
	Count uint64            `json:"count"`
	Parts []part            `json:"parts"`
	By    map[string]part   `json:"by"`
	Texts map[string]string `json:"texts"`
	Deep  *part             `json:"deep"`
	Raw   json.RawMessage   `json:"raw"`
}

type part struct {
	For length `json:"for"`
	On  bool   `json:"on"`
	tail
}

type tail struct {
	IDs []int `json:"ids"`
}

func TestADocumentIsReadAsItIsMeant(t *testing.T) {
	var d document
	require.NoError(t, Decode("f", []byte(` {"name":"a","count":3,"parts":[{"for":"1s"},{"on":true,"ids":[1,2]}],
		"by":{"x":{"on":true}},"texts":{"k":"v"},"deep":{"for":"2s"},"raw":[1, {"a":2}]} `), &d))
	require.Equal(t, document{
		Name: "a", Count: 3, Parts: []part{{For: length(time.Second)}, {On: true, tail: tail{IDs: []int{1, 2}}}},
		By: map[string]part{"x": {On: true}}, Texts: map[string]string{"k": "v"}, Deep: &part{For: length(2 * time.Second)}, Raw: json.RawMessage(`[1, {"a":2}]`),
	}, d)
}

func TestEveryMistakeHasItsPathAndItsLine(t *testing.T) {
	var d document
	err := Decode("f.json", []byte(`{
  "name": 5,
  "Name": "x",
  "count": -1,
  "parts": [
    {"for": "never"},
    {"om": true, "on": "yes",
     "ids": [1, "2"]}
  ],
  "by": {"x": 3},
  "count": 4
}
{}`), &d)
	var typed *Error
	require.ErrorAs(t, err, &typed)
	var places []string
	for _, m := range typed.Mistakes {
		places = append(places, fmt.Sprintf("%d %s", m.Line, m.Path))
	}
	require.ElementsMatch(t, []string{"13 ", "2 name", "3 Name", "4 count", "6 parts[0].for", "7 parts[1].om", "7 parts[1].on", "8 parts[1].ids[1]", "10 by.x", "11 count"}, places)
	require.ErrorContains(t, err, "f.json:2: name: number where a text is wanted")
	require.ErrorContains(t, err, "f.json:7: parts[1].om: unknown name; want one of for, on, ids")
	require.NotContains(t, err.Error(), "\n")
}

func TestWhatIsNoJSONIsToldByItsLine(t *testing.T) {
	for text, says := range map[string]string{"": "f:1:", "{\n\"a\"": "f:2:", "{\n\n x}": "f:3:", "[": "f:1:"} {
		var d document
		require.ErrorContains(t, Decode("f", []byte(text), &d), says, text)
	}
	var d document
	require.ErrorContains(t, Decode("f", []byte("[]"), &d), "want an object")
	many := "{" + strings.Repeat(`"x":1,`, 100) + `"y":2}`
	var typed *Error
	require.ErrorAs(t, Decode("f", []byte(many), &d), &typed)
	require.LessOrEqual(t, len(typed.Mistakes), mostMistakes)
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"name":"a","parts":[{"for":"1s","ids":[1]}],"by":{"x":{}},"deep":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var d document
		if Decode("f", text, &d) != nil {
			return
		}
		// what is read strictly is read alike by encoding/json
		var other document
		require.NoError(t, json.Unmarshal(text, &other))
		require.Equal(t, fmt.Sprint(other.Name, other.Count, len(other.Parts), len(other.By)), fmt.Sprint(d.Name, d.Count, len(d.Parts), len(d.By)))
	})
}
