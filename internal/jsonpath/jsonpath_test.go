package jsonpath

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAValueIsFoundByItsPath(t *testing.T) {
	const document = ` {"code": -1021, "error" : {"code":"E1","":{"":7}}, "data":[{"ts":1},{"ts":2.5e3, "0":"zero"}, [true,null]],
		"\u0063ode\u0020\ud83d\ude00": "smile", "grün": "go", "10": {"0": "named"}, "empty": {}, "none": []} `
	for path, want := range map[string]string{
		"code": "-1021", "error.code": `"E1"`, "error": `{"code":"E1","":{"":7}}`, "error..": "7", "error.": `{"":7}`,
		"data.0.ts": "1", "data.1.ts": "2.5e3", "data.1.0": `"zero"`, "data.2.0": "true", "data.2.1": "null",
		"code 😀": `"smile"`, "grün": `"go"`, "10.0": `"named"`, "empty": "{}", "none": "[]",
	} {
		raw, found := Find([]byte(document), path)
		require.True(t, found, path)
		require.Equal(t, want, string(raw), path)
	}
	for _, path := range []string{
		"", "x", "code.x", "error.code.x", "data.3", "data.00", "data.01", "data.+1", "data.-1", "data.ts", "data.9999999999",
		"empty.0", "none.0", ".code", "error.code.",
	} {
		_, found := Find([]byte(document), path)
		require.False(t, found, path)
	}
}

func TestTheLastOfTwoFieldsOfOneNameCounts(t *testing.T) {
	raw, _ := Find([]byte(`{"a":1,"a":2,"\u0061":3}`), "a")
	require.Equal(t, "3", string(raw))
	_, found := Find([]byte(`{"a":{"b":1},"a":{"c":2}}`), "a.b")
	require.False(t, found, "as for encoding/json, which keeps the last a alone")
}

func TestAScalarIsWhatItSays(t *testing.T) {
	document := []byte(`{"s":"plain","e":"\u00e9\n\"","bad":"` + "\xff" + `","n":-1.50e3,"t":true,"null":null,"o":{},"l":[],"empty":""}`)
	for path, want := range map[string]string{
		"s": "plain", "e": "é\n\"", "bad": "\ufffd", "n": "-1.50e3", "t": "true", "empty": "",
	} {
		text, found := Scalar(document, path)
		require.True(t, found, path)
		require.Equal(t, want, text, path)
	}
	for _, path := range []string{"null", "o", "l", "missing"} {
		text, found := Scalar(document, path)
		require.False(t, found, path)
		require.Empty(t, text, path)
	}
}

func TestWhatIsNoJSONHasNoValues(t *testing.T) {
	for _, document := range []string{
		``, ` `, `{`, `{"a":1`, `{"a":1}}`, `{"a":1} x`, `{"a":1,}`, `{"a":1 "b":2}`, `{a:1}`, `{"a":01}`, `{"a":1.}`, `{"a":.5}`,
		`{"a":+1}`, `{"a":1e}`, `{"a":"\x"}`, `{"a":"\u12g4"}`, "{\"a\":\"\n\"}", `{"a":1,"b":tru}`, `{"a":1,"b":[1,]}`,
		`{"a":NaN}`, `{"a":1,"b":}`, `{"a":1,"b"}`, `{"a":-}`, `<html>`, "\ufeff{\"a\":1}",
	} {
		_, found := Find([]byte(document), "a")
		require.False(t, found, document)
		require.False(t, json.Valid([]byte(document)), document)
	}
}

func TestDepthIsBounded(t *testing.T) {
	nested := func(n int) []byte {
		return []byte(`{"a":1,"b":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`)
	}
	_, found := Find(nested(maxDepth), "a")
	require.True(t, found)
	_, found = Find(nested(maxDepth+1), "a")
	require.False(t, found)
	_, found = Find([]byte(strings.Repeat("[", 10<<20)), "0")
	require.False(t, found)
}

func TestPassingOverADocumentAllocatesNothing(t *testing.T) {
	document := []byte(`{"grün":[1,{"x":"\u0041"}],"data":[{"ts":17},{"ts":18}],"code":"x"}`)
	require.Zero(t, testing.AllocsPerRun(100, func() { Find(document, "data.1.ts") }))
	paths, values := []string{"code", "data.0.ts"}, make([][]byte, 2)
	require.Zero(t, testing.AllocsPerRun(100, func() { FindAll(document, paths, values) }))
}

func TestSeveralValuesAreFoundInOnePass(t *testing.T) {
	document := []byte(`{"code":1,"error":["a","b"],"data":[{"sCode":"2","code":3}],"code":4,"time":5}`)
	paths := []string{"code", "error.1", "data.0.sCode", "data.0.code", "data.0", "missing", "error.2", "time", "code"}
	values := make([][]byte, len(paths))
	require.True(t, FindAll(document, paths, values))
	for i, want := range []string{"4", `"b"`, `"2"`, "3", `{"sCode":"2","code":3}`, "", "", "5", ""} {
		require.Equal(t, want, string(values[i]), paths[i])
	}
	require.Nil(t, values[MaxPaths], "paths beyond the last are not looked for")
}

func TestOfACutDocumentWhatCameBeforeIsFound(t *testing.T) {
	values := make([][]byte, 3)
	paths := []string{"code", "msg", "data.0"}
	require.False(t, FindAll([]byte(`{"code":-1003,"data":[1,2],"msg":"Way too`), paths, values))
	require.Equal(t, "-1003", string(values[0]))
	require.Nil(t, values[1])
	require.Equal(t, "1", string(values[2]))
	require.False(t, FindAll(nil, paths, values))
	require.Nil(t, values[0])
}

func TestANumberThatACutMayHaveShortenedIsNotFound(t *testing.T) {
	paths, values := []string{"code", "error.at.1", "msg"}, make([][]byte, 3)
	document := `{"msg":"no","error":{"at":[1,-2.5e+17 ]},"code":100065}`
	for end := range document {
		require.False(t, FindAll([]byte(document[:end]), paths, values))
		require.Contains(t, []string{"", "100065"}, string(values[0]), document[:end])
		require.Contains(t, []string{"", "-2.5e+17"}, string(values[1]), document[:end])
		require.Contains(t, []string{"", `"no"`}, string(values[2]), document[:end])
	}
	require.Equal(t, `"no"`, string(values[2]))
	require.False(t, FindAll([]byte(`{"msg":"no"`), paths, values))
	require.Equal(t, `"no"`, string(values[2]), "a text ends where it says")
}

func TestNoMoreIsReadOfADocumentThanItsPathsNeed(t *testing.T) {
	const rest = `"result":{"list":[{"time":3,"x":"\"time\":4}"}]},`
	paths, values := []string{"code", "time", "result.list.0.sCode"}, make([][]byte, 3)
	for document, want := range map[string][3]string{
		`{"code":1,` + rest + `"time":5}`:                    {"1", "5", ""},
		`{"code":1,` + rest + `"time" : "5" , "more":true }`: {"1", `"5"`, ""},
		`{` + rest + `"time":5, "code":1.5e3}`:               {"1.5e3", "5", ""},
		`{"code":1,` + rest + `"time":5,"more":{}}`:          {"1", "5", ""},
		`{"code":1,` + rest + `"time":5,"more":"\\"}`:        {"1", "5", ""},
		`{"code":1,"time":2,` + rest + `what is no JSON`:     {"1", "2", ""},
		`{"code":1,"code":2,` + rest + `"time":5}`:           {"1", "5", ""},
		`{"c\u006fde":1,` + rest + `"time":5}`:               {"1", "5", ""},
		`{"result":{"list":[{"sCode":7}]},"code":1`:          {"", "", "7"},
		`{"code":12`:     {"", "", ""},
		`{"code":12}`:    {"12", "", ""},
		`"code":12}`:     {"12", "", ""},
		`12}`:            {"", "", ""},
		`{"code":"\":1}`: {"", "", ""},
		``:               {"", "", ""},
		`<html>`:         {"", "", ""},
	} {
		FindFirst([]byte(document), 1<<20, paths, values)
		for i := range paths {
			require.Equal(t, want[i], string(values[i]), "%s in %s", paths[i], document)
		}
	}
	long := []byte(`{"a":{"b":` + strings.Repeat("[1],", 1) + `2}}`)
	FindFirst(long, 5, []string{"a.b"}, values[:1])
	require.Nil(t, values[0])
	success := []byte(`{"retCode":0,"result":{"list":[` + strings.Repeat(`{"x":1},`, 10_000) + `{}]},"time":7}`)
	require.Zero(t, testing.AllocsPerRun(100, func() { FindFirst(success, 100, paths, values) }))
	require.Equal(t, "7", string(values[1]))
}

// FuzzFindFirst compares FindFirst with FindAll in documents in which no name stands
// twice, and otherwise with all the values that a name has.
func FuzzFindFirst(f *testing.F) {
	for _, document := range []string{
		`{"code":-1021,"msg":"x"}`, `{"retCode":0,"result":{"list":[{"ts":"1"},{"ts":2}]},"time":1672211918471}`,
		`{"a":{"a":1},"\u0061":{"b":[null,true,1e-5]}}`, `[[1],[2,{"":3}]]`, `{"a":"\\","b":"\"c\":1}"}`, `{"a":1,"a":2,"a":3}`,
	} {
		for _, path := range []string{"code", "time", "result.list.1.ts", "a", "a.b.0", ""} {
			f.Add([]byte(document), path)
		}
	}
	f.Fuzz(func(t *testing.T, document []byte, path string) {
		paths := []string{path, "a", "code", "a.b.0"}
		hasty, all := make([][]byte, len(paths)), make([][]byte, len(paths))
		FindFirst(document, len(document), paths, hasty) // must not fail, whatever it is
		if !FindAll(document, paths, all) {
			return
		}
		for i, path := range paths {
			if strings.Contains(path, ".") {
				continue // which of several ways was gone cannot be told by decoding
			}
			require.Equal(t, all[i] == nil, hasty[i] == nil, "%q in %q", path, document)
			if hasty[i] != nil {
				require.Contains(t, everyValue(document, path), string(hasty[i]), "%q in %q", path, document)
			}
		}
		var decoded any
		if json.Unmarshal(document, &decoded) != nil {
			return // a number that no float64 holds
		}
		single, err := json.Marshal(decoded)
		require.NoError(t, err)
		FindAll(single, paths, all)
		FindFirst(single, len(single), paths, hasty)
		require.Equal(t, all, hasty, "%q", single)
	})
}

// everyValue are the values of all fields of a name in an object, and the element
// of a list.
func everyValue(document []byte, name string) (values []string) {
	decoder := json.NewDecoder(strings.NewReader(string(document)))
	begin, _ := decoder.Token()
	for i := 0; decoder.More(); i++ {
		have := strconv.Itoa(i)
		if begin == json.Delim('{') {
			token, _ := decoder.Token()
			have, _ = token.(string)
		}
		var value json.RawMessage
		_ = decoder.Decode(&value) // the document is JSON
		if have == name {
			values = append(values, string(value))
		}
	}
	return values
}

// asDecoded is Find by way of decoding, level by level.
func asDecoded(document []byte, path string) (json.RawMessage, bool) {
	for name := range strings.SplitSeq(path, ".") {
		var object map[string]json.RawMessage
		var list []json.RawMessage
		switch {
		case json.Unmarshal(document, &object) == nil:
			var ok bool
			if document, ok = object[name]; !ok {
				return nil, false
			}
		case json.Unmarshal(document, &list) == nil:
			i, err := strconv.Atoi(name)
			if err != nil || strconv.Itoa(i) != name || i < 0 || i >= len(list) {
				return nil, false
			}
			document = list[i]
		default:
			return nil, false
		}
	}
	return document, true
}

func FuzzFind(f *testing.F) {
	for _, document := range []string{
		`{"code":-1021,"msg":"x"}`, `{"retCode":0,"result":{"list":[{"ts":"1"},{"ts":2}]},"time":1672211918471}`,
		`{"a":{"a":1},"\u0061":{"b":[null,true,1e-5]}}`, `[[1],[2,{"":3}]]`, `{"a":"\ud83d\ude00\u0000","a":"` + "\xff" + `"}`, `{"a":01}`, `[`, `null`,
	} {
		for _, path := range []string{"code", "result.list.1.ts", "a.a", "1.1.", "a"} {
			f.Add([]byte(document), path)
		}
	}
	f.Fuzz(func(t *testing.T, document []byte, path string) {
		raw, found := Find(document, path)
		paths, values := []string{"code", path, "a.a", path + ".0", "1.1."}, make([][]byte, 5)
		if FindAll(document, paths, values) {
			for i := range paths {
				alone, _ := Find(document, paths[i])
				require.Equal(t, alone, values[i], paths[i])
			}
		}
		if strings.Count(string(document), "[")+strings.Count(string(document), "{") > maxDepth {
			return // it may be too deep, which encoding/json does not mind
		}
		want, exists := asDecoded(document, path)
		if found != exists || string(raw) != string(want) {
			t.Fatalf("found %q (%t), encoding/json %q (%t)", raw, found, want, exists)
		}
		text, found := Scalar(document, path)
		var says string
		switch {
		case !exists || strings.IndexByte("{[n", want[0]) >= 0:
			require.False(t, found, "%q", want)
		case json.Unmarshal(want, &says) == nil:
			require.True(t, found && text == says, "%q is %q", want, text)
		default: // a number, which may be too large for a float64, or a boolean
			require.True(t, found && text == string(want), "%q is %q", want, text)
		}
	})
}

// anAnswer is one of an exchange, of some 4 kB.
var anAnswer = []byte(`{"retCode":0,"retMsg":"OK","result":{"list":[` +
	strings.Repeat(`{"symbol":"BTCUSDT","price":"30000.50","size":"0.001","side":"Buy","time":"1672052955758"},`, 45) +
	`{}]},"time":1672211918471}`)

func BenchmarkFind(b *testing.B) {
	b.SetBytes(int64(len(anAnswer)))
	b.ReportAllocs()
	for b.Loop() {
		if _, found := Find(anAnswer, "time"); !found {
			b.Fatal()
		}
	}
}

func BenchmarkDecoding(b *testing.B) {
	b.SetBytes(int64(len(anAnswer)))
	b.ReportAllocs()
	for b.Loop() {
		if _, found := asDecoded(anAnswer, "time"); !found {
			b.Fatal()
		}
	}
}
