package targets

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func parse(t testing.TB, name, text string, options Options) *Read {
	read, err := Parse(name, []byte(text), Auto, options)
	require.NoError(t, err)
	_, err = read.Plan.Prepare()
	require.NoError(t, err)
	return read
}

// steps of a plan in the order in which they are sent.
func steps(read *Read) (all []Step) {
	for _, index := range read.Plan.Order {
		all = append(all, read.Plan.Chains[index].Steps...)
	}
	return all
}

// requireMistakes checks that each text fails with a *FileError in the given line.
func requireMistakes(t *testing.T, format Format, options Options, texts map[string]string) {
	for text, says := range texts {
		_, err := Parse("some.file", []byte(text), format, options)
		require.ErrorContains(t, err, says, text)
		require.True(t, strings.HasPrefix(err.Error(), "some.file:"), err)
		require.NotContains(t, err.Error(), "\n")
		require.NotContains(t, err.Error(), "sesame")
	}
}

func TestVegetasTargetsAreReadAsVegetaReadsThem(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "body.json"), []byte("{}\n"), 0o600))
	file := filepath.Join(folder, "targets")
	read := parse(t, file, "\uFEFF# a comment\r\n\r\nGET http://a/1\r\nX-One: a:b \nx-one:c\n# within\nAccept: text\n\n\n"+
		"POST http://a/2\nContent-Type: application/json\n@body.json\nPUT\thttp://a/3\nGET   http://a/4?q=a b\nDELETE http://a/5\n@body.json\n\nGET http://a/6", Options{})
	require.Equal(t, Vegeta, read.Format)
	require.Equal(t, []Step{
		{Method: "GET", URL: "http://a/1", Header: http.Header{"X-One": {"a:b"}, "x-one": {"c"}, "Accept": {"text"}}},
		{Method: "POST", URL: "http://a/2", Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte("{}\n")},
		{Method: "PUT", URL: "http://a/3"},
		{Method: "GET", URL: "http://a/4?q=a b"},
		{Method: "DELETE", URL: "http://a/5", Body: []byte("{}\n")},
		{Method: "GET", URL: "http://a/6"},
	}, steps(read))
	requireMistakes(t, Vegeta, Options{}, map[string]string{
		"GET http://a/\n\nhttp://b/": `:3: "http://b/": want a method and a URL`,
		"get http://a/":              ":1:",
		"GET http://a/\n\nX: y":      ":3:",
		"GET http://a/\nx y: z":      `:2: "x y" is no line of a header`,
		"GET http://a/\nX: ":         ":2:",
		"GET http://a/\nX":           ":2:",
		"GET http://a/\n@nowhere":    `:2: the body "nowhere": no such file`,
		"GET a/?key=sesame":          `:1: "a/" does not begin with http`,
		"GET /a?key=sesame":          `:1: "/a" has no host, and there is no base`,
		"# nothing":                  ": there is no request in it",
	})
	require.Equal(t, "http://b/v1/a", first(t, prepare(t, parse(t, "f", "GET /a", Options{Base: "http://b/v1"}).Plan), 0).URL)
}

func TestJSONLinesAreVegetasAndMore(t *testing.T) {
	read := parse(t, "f", `{"method":"POST","url":"http://a/1","body":"AAE=","header":{"X":["a","b"],"y-z":"c"}}

{"method":"GET","url":"http://a/2","limit":"l","sign":true,"priority":400,"key":"BTC","account":"x","operation":"o","success":[404],"literal":true,"body":null}
`, Options{})
	require.Equal(t, JSONLines, read.Format)
	require.Equal(t, []Step{
		{Method: "POST", URL: "http://a/1", Body: []byte{0, 1}, Header: http.Header{"X": {"a", "b"}, "y-z": {"c"}}},
		{Method: "GET", URL: "http://a/2", Limit: "l", Sign: true, Priority: 400, Key: "BTC", Account: "x", Operation: "o", Success: []int{404}, Literal: true},
	}, steps(read))
	good := `{"method":"GET","url":"http://a/"}` + "\n"
	requireMistakes(t, JSONLines, Options{}, map[string]string{
		good + "\n{":                                       ":3: it is not JSON",
		good + `{"method":"GET"}`:                          ":2: want a method and a url",
		good + `{"url":"http://a/"}`:                       ":2: want a method and a url",
		good + `{"method":"GET","url":"http://a/"} {}`:     ":2: something follows",
		good + `{"method":"GET","uri":"http://a/"}`:        ":2: uri: unknown name",
		good + `{"method":"G","url":"a","body":"s~e"}`:     ":2: body: it is not base64",
		good + `{"method":"G","url":"a","header":[]}`:      ":2: header: want an object",
		good + `{"method":"G","url":"a","header":{"a":1}}`: ":2: header: want texts",
		good + `{"method":"GET","url":"gopher://a"}`:       ":2:",
		good + `[]`: ":2: want an object",
	})
}

const har = `{"log": {"version": "1.2", "pages": [{"a": [1]}], "entries": [
  {"startedDateTime": "2024-05-01T10:00:01.500Z", "request": {"method": "post", "url": "https://api.example.com/orders#x",
    "headers": [{"name": ":authority", "value": "api.example.com"}, {"name": "Content-Type", "value": "application/json"}, {"name": "host", "value": "api.example.com"},
      {"name": "Cookie", "value": "sid=sesame"}, {"name": "authorization", "value": "Bearer sesame"}, {"name": "X-Api-Key", "value": "sesame"},
      {"name": "connection", "value": "keep-alive, X-Hop"}, {"name": "x-hop", "value": "1"}, {"name": "Content-Length", "value": "9"}, {"name": "Accept-Encoding", "value": "br"}],
    "postData": {"mimeType": "application/json", "text": "{\"a\":\"{{\"}"}}, "response": {}},
  {"startedDateTime": "2024-05-01T12:00:01.000+02:00", "request": {"method": "GET", "url": "https://www.example.com/", "headers": []}},
  {"startedDateTime": "2024-05-01T10:00:02Z", "request": {"method": "GET", "url": "https://other.test/", "headers": []}},
  {"startedDateTime": "2024-05-01T10:00:03Z", "request": {"method": "GET", "url": "wss://api.example.com/ws", "headers": []}},
  {"startedDateTime": "2024-05-01T10:00:04Z", "request": {"method": "POST", "url": "https://api.example.com/form", "headers": [],
    "postData": {"mimeType": "application/x-www-form-urlencoded; charset=utf-8", "params": [{"name": "a", "value": "1 &"}, {"name": "b", "value": "ü"}]}}},
  {"startedDateTime": "2024-05-01T10:00:05Z", "request": {"method": "PUT", "url": "https://api.example.com/bin", "headers": [],
    "postData": {"mimeType": "image/png", "encoding": "base64", "text": "AAH/"}}}
]}}`

func TestAHARIsSentAsTheBrowserSentIt(t *testing.T) {
	read := parse(t, "f", har, Options{Hosts: []string{"*.example.com"}})
	require.Equal(t, HAR, read.Format)
	require.Equal(t, []Step{
		{Method: "GET", URL: "https://www.example.com/", Literal: true},
		{Method: "POST", URL: "https://api.example.com/orders", Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"a":"{{"}`), Literal: true},
		{Method: "POST", URL: "https://api.example.com/form", Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}, Body: []byte("a=1+%26&b=%C3%BC"), Literal: true},
		{Method: "PUT", URL: "https://api.example.com/bin", Header: http.Header{"Content-Type": {"image/png"}}, Body: []byte{0, 1, 255}, Literal: true},
	}, steps(read))
	require.Equal(t, []time.Duration{0, 500 * time.Millisecond, 3 * time.Second, 4 * time.Second}, read.Recorded)
	require.Equal(t, []string{"left out 3 headers with credentials", "left out 1 requests of scheme wss", "left out 1 requests to other hosts"}, read.Notes)

	read = parse(t, "f", har, Options{Hosts: []string{"API.example.com"}, Methods: []string{"POST"}, Credentials: true})
	require.Equal(t, http.Header{"Content-Type": {"application/json"}, "Cookie": {"sid=sesame"}, "Authorization": {"Bearer sesame"}, "X-Api-Key": {"sesame"}}, steps(read)[0].Header)
	require.Len(t, steps(read), 2)

	entry := func(text string) string { return "{\"log\":{\"entries\":[\n\n" + text + "]}}" }
	requireMistakes(t, HAR, Options{}, map[string]string{
		`{"log":{}}`:                "it has no list log.entries",
		`{"log":{"entries":1}}`:     "it has no list log.entries",
		`[]`:                        "it has no list log.entries",
		"{\"log\":\n{\"entries\":[": ":2: it is not JSON",
		entry(`{}`):                 ":3: the entry has no request",
		entry(`{"request":5}`):      ":3: the entry",
		entry(`{"request":{"method":"GET","url":"http://a:x/"}}`):                                                                   ":3: the url cannot be read",
		entry(`{"request":{"method":"","url":"http://a/"}}`):                                                                        ":3: \"\" is no method",
		entry(`{"startedDateTime":"now","request":{"method":"GET","url":"http://a/"}}`):                                             ":3: startedDateTime",
		entry(`{"request":{"method":"P","url":"http://a/","postData":{"mimeType":"multipart/form-data","params":[{"name":"a"}]}}}`): ":3: postData of type",
		entry(`{"request":{"method":"P","url":"http://a/","postData":{"encoding":"base64","text":"!"}}}`):                           ":3: postData",
		entry(`{"request":{"method":"GET","url":"wss://a/"}}`):                                                                      "there is no request in it (left out 1 requests of scheme wss)",
	})
}

const goVCR = `---
version: 2
interactions:
    - id: 0
      request:
        proto: HTTP/1.1
        proto_major: 1
        content_length: 7
        host: example.com
        body: a=1&b=2
        form:
            a:
                - "1"
        headers:
            Content-Type:
                - application/x-www-form-urlencoded
            Authorization:
                - Bearer sesame
        url: http://example.com/a
        method: POST
      response:
        status: 200 OK
        code: 200
        duration: 120ms
    - id: 1
      request:
        body: !!binary AAH/
        headers: {}
        url: http://example.com/b
        method: PUT
      response:
        duration: 1.5s
    - id: 2
      request:
        body: ""
        url: http://example.com/c
        method: GET
      response:
        duration: 5ms
`

func TestACassetteOfGoVCRIsReplayed(t *testing.T) {
	read := parse(t, "f", goVCR, Options{})
	require.Equal(t, Cassette, read.Format)
	require.Equal(t, []Step{
		{Method: "POST", URL: "http://example.com/a", Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, Body: []byte("a=1&b=2"), Literal: true},
		{Method: "PUT", URL: "http://example.com/b", Body: []byte{0, 1, 255}, Literal: true},
		{Method: "GET", URL: "http://example.com/c", Literal: true},
	}, steps(read))
	require.Equal(t, []time.Duration{0, 120 * time.Millisecond, 1620 * time.Millisecond}, read.Recorded)
	require.Len(t, read.Notes, 2)
	read = parse(t, "f", strings.ReplaceAll(goVCR, "duration", "length"), Options{})
	require.Nil(t, read.Recorded, "one of version 1 has no times")
	require.Contains(t, read.Notes[1], "no instants")
	read = parse(t, "f", `{"version": 2, "interactions": [{"request": {"url": "http://a/1"}, "response": {"duration": 83984896}}, {"request": {"url": "http://a/2"}, "response": {"duration": 5}}]}`, Options{})
	require.Equal(t, []time.Duration{0, 83984896}, read.Recorded, "one that is JSON has nanoseconds")
	read = parse(t, "f", "interactions:\n- {request: {url: http://a/1}, response: {duration: 0s}}\n- {request: {url: http://a/2}, response: {duration: 0s}}\n", Options{})
	require.Nil(t, read.Recorded, "not all at once, because nobody took the time")
	requireMistakes(t, Cassette, Options{}, map[string]string{
		"interactions:\n  - request: [":                                           ":",
		"interactions:\n\n  - request: {method: GET}":                             ":3: the interaction has no request with a url",
		"interactions:\n\n  - request: {url: \"ftp://a\"}":                        ":3:",
		"interactions:\n\n  - request: {url: \"http://a\", body: [1]}":            ":3: it is no cassette",
		"interactions:\n\n  - request: {url: \"http://a\", headers: {a: {b: c}}}": ":3: it is no cassette",
		"interactions: 5": ":1: it is no cassette",
		"a: b":            "there is no request in it",
		"http_interactions:\n- request: {uri: \"http://a\"}\n  recorded_at: soon": ":2: recorded_at",
	})
}

func TestCassettesOfVCRAndVcrpyAreReplayed(t *testing.T) {
	read := parse(t, "f", `---
http_interactions:
- request:
    method: post
    uri: http://example.com/a
    body:
      encoding: ASCII-8BIT
      base64_string: |
        AAH/
    headers:
      Accept:
      - "*/*"
  recorded_at: Wed, 01 May 2024 10:00:02 GMT
- request:
    method: get
    uri: http://example.com/b
    body: {encoding: UTF-8, string: ''}
  recorded_at: Wed, 01 May 2024 10:00:01 GMT
recorded_with: VCR 6.2.0
`, Options{})
	require.Equal(t, []Step{
		{Method: "GET", URL: "http://example.com/b", Body: []byte{}, Literal: true},
		{Method: "POST", URL: "http://example.com/a", Header: http.Header{"Accept": {"*/*"}}, Body: []byte{0, 1, 255}, Literal: true},
	}, steps(read))
	require.Equal(t, []time.Duration{0, time.Second}, read.Recorded)
	read = parse(t, "f", `{"version": 1, "interactions": [{"request": {"method": "GET", "uri": "http://example.com/x", "body": null, "headers": {"Accept": ["a"]}}, "response": {}}]}`, Options{})
	require.Equal(t, []Step{{Method: "GET", URL: "http://example.com/x", Header: http.Header{"Accept": {"a"}}, Literal: true}}, steps(read))
}

func TestAnAccessLogIsReplayedAtItsTimes(t *testing.T) {
	const log = `10.0.0.1 - frank [10/Oct/2000:13:55:37 -0700] "GET /a?x=1 HTTP/1.0" 200 2326
10.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /b HTTP/1.1" 200 2326 "http://ref/[01/Jan/2000" "agent \"x\""
::1 - a user [10/Oct/2000:22:55:37 +0200] "HEAD /q\"\x41 HTTP/1.1" 200 -
10.0.0.1 - - [10/Oct/2000:13:55:37 -0700] "POST /c HTTP/1.1" 201 1
10.0.0.1 - - [10/Oct/2000:13:55:37 -0700] "-" 408 0
10.0.0.1 - - [10/Oct/2000:13:55:37 -0700] "\x16\x03\x01" 400 0
10.0.0.1 - - [10/Oct/2000:13:55:38 -0700] "GET http://other/a HTTP/1.1" 200 1
10.0.0.1 - - [10/Oct/2000:13:55:38 -0700] "OPTIONS * HTTP/1.1" 200 1
10.0.0.1 - - [10/Oct/2000:13:55:37 -0700] "GET /b HTTP/1.1" 200 1
`
	read := parse(t, "f", log, Options{Base: "http://h"})
	require.Equal(t, AccessLog, read.Format)
	var requests []string
	ready := prepare(t, read.Plan)
	for n := range read.Recorded {
		r := first(t, ready, uint64(n))
		requests = append(requests, r.Method+" "+r.URL)
	}
	require.Equal(t, []string{"GET http://h/b", "GET http://h/a?x=1", "HEAD http://h/q%22A", "GET http://h/b", "GET http://other/a"}, requests)
	second := time.Second
	require.Equal(t, []time.Duration{0, second, second + second/3, second + 2*second/3, 2 * second}, read.Recorded)
	require.Equal(t, []string{"left out 2 requests that are none, such as those that broke off", "left out 1 requests that name no path", "left out 1 requests with the method POST",
		"times are whole seconds: the requests of each are spread evenly over it (5 in all)"}, read.Notes)
	require.Len(t, read.Plan.Chains, 4, "lines that are alike share a chain")
}

func TestRequestsOfOneSecondAreSpreadOverIt(t *testing.T) {
	line := func(clock, path string) string {
		return `h - - [10/Oct/2000:` + clock + ` +0000] "GET ` + path + ` HTTP/1.1" 200 1` + "\n"
	}
	read := parse(t, "f", line("10:00:01", "/1")+line("10:00:00", "/0")+line("10:00:01", "/2")+line("10:00:03", "/4")+line("10:00:01", "/3"), Options{Base: "http://h"})
	var urls []string
	for _, step := range steps(read) {
		urls = append(urls, step.URL)
	}
	require.Equal(t, []string{"/0", "/1", "/2", "/3", "/4"}, urls)
	third := time.Second / 3
	require.Equal(t, []time.Duration{0, time.Second, time.Second + third, time.Second + 2*third, 3 * time.Second}, read.Recorded)
	require.Contains(t, read.Notes[0], "spread evenly")
	read = parse(t, "f", line("10:00:00.250", "/1")+line("10:00:00.250", "/2")+line("10:00:01", "/3"), Options{Base: "http://h"})
	require.Equal(t, []time.Duration{0, 0, 750 * time.Millisecond}, read.Recorded, "a log with fractions is believed")
	requireMistakes(t, AccessLog, Options{}, map[string]string{
		"h - - [10/Oct/2000:10:00:00 +0000] \"GET /a?key=sesame HTTP/1.1\" 200": `:1: "/a" has no host`,
		"\n\nnothing": ":3: it is no line of the common log format",
		"h - - [40/Oct/2000:10:00:00 +0000] \"GET /a HTTP/1.1\" 200":  ":1:",
		"h - - [10/Oct/2000:10:00:00 +0000] \"POST /a HTTP/1.1\" 200": "there is no request in it (left out 1 requests with the method POST)",
	})
}

func TestChainsAreReadFromJSON(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "rows.csv"), []byte("symbol\nBTC\nETH\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "body"), []byte("from a file"), 0o600))
	file := filepath.Join(folder, "chains.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"base": "http://h", "data": "rows.csv", "comment": {"any": 1}, "chains": [
		{"name": "order", "weight": 3, "steps": [
			{"url": "/orders", "body": {"symbol": "{{symbol}}", "n": 1.0}, "header": {"X": "y"}, "sign": true, "limit": "orders", "account": "a", "key": "{{symbol}}", "priority": 300,
			 "save": [{"name": "id", "json": "order.id"}, {"name": "etag", "header": "ETag"}, {"name": "x", "regexp": "x(.)"}], "success": [200, 201]},
			{"method": "DELETE", "operation": "cancel", "url": "/orders/{{id}}", "comment": "again"}]},
		{"steps": [{"url": "/text", "body": "plain"}, {"url": "/file", "body_file": "body", "method": "PUT"}, {"url": "/bin", "body_base64": "AAE=", "literal": true}]}]}`), 0o600))
	read, err := ReadFile(file, Auto, Options{Base: "http://not-this"})
	require.NoError(t, err)
	require.Equal(t, Chains, read.Format)
	require.Equal(t, []string{filepath.Join(folder, "body"), filepath.Join(folder, "rows.csv")}, read.Files)
	require.Equal(t, Plan{Base: "http://h", Data: &Data{Columns: []string{"symbol"}, Rows: [][]string{{"BTC"}, {"ETH"}}}, Chains: []Chain{
		{Name: "order", Weight: 3, Steps: []Step{
			{Method: "POST", URL: "/orders", Header: http.Header{"X": {"y"}, "Content-Type": {"application/json"}}, Body: []byte(`{"symbol":"{{symbol}}","n":1.0}`),
				Sign: true, Limit: "orders", Account: "a", Key: "{{symbol}}", Priority: 300, Success: []int{200, 201},
				Save: []Save{{Name: "id", JSON: "order.id"}, {Name: "etag", Header: "ETag"}, {Name: "x", Regexp: "x(.)"}}},
			{Method: "DELETE", URL: "/orders/{{id}}", Operation: "cancel"},
		}},
		{Steps: []Step{{Method: "POST", URL: "/text", Body: []byte("plain")}, {Method: "PUT", URL: "/file", Body: []byte("from a file")}, {Method: "POST", URL: "/bin", Body: []byte{0, 1}, Literal: true}}},
	}}, read.Plan)
	_, err = read.Plan.Prepare()
	require.NoError(t, err)
	requireMistakes(t, Chains, Options{}, map[string]string{
		"{\"chains\":[\n{\"stepz\":[]}]}":                             ":2: chains[0].stepz: unknown name; want one of name, weight, steps",
		`{"chains":[{"steps":[{"url":"/x","body_file":"nowhere"}]}]}`: "chains[0].steps[0].body_file: nowhere: no such file",
		`{"chains":[{"steps":[{"url":"/x","body_base64":"!"}]}]}`:     "chains[0].steps[0].body_base64: it is not base64",
		`{"chains":[{"steps":[{"body":"x","body_base64":"AAE="}]}]}`:  "exclude one another",
		`{"chains":[],"data":"nowhere.csv"}`:                          `data: "nowhere.csv": no such file`,
		`{"chains":[]}`:                                               "there is no request in it",
		"":                                                            ":1: it is not JSON",
	})
}

func TestDataIsCSVWithALineOfNames(t *testing.T) {
	data, err := ParseData("f", []byte("\uFEFFid,the_name\r\n1,\"a, \"\"b\"\"\nc\"\n\n2,\n"))
	require.NoError(t, err)
	require.Equal(t, &Data{Columns: []string{"id", "the_name"}, Rows: [][]string{{"1", "a, \"b\"\nc"}, {"2", ""}}}, data)
	for text, says := range map[string]string{
		"":                       "f: there is no line of names",
		"a\n":                    "f: there is no row",
		"a,b\n1,2\n\n3\n":        "f:4: 1 values for 2 names",
		"a,b\n1,2\n\"x\ny\",1,2": "f:3: 3 values for 2 names",
		"a\n1\n\"x":              "f:3:",
		"a\nx\"y":                "f:2:",
		"a b\n1":                 `f:1: "a b" is no name`,
		"a,a\n1,2":               `f:1: the name "a" is there twice`,
	} {
		_, err := ParseData("f", []byte(text))
		var typed *FileError
		require.ErrorAs(t, err, &typed, text)
		require.ErrorContains(t, err, says)
	}
	_, err = ReadData(filepath.Join(t.TempDir(), "nowhere.csv"))
	require.ErrorContains(t, err, "nowhere.csv: no such file")
}

func TestAFormatIsFoundOutOrRefused(t *testing.T) {
	for text, format := range map[string]Format{
		"": Auto, "nothing at all": Auto, "{}": Auto, "{": Auto, `{"log":{}}`: HAR, `{"url":""}` + "\n" + `{"url":""}`: JSONLines, "# x\n\n GET http://a": Vegeta,
		"GET http://a/interactions:\n": Vegeta, "version: 2\ninteractions:\n": Cassette, "GET x\n": Vegeta,
	} {
		require.Equal(t, format, detect([]byte(text)), text)
	}
	_, err := Parse("f", []byte("nothing"), Auto, Options{})
	require.ErrorContains(t, err, "f: it is in none of the formats")
	_, err = Parse("f", nil, "xml", Options{})
	require.ErrorContains(t, err, `format "xml": want one of`)
	_, err = ReadFile(filepath.Join(t.TempDir(), "nowhere"), Auto, Options{})
	require.ErrorContains(t, err, "nowhere: no such file")
	for _, format := range Formats {
		read, err := ParseFormat(string(format))
		require.NoError(t, err)
		require.Equal(t, format, read)
	}
	format, err := ParseFormat("")
	require.NoError(t, err)
	require.Equal(t, Auto, format)
	_, err = ParseFormat("gatling")
	require.ErrorContains(t, err, "want one of")
	require.Equal(t, Plan{Chains: []Chain{{Steps: []Step{{Method: "PUT", URL: "http://h/", Header: http.Header{"A": {"b"}}, Body: []byte("c")}}}}},
		OneTarget("PUT", "http://h/", http.Header{"A": {"b"}}, []byte("c")))
}

// Whatever is in a file: it is read, or refused by its name; and what is read can be made into
// requests, or is refused, and is the same when it has been JSON.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"GET http://a/\nX: y\n\nPOST http://b/{{x}}\n", `{"method":"GET","url":"http://a/","body":"AAE="}`, har, goVCR,
		`h - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 2326`, `{"base":"http://h","chains":[{"weight":2,"steps":[{"url":"/x","save":[{"name":"a","json":"b"}]},{"url":"/{{a}}"}]}]}`,
		"http_interactions:\n- request: {uri: \"http://a\", body: {base64_string: AAE=}}\n  recorded_at: Wed, 01 May 2024 10:00:02 GMT",
	} {
		for i := range Formats {
			f.Add([]byte(text), uint8(i))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, which uint8) {
		if strings.Contains(string(text), "@") || strings.Contains(string(text), "ile") || strings.Contains(string(text), "data") {
			return // which would open files
		}
		read, err := Parse("f", text, Formats[int(which)%len(Formats)], Options{Base: "http://base", Credentials: which > 100})
		if err != nil {
			require.True(t, strings.HasPrefix(err.Error(), "f:"), err)
			return
		}
		if read.Recorded != nil {
			require.Len(t, read.Recorded, len(read.Plan.Order))
			for i, at := range read.Recorded {
				require.True(t, at >= 0 && (i == 0 || at >= read.Recorded[i-1]))
			}
		}
		ready, err := read.Plan.Prepare()
		if err != nil {
			return
		}
		encoded, err := json.Marshal(read.Plan)
		require.NoError(t, err)
		var s Session
		for n := range uint64(3) {
			ready.Begin(&s, n)
			r, more, err := s.Next()
			if err == nil && more {
				_, err = http.NewRequest(r.Method, r.URL, nil)
				require.NoError(t, err)
			}
		}
		var other Plan
		require.NoError(t, json.Unmarshal(encoded, &other))
		again, err := other.Prepare()
		require.NoError(t, err)
		require.Equal(t, ready.Operations(), again.Operations())
	})
}

func FuzzParseData(f *testing.F) {
	f.Add([]byte("a,b\n1,\"x\ny\"\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		data, err := ParseData("f", text)
		if err != nil {
			require.True(t, strings.HasPrefix(err.Error(), "f:"), err)
			return
		}
		plan := single(Step{URL: "http://h/{{" + data.Columns[0] + "}}"})
		plan.Data = data
		first(t, prepare(t, plan), 7)
	})
}

func FuzzTemplate(f *testing.F) {
	f.Add("http://h/{{a}}?x={{ b }}", "v/&")
	f.Fuzz(func(t *testing.T, text, value string) {
		compiled, err := compile(text, func(string) (int, error) { return 0, nil })
		if err != nil || compiled == nil {
			return
		}
		filled, _, why := compiled.fill(nil, []string{value})
		require.Empty(t, why)
		require.GreaterOrEqual(t, len(filled), compiled.size)
		compiled.setURL()
		compiled.setJSON()
		_, _, _ = compiled.fill(nil, []string{value})
	})
}
