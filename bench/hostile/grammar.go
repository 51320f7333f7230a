package hostile

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strings"
)

// odd is an answer that no careful server gives, or one that is near it.
type odd struct {
	name   string
	method string
	answer string
	tags   []string // what kind of oddity it is
	closes bool     // the server closes behind it, and otherwise waits
}

func (o odd) String() string {
	then := "stays"
	if o.closes {
		then = "closes"
	}
	return fmt.Sprintf("%s %s (%s), server %s", o.method, o.name, strings.Join(o.tags, ", "), then)
}

// grammar collects odd answers.
type grammar struct{ all []odd }

func (g *grammar) add(method, name, answer string, tags ...string) {
	g.all = append(g.all, odd{name: name, method: method, answer: answer, tags: tags})
}

// oddAnswers are all of them, each once with a server that stays and once with one
// that closes.
func oddAnswers() []odd {
	var g grammar
	g.statusLines()
	g.framings()
	g.chunks()
	g.codings()
	g.interims()
	g.bodiless()
	g.headers()
	g.trailers()
	g.connections()
	both := make([]odd, 0, 2*len(g.all))
	for _, o := range g.all {
		closing := o
		closing.closes = true
		both = append(both, o, closing)
	}
	return both
}

// short names a text by its beginning, and by its length if that is not all.
func short(what, text string) string {
	const most = 40
	if len(text) <= most {
		return fmt.Sprintf("%s %q", what, text)
	}
	return fmt.Sprintf("%s %.*q and so on, %d bytes", what, most, text, len(text))
}

const okay = "HTTP/1.1 200 OK\r\n"

func (g *grammar) statusLines() {
	for _, version := range []string{
		"HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/1.2", "HTTP/1.9", "HTTP/2", "HTTP/2.0", "HTTP/3.0", "HTTP/11.1", "HTTP/1.10", "HTTP/1", "HTTP/1.",
		"HTTP/.1", "HTTP", "http/1.1", "Http/1.1", "HTTPS/1.1", "ICY", "HTTP/ 1.1", "HTTP /1.1", "HTTP/1.1\t", "\tHTTP/1.1", " HTTP/1.1", "HTTP/+1.1",
		"HTTP/1.-1", "HTTP/01.1", "HTTP/1,1", "",
	} {
		g.add("GET", fmt.Sprintf("version %q", version), version+" 200 OK\r\nContent-Length: 2\r\n\r\nok", "status line", "version")
	}
	for _, code := range []string{
		"100", "101", "103", "199", "200", "201", "204", "205", "206", "300", "302", "304", "400", "404", "418", "429", "499", "500", "599", "600", "799", "999",
		"000", "001", "099", "20", "2", "2000", "20x", "+20", "-20", "0x1", " 200", "\t200", "２００", "2 0", "",
	} {
		g.add("GET", fmt.Sprintf("code %q", code), "HTTP/1.1 "+code+" OK\r\nContent-Length: 2\r\n\r\nok", "status line", "code")
	}
	for _, line := range []string{
		"HTTP/1.1 200\r\n", "HTTP/1.1 200 \r\n", "HTTP/1.1 200  \r\n", "HTTP/1.1  200 OK\r\n", "HTTP/1.1\t200 OK\r\n", "HTTP/1.1 200\tOK\r\n", "HTTP/1.1 200OK\r\n",
		"HTTP/1.1 200 OK \r\n", "HTTP/1.1 200 O\x00K\r\n", "HTTP/1.1 200 O\x01K\r\n", "HTTP/1.1 200 \xff\xfe\r\n", "HTTP/1.1 200 " + strings.Repeat("x", 5000) + "\r\n",
		"HTTP/1.1 200 OK\n", "HTTP/1.1 200 OK\r\r\n", "HTTP/1.1 200 OK\r", "HTTP/1.1 200 O\rK\r\n", "HTTP/1.1 200 OK\n\r", "\r\nHTTP/1.1 200 OK\r\n", "\nHTTP/1.1 200 OK\r\n",
		"\r\n\r\nHTTP/1.1 200 OK\r\n", "\x00HTTP/1.1 200 OK\r\n", "\xef\xbb\xbfHTTP/1.1 200 OK\r\n", "HTTP/1.1200 OK\r\n", "HTTP/1.1\r\n", "200 OK\r\n", "GET / HTTP/1.1\r\n",
		"HTTP/1.1 200 OK\v\r\n", "HTTP/1.1 200 OK\x7f\r\n", "HTTP/1.1 200 HTTP/1.1 500 No\r\n", "<html>\r\n", "SSH-2.0-OpenSSH\r\n", "\x15\x03\x01\x00\x02\x02\x28", "220 smtp ready\r\n",
	} {
		g.add("GET", short("status line", line), line+"Content-Length: 2\r\n\r\nok", "status line")
	}
	for _, head := range []string{"X y: z\r\n", "X\xe4: y\r\n", "X\r\n", "X: y\r\n"} {
		g.add("GET", fmt.Sprintf("cut behind line %q", head), okay+head, "cut", "header")
	}
	for cut := range len(okay + "Content-Length: 2\r\n\r\no") {
		if cut%3 == 0 {
			g.add("GET", fmt.Sprintf("cut after %d bytes", cut), (okay + "Content-Length: 2\r\n\r\nok")[:cut], "cut")
		}
	}
}

// smuggled is a whole answer, which must never be taken for one.
const smuggled = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled"

// bodies are what may follow a head that speaks of five bytes.
var bodies = []struct{ name, text string }{
	{"exact", "hello"}, {"none", ""}, {"short", "hel"}, {"long", "hello, world"}, {"with an answer behind", "hello" + smuggled},
}

func (g *grammar) framings() {
	lengths := []string{
		"5", "05", "005", "+5", "-5", "5.0", "5e0", "0x5", "5 5", "5,5", "5, 5", "5,6", "5;5", "5 ", "\t5", "", " ", ",", "five", "5\x00", "५", "\"5\"",
		"999999999999999999", "9223372036854775807", "9223372036854775808", "18446744073709551621", "99999999999999999999999999", "0", "-0", "00",
	}
	var heads []struct{ name, lines string }
	put := func(name, lines string) { heads = append(heads, struct{ name, lines string }{name, lines}) }
	put("no framing", "")
	for _, l := range lengths {
		put(fmt.Sprintf("length %q", l), "Content-Length: "+l+"\r\n")
	}
	put("two equal lengths", "Content-Length: 5\r\nContent-Length: 5\r\n")
	put("two lengths, the greater first", "Content-Length: 12\r\nContent-Length: 5\r\n")
	put("two lengths, the smaller first", "Content-Length: 5\r\nContent-Length: 12\r\n")
	put("three equal lengths", strings.Repeat("Content-Length: 5\r\n", 3))
	put("length in small letters", "content-length: 5\r\n")
	put("length, a blank before the colon", "Content-Length : 5\r\n")
	put("length, folded", "Content-Length:\r\n 5\r\n")
	put("length, behind a bare line feed", "X: y\nContent-Length: 5\r\n")
	put("length, behind a bare carriage return", "X: y\rContent-Length: 5\r\n")
	put("length with an underscore", "Content_Length: 5\r\n")
	for _, te := range []string{"identity", "gzip", "deflate", "chunked", "chunked, identity", "identity, chunked", "gzip, chunked", "chunked, gzip", "chunked, chunked", "x", "", "\"chunked\"", "Chunked", "chunked;q=1", "chunked ", "\x0bchunked", "chunke"} {
		put(fmt.Sprintf("transfer coding %q", te), "Transfer-Encoding: "+te+"\r\n")
	}
	for _, te := range []string{"chunked", "identity", "x"} {
		put(fmt.Sprintf("length and transfer coding %q", te), "Content-Length: 5\r\nTransfer-Encoding: "+te+"\r\n")
		put(fmt.Sprintf("transfer coding %q and length", te), "Transfer-Encoding: "+te+"\r\nContent-Length: 5\r\n")
	}
	put("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")
	put("chunked and identity, in two lines", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n")
	put("chunked, a blank before the colon", "Transfer-Encoding : chunked\r\n")
	put("chunked, folded", "Transfer-Encoding:\r\n chunked\r\n")
	for _, h := range heads {
		for _, b := range bodies {
			text := b.text
			if strings.Contains(strings.ToLower(h.lines), "chunked") && b.name != "none" {
				text = chunked(text)
			}
			g.add("GET", h.name+", body "+b.name, okay+h.lines+"\r\n"+text, "framing", "body "+b.name)
		}
		g.add("GET", h.name+", in HTTP/1.0", "HTTP/1.0 200 OK\r\n"+h.lines+"\r\nhello", "framing", "HTTP/1.0")
	}
}

// chunked lays a body out in chunks: the first five bytes, what follows, the end. An
// answer behind the body stays behind it.
func chunked(body string) string {
	first, rest := body[:min(5, len(body))], body[min(5, len(body)):]
	switch {
	case len(body) < 5:
		return "5\r\n" + body // it is short
	case strings.HasPrefix(rest, "HTTP/"):
		return "5\r\n" + first + "\r\n0\r\n\r\n" + rest
	case rest != "":
		return fmt.Sprintf("5\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", first, len(rest), rest)
	}
	return "5\r\n" + first + "\r\n0\r\n\r\n"
}

func (g *grammar) chunks() {
	const head = okay + "Transfer-Encoding: chunked\r\n\r\n"
	for _, size := range []string{
		"5", "05", "0000000000000005", "00000000000000005", strings.Repeat("0", 300) + "5", "+5", "-5", "0x5", "5 ", " 5", "\t5", "5\t", "5;", "5;x", "5; x=y", "5;x=\"a;b\"", "5;x=\"\\\"\"", "5 ;x", "5;x\x00", "5;\x01",
		"5;" + strings.Repeat("x", 3000), "5;" + strings.Repeat("x", 10000), "5\r", "5;a\rb", "5,", "5.", "5 5", "g", "", "ffffffffffffffff", "7fffffffffffffff", "8000000000000000", "10000000000000005", "fffffffffffffffff", "1000000000",
	} {
		g.add("GET", short("chunk size", size), head+size+"\r\nhello\r\n0\r\n\r\n", "chunks", "chunk size")
	}
	for _, c := range []struct{ name, text string }{
		{"bare line feeds", "5\nhello\n0\n\n"}, {"a bare line feed behind the size", "5\nhello\r\n0\r\n\r\n"}, {"a bare line feed behind the data", "5\r\nhello\n0\r\n\r\n"},
		{"a bare line feed at the end", "5\r\nhello\r\n0\r\n\n"}, {"a bare line feed behind the last size", "5\r\nhello\r\n0\n\r\n"}, {"a bare carriage return behind the size", "5\rhello\r\n0\r\n\r\n"},
		{"nothing behind the data", "5\r\nhello0\r\n\r\n"}, {"more than its size", "5\r\nhello!\r\n0\r\n\r\n"}, {"less than its size", "5\r\nhell\r\n0\r\n\r\n"}, {"blanks behind the data", "5\r\nhello  \r\n0\r\n\r\n"},
		{"no last chunk", "5\r\nhello\r\n"}, {"half of a last chunk", "5\r\nhello\r\n0"}, {"a last size", "5\r\nhello\r\n0\r\n"}, {"a last size, and a carriage return", "5\r\nhello\r\n0\r\n\r"},
		{"a last size of many zeros", "5\r\nhello\r\n0000000\r\n\r\n"}, {"a last chunk with an extension", "5\r\nhello\r\n0;x\r\n\r\n"}, {"an empty line before the size", "\r\n5\r\nhello\r\n0\r\n\r\n"},
		{"no chunk but the last", "0\r\n\r\n"}, {"two last chunks", "5\r\nhello\r\n0\r\n\r\n0\r\n\r\n"}, {"an answer behind", "5\r\nhello\r\n0\r\n\r\n" + smuggled}, {"an answer inside", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(smuggled), smuggled)},
		{"a row that looks like the end", "8\r\na,0\r\n\r\nb\r\n0\r\n\r\n"}, {"many of one byte", strings.Repeat("1\r\nx\r\n", 100) + "0\r\n\r\n"}, {"many of one byte, long extensions", strings.Repeat("1;"+strings.Repeat("y", 500)+"\r\nx\r\n", 300) + "0\r\n\r\n"},
		{"none at all", "hello"}, {"nothing", ""}, {"only line ends", "\r\n\r\n\r\n"}, {"a size, and the end of the connection", "5\r\n"}, {"a size beyond memory, and little", "7fffffffff\r\nhello"},
	} {
		g.add("GET", "chunks: "+c.name, head+c.text, "chunks")
	}
}

// unpacked undoes a content coding, and fails if anything stands behind its end.
func unpacked(coding, body string) (string, error) {
	if body == "" {
		return "", nil
	}
	coded := strings.NewReader(body) // of which no decoder reads more than it needs
	var r io.Reader
	var err error
	if coding != "deflate" {
		r, err = gzip.NewReader(coded)
	} else if r, err = zlib.NewReader(coded); errors.Is(err, zlib.ErrHeader) {
		coded.Reset(body)
		r, err = flate.NewReader(coded), nil
	}
	if err != nil {
		return "", err
	}
	plain, err := io.ReadAll(r)
	if err == nil && coded.Len() > 0 {
		err = fmt.Errorf("%d bytes behind the end", coded.Len())
	}
	return string(plain), err
}

// packed is a body in a content coding.
func packed(coding, body string) string {
	var b bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip", "x-gzip", "GZIP", "gzip, gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	default:
		w, _ = flate.NewWriter(&b, flate.DefaultCompression)
	}
	_, _ = io.WriteString(w, body)
	_ = w.Close()
	return b.String()
}

func (g *grammar) codings() {
	for _, coding := range []string{"gzip", "x-gzip", "GZIP", "deflate", "bare deflate", "gzip, gzip", "identity", "br", "zstd", "unknown", ""} {
		label, whole := coding, packed(coding, "hello, hello, hello")
		if coding == "bare deflate" {
			label = "deflate"
		}
		wrong := []byte(whole)
		wrong[len(wrong)/2] ^= 0x55
		for _, b := range []struct{ name, text string }{
			{"whole", whole}, {"empty", ""}, {"cut", whole[:len(whole)/2]}, {"without its sum", whole[:len(whole)-4]}, {"wrong", string(wrong)}, {"not coded", "hello"}, {"with more behind", whole + "x"}, {"twice", whole + whole}, {"its head alone", whole[:min(10, len(whole))]},
		} {
			tag := []string{"coding", "coding " + coding, "coded " + b.name}
			counted := fmt.Sprintf("%sContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s", okay, label, len(b.text), b.text)
			g.add("GET", fmt.Sprintf("coding %s, body %s", coding, b.name), counted, tag...)
			if coding == "gzip" || coding == "deflate" {
				in := "0\r\n\r\n"
				if b.text != "" {
					in = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(b.text), b.text)
				}
				g.add("GET", fmt.Sprintf("coding %s in chunks, body %s", coding, b.name), okay+"Content-Encoding: "+label+"\r\nTransfer-Encoding: chunked\r\n\r\n"+in, tag...)
				g.add("GET", fmt.Sprintf("coding %s to the end, body %s", coding, b.name), okay+"Content-Encoding: "+label+"\r\n\r\n"+b.text, tag...)
				g.add("HEAD", fmt.Sprintf("coding %s, body %s", coding, b.name), fmt.Sprintf("%sContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n", okay, label, len(b.text)), append(tag, "HEAD")...)
			}
		}
	}
	for _, two := range []string{"gzip\r\nContent-Encoding: deflate", "gzip\r\nContent-Encoding: gzip", "identity\r\nContent-Encoding: gzip", "gzip, identity", "gzip,", "gzip;q=1"} {
		whole := packed("gzip", "hello, hello, hello")
		g.add("GET", fmt.Sprintf("codings %q", two), fmt.Sprintf("%sContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s", okay, two, len(whole), whole), "coding")
	}
	bomb := packed("gzip", strings.Repeat("\x00", 4<<20))
	g.add("GET", "coding gzip, a bomb", fmt.Sprintf("%sContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", okay, len(bomb), bomb), "coding", "bomb")
}

func (g *grammar) interims() {
	const final = okay + "Content-Length: 2\r\n\r\nok"
	for _, i := range []struct{ name, text string }{
		{"100", "HTTP/1.1 100 Continue\r\n\r\n"}, {"100 in HTTP/1.0", "HTTP/1.0 100 Continue\r\n\r\n"}, {"102", "HTTP/1.1 102 Processing\r\n\r\n"}, {"103 with a link", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"},
		{"199", "HTTP/1.1 199 X\r\n\r\n"}, {"100 with a length", "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n"}, {"100 with a length and a body", "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhello"},
		{"103 with chunks", "HTTP/1.1 103 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}, {"103 with an announced chunked body", "HTTP/1.1 103 X\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{"five of 103", strings.Repeat("HTTP/1.1 103 X\r\n\r\n", 5)}, {"six of 103", strings.Repeat("HTTP/1.1 103 X\r\n\r\n", 6)}, {"a hundred of 103", strings.Repeat("HTTP/1.1 103 X\r\n\r\n", 100)},
		{"more 103 than any head", strings.Repeat("HTTP/1.1 103 X\r\nX: "+strings.Repeat("x", 1000)+"\r\n\r\n", 80)}, {"101", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"},
		{"101 without an upgrade", "HTTP/1.1 101 Switching Protocols\r\n\r\n"}, {"103 that says close", "HTTP/1.1 103 X\r\nConnection: close\r\n\r\n"}, {"103 with a bare line feed", "HTTP/1.1 103 X\n\n"}, {"100 with a wrong name", "HTTP/1.1 100 X\r\nx y: z\r\n\r\n"},
		{"100 that is cut", "HTTP/1.1 100 Continue\r\n"},
	} {
		g.add("GET", "interim "+i.name, i.text+final, "interim")
		g.add("GET", "interim alone "+i.name, i.text, "interim", "no final")
	}
}

func (g *grammar) bodiless() {
	frames := []struct{ name, text string }{
		{"no framing", "\r\n"}, {"length 0", "Content-Length: 0\r\n\r\n"}, {"length 5", "Content-Length: 5\r\n\r\n"}, {"length 5 and a body", "Content-Length: 5\r\n\r\nhello"}, {"a body", "\r\nhello"}, {"an answer behind", "\r\n" + smuggled},
		{"length 5 and an answer behind", "Content-Length: 5\r\n\r\n" + smuggled}, {"chunks announced", "Transfer-Encoding: chunked\r\n\r\n"}, {"chunks", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"}, {"a last chunk", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"gzip announced", "Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\n"}, {"two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"}, {"a wrong length", "Content-Length: x\r\n\r\n"}, {"length beside chunks", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"}, {"a negative length", "Content-Length: -1\r\n\r\n"},
	}
	for _, f := range frames {
		for _, status := range []string{"204 No Content", "304 Not Modified", "205 Reset Content"} {
			g.add("GET", status[:3]+" with "+f.name, "HTTP/1.1 "+status+"\r\n"+f.text, "bodiless", status[:3])
		}
		for _, status := range []string{"200 OK", "404 Not Found", "204 No Content", "301 Moved"} {
			g.add("HEAD", status[:3]+" with "+f.name, "HTTP/1.1 "+status+"\r\n"+f.text, "bodiless", "HEAD", status[:3])
		}
		g.add("HEAD", "200 in HTTP/1.0 with "+f.name, "HTTP/1.0 200 OK\r\n"+f.text, "bodiless", "HEAD")
	}
}

func (g *grammar) headers() {
	for _, line := range []string{
		"X: y", "X:y", "X:", "X: ", "X:\ty\t", "X:   y   ", "X : y", "X\t: y", " X: y", "\tX: y", "X: y\r\n z", "X: y\r\n\tz", "X: y\r\n \r\n z", "X: y\r\n \t", "X: y\r\n  : z", "X:\r\n", "X", "X\r\nY: z", ":", ": y", ":y", "  ", "X y: z", "X(: y", "X{}: y", "X\": y",
		"X@: y", "X/: y", "X\xe4: y", "\xc3\xa4: y", "X\x00: y", "X\x01: y", "X\x7f: y", "X: \x00", "X: a\x00b", "X: a\x01b", "X: a\x1bb", "X: a\x7fb", "X: a\x0bb", "X: a\x0cb", "X: a\x08b", "X: \xe4", "X: \xc3\xa4", "X: \xff\xfe", "X: a\rb", "X: a\r", "X\r: y", "X: y\nZ: w",
		"X: y\n\n", "x-Y-zED: 1", "X: 1\r\nX: 2", "X: 1\r\nx: 2", "X: 1\r\nY: 2\r\nX: 3", "Set-Cookie: a=b\r\nSet-Cookie: c=d", "X: " + strings.Repeat("y", 3000), "X: " + strings.Repeat("y", 5000), "X: " + strings.Repeat("y", 60000), "X: " + strings.Repeat("y", 70000),
		strings.Repeat("X: y\r\n", 500) + "X: y", strings.Repeat("N", 3000) + ": y", "!#$%&'*+-.^_`|~: y", "123: y", "X::y", "X: :", "HTTP/1.1 200 OK", "GET / HTTP/1.1", "Content-Type: text/plain\r\n charset=x", "X: \"a\r\n b\"", "X;y: z", "X=y: z", "X,y: z", "X: y\r\r\nZ: w", "X: y\x00\r\nZ: w",
		"Trailer: Content-Length", "Transfer-Encoding", "Content-Encoding: ,", "Location: \x01", "Date: never", "Content-Type: \x7f", "X:\x00", "X: y \x0b",
	} {
		g.add("GET", short("line", line), okay+line+"\r\nContent-Length: 2\r\n\r\nok", "header")
	}
}

func (g *grammar) trailers() {
	const head = okay + "Transfer-Encoding: chunked\r\n"
	for _, trailer := range []string{
		"", "X: y", "X: y\r\nZ: w", "X : y", "X", ": y", "X: y\n", "X: y\r", "X: a\x00b", "X: a\x01b", "X: y\r\n z", "Content-Length: 5", "Transfer-Encoding: chunked", "Trailer: X", "Host: x", "Set-Cookie: a=b", "X: " + strings.Repeat("y", 5000), "X: " + strings.Repeat("y", 70000), strings.Repeat("X: y\r\n", 200) + "X: y",
	} {
		end := "\r\n"
		if trailer != "" {
			end = trailer + "\r\n\r\n"
		}
		for _, announced := range []string{"", "Trailer: X\r\n", "Trailer: X, Z\r\n", "Trailer: Content-Length\r\n", "Trailer: x y\r\n", "Trailer: \r\n"} {
			if announced != "" && len(trailer) > 40 {
				continue
			}
			g.add("GET", short("trailer", trailer)+fmt.Sprintf(", announced as %q", announced), head+announced+"\r\n5\r\nhello\r\n0\r\n"+end, "trailer")
		}
		g.add("GET", short("trailer", trailer)+", cut", head+"\r\n5\r\nhello\r\n0\r\n"+strings.TrimSuffix(end, "\r\n"), "trailer", "cut")
	}
	g.add("GET", "a trailer beside a length", okay+"Trailer: X\r\nContent-Length: 5\r\n\r\nhello", "trailer")
	g.add("GET", "a trailer in HTTP/1.0", "HTTP/1.0 200 OK\r\nTrailer: X\r\n\r\nhello", "trailer")
}

func (g *grammar) connections() {
	for _, version := range []string{"HTTP/1.1", "HTTP/1.0"} {
		for _, line := range []string{
			"", "Connection: close", "Connection: Close", "Connection: keep-alive", "Connection: close, keep-alive", "Connection: keep-alive, close", "Connection: x, close", "Connection: close\r\nConnection: keep-alive", "Connection:", "Connection: ,", "Connection: closed", "Connection: \"close\"",
			"Connection: close;x", "Proxy-Connection: close", "Keep-Alive: timeout=5, max=100", "Keep-Alive: timeout=0", "Keep-Alive: max=0", "Keep-Alive: timeout=-1", "Keep-Alive: timeout=99999999999999999999", "Keep-Alive: x", "Connection: upgrade\r\nUpgrade: h2c", "Connection: Content-Length", "Connection: X\r\nX: y",
		} {
			for _, behind := range []string{"", smuggled} {
				name := fmt.Sprintf("%s with %q", version, line)
				if behind != "" {
					name += ", an answer behind"
				}
				text := version + " 200 OK\r\n"
				if line != "" {
					text += line + "\r\n"
				}
				g.add("GET", name, text+"Content-Length: 2\r\n\r\nok"+behind, "connection")
			}
		}
	}
}
