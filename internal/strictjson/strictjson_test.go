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
}

func TestAByteOrderMarkIsPassedOver(t *testing.T) {
	var d document
	require.NoError(t, Decode("f", []byte(Mark+"{}"), &d))
	require.ErrorContains(t, Decode("f", []byte(Mark+"{\n\n x}"), &d), "f:3:")
	require.ErrorContains(t, Decode("f", []byte("\xff\xfe{\x00"), &d), "f:1: it is written in UTF-16")
}

func TestOfManyMistakesIsToldHowManyMoreThereAre(t *testing.T) {
	var d document
	var typed *Error
	for text, says := range map[string]string{
		"{" + strings.Repeat(`"x":1,`, 100) + "\n" + `"y":2}`:                          "f:1: and 81 more",
		`{"parts":[` + strings.Repeat("{\n\"om\":1},", 20) + "\n" + `{"om":1}],"x":1}`: "f:22: and 2 more",
	} {
		require.ErrorAs(t, Decode("f", []byte(text), &d), &typed)
		require.Len(t, typed.Mistakes, mostMistakes+1)
		require.Equal(t, says, typed.Mistakes[mostMistakes].String())
	}
	require.ErrorAs(t, Decode("f", []byte("{"+strings.Repeat(`"x":1,`, mostMistakes-1)+`"y":2}`), &d), &typed)
	require.Len(t, typed.Mistakes, mostMistakes, "all of them are told")
}

func TestANullInAListIsAMistake(t *testing.T) {
	var d document
	err := Decode("f", []byte(`{"parts":[{},null,{"ids":[1,null]}],"by":{"x":null},"deep":null}`), &d)
	require.EqualError(t, err, "f:1: parts[1]: null stands for nothing in a list; f:1: parts[2].ids[1]: null stands for nothing in a list")

	var raw struct {
		Each []json.RawMessage `json:"each"`
	}
	require.NoError(t, Decode("f", []byte(`{"each":[1, null]}`), &raw))
	require.Equal(t, []json.RawMessage{json.RawMessage("1"), json.RawMessage("null")}, raw.Each)
}

func TestAPartOfADocumentIsReadAndTheRestLeftAlone(t *testing.T) {
	var d document
	require.NoError(t, DecodePart("f", []byte(`{"other":1,"other":{"a":1,"a":2},"name":"a","parts":[{"on":true,"size":3}]}`), &d))
	require.Equal(t, document{Name: "a", Parts: []part{{On: true}}}, d)

	err := DecodePart("f", []byte(`{"NAME":"a","count":1,"count":2,"parts":[{"ON":true,"IDs":[],"for":3}],"by":{"x":{},"x":{}}}`), &d)
	for _, says := range []string{
		"f:1: NAME: it is spelt name", "count: it is given twice", "parts[0].ON: it is spelt on", "parts[0].IDs: it is spelt ids",
		"parts[0].for: want a text", "by.x: it is given twice",
	} {
		require.ErrorContains(t, err, says)
	}
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
