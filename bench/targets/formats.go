package targets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Format is how a file of targets is written: see the package.
type Format string

// The formats.
const (
	Auto      Format = "auto" // whatever the file looks like
	Vegeta    Format = "vegeta"
	JSONLines Format = "jsonl"
	HAR       Format = "har"
	Cassette  Format = "cassette"
	AccessLog Format = "accesslog"
	Chains    Format = "chains"
)

// Formats are the names of all.
var Formats = []Format{Auto, Vegeta, JSONLines, HAR, Cassette, AccessLog, Chains}

// ParseFormat reads the name of a format; the empty one is Auto.
func ParseFormat(name string) (Format, error) {
	if name == "" {
		return Auto, nil
	}
	if format := Format(name); slices.Contains(Formats, format) {
		return format, nil
	}
	return "", fmt.Errorf("format %.40q: want one of %v", name, Formats)
}

// Options say what of a file is taken. The zero value takes everything but credentials.
type Options struct {
	// Base is what a URL that begins with "/", as those of access logs do, is joined to: it
	// becomes Plan.Base, unless the file has one. Empty means none.
	Base string
	// Hosts are those whose requests a HAR's and a cassette's are taken for: "api.example.com", or
	// "*.example.com" for all below it. Nil means all.
	Hosts []string
	// Methods are those that are taken of what was recorded. Nil means all, but of an
	// access log GET, HEAD and OPTIONS.
	Methods []string
	// Credentials keeps what a HAR or a cassette has in Cookie, in Authorization and in headers
	// whose names speak of keys, tokens and secrets. False leaves it out.
	Credentials bool
}

// Read is what a file has.
type Read struct {
	Plan Plan
	// Recorded are the instants of arrivals, since the first, for a schedule.Spec; nil if the
	// file has none.
	Recorded []time.Duration
	Format   Format // that it was read as
	// Files are the names of those that the file names, and that were read with it.
	Files []string
	// Notes say what was left out or made up, each in a line.
	Notes []string
}

// maxFile is how much of a file is read.
const maxFile = 1 << 30

// ReadFile reads a file of targets; "-" is standard input. An error is a *FileError or a
// *strictjson.Error, and names the file and the line.
func ReadFile(name string, format Format, options Options) (*Read, error) {
	text, err := readAll(name)
	if err != nil {
		return nil, &FileError{File: name, Err: err}
	}
	return Parse(name, text, format, options)
}

func readAll(name string) ([]byte, error) {
	file := os.Stdin
	if name != "-" {
		var err error
		if file, err = os.Open(name); err != nil {
			return nil, withoutPath(err)
		}
		defer file.Close()
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("it has more than %d MiB, which is the most that is read", maxFile>>20)
	}
	return text, withoutPath(err)
}

// withoutPath takes the path out of an error whose path is told beside it.
func withoutPath(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// source is a text that is read.
type source struct {
	Options
	name  string
	text  []byte
	files []string // that were read beside it
}

func (s *source) fail(line int, format string, args ...any) error {
	return &FileError{s.name, line, fmt.Errorf(format, args...)}
}

// Parse reads text, which is the content of the file called name, as ReadFile does.
func Parse(name string, text []byte, format Format, options Options) (*Read, error) {
	s := &source{Options: options, name: name, text: bytes.TrimPrefix(text, []byte("\uFEFF"))}
	if format == "" || format == Auto {
		if format = detect(s.text); format == Auto {
			return nil, s.fail(0, "it is in none of the formats %v, as far as can be seen", Formats[1:])
		}
	}
	parse := map[Format]func(*source) (*Read, error){
		Vegeta: (*source).vegeta, JSONLines: (*source).jsonLines, HAR: (*source).har,
		Cassette: (*source).cassette, AccessLog: (*source).accessLog, Chains: (*source).chains,
	}[format]
	if parse == nil {
		return nil, s.fail(0, "format %.40q: want one of %v", format, Formats)
	}
	read, err := parse(s)
	if err != nil {
		return nil, err
	}
	if len(read.Plan.Chains) == 0 {
		return nil, s.fail(0, "there is no request in it%s", because(read.Notes))
	}
	read.Files = s.files
	if read.Format = format; read.Plan.Base == "" {
		read.Plan.Base = options.Base
	}
	return read, nil
}

func because(notes []string) string {
	if len(notes) == 0 {
		return ""
	}
	return " (" + strings.Join(notes, "; ") + ")"
}

var (
	looksLikeLog      = regexp.MustCompile(`^\S+ \S+ .*\[\d{1,2}/[A-Z][a-z]{2}/\d{4}:`)
	looksLikeCassette = regexp.MustCompile(`(?m)^(interactions|http_interactions):`)
)

// detect finds out the format, or Auto.
func detect(text []byte) Format {
	if start := bytes.TrimSpace(text); len(start) > 0 && start[0] == '{' {
		return detectJSON(start)
	}
	if looksLikeCassette.Match(text) {
		return Cassette
	}
	for line := range bytes.Lines(text) {
		switch line = bytes.TrimSpace(line); {
		case len(line) == 0 || line[0] == '#':
		case looksLikeLog.Match(line):
			return AccessLog
		case beginsTarget.Match(line):
			return Vegeta
		default:
			return Auto
		}
	}
	return Auto
}

// detectJSON looks at the names of the first object.
func detectJSON(text []byte) Format {
	var names map[string]json.RawMessage
	if json.NewDecoder(bytes.NewReader(text)).Decode(&names) != nil {
		return Auto
	}
	for _, c := range []struct {
		name   string
		format Format
	}{{"log", HAR}, {"chains", Chains}, {"interactions", Cassette}, {"http_interactions", Cassette}, {"url", JSONLines}, {"method", JSONLines}} {
		if _, has := names[c.name]; has {
			return c.format
		}
	}
	return Auto
}

// open reads a file that a file of targets names. Where first is set, it is looked for from
// the current directory first.
func (s *source) open(name string, first bool) ([]byte, error) {
	beside := name
	if !filepath.IsAbs(name) && s.name != "-" {
		beside = filepath.Join(filepath.Dir(s.name), name)
	}
	if first {
		if text, err := readAll(name); !errors.Is(err, os.ErrNotExist) {
			s.files = append(s.files, name)
			return text, err
		}
	}
	s.files = append(s.files, beside)
	return readAll(beside)
}

// inTurn makes a plan of requests that are made in their order.
func inTurn(steps []Step) Plan {
	p := Plan{Chains: make([]Chain, len(steps)), Order: make([]int, len(steps))}
	for i, step := range steps {
		p.Chains[i].Steps, p.Order[i] = []Step{step}, i
	}
	return p
}

// OneTarget is the plan of one request, as from the flags of a command.
func OneTarget(method, url string, header http.Header, body []byte) Plan {
	return Plan{Chains: []Chain{{Steps: []Step{{Method: method, URL: url, Header: header, Body: body}}}}}
}
