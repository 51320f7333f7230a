package venue

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/internal/strictjson"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/limitfile"
)

// Options say where secrets come from. The zero value takes the process's environment.
type Options struct {
	// Getenv looks a variable of the environment up. Nil means os.LookupEnv.
	Getenv func(name string) (value string, found bool)
	// Reads is told of each file that the document names, before it is read. Nil means that
	// nobody wants to know.
	Reads func(path string)
	// Elsewhere says that the secrets are those of another machine, which is to use them. None is
	// fetched, and what is made of them is left out: accounts have no authenticators.
	Elsewhere bool
}

// Error is all that is wrong with a file that is JSON of the right names and kinds. It never
// has a secret in it.
type Error struct {
	File     string
	Mistakes []string // each begins with its path, as "auth.secret: …"
}

// Error names every mistake, in one line.
func (e *Error) Error() string { return e.File + ": " + strings.Join(e.Mistakes, "; ") }

//go:embed presets/*.json
var presets embed.FS

// Presets are the names that "preset" may have, sorted.
func Presets() (names []string) {
	files, _ := presets.ReadDir("presets")
	for _, file := range files {
		names = append(names, strings.TrimSuffix(file.Name(), ".json"))
	}
	slices.Sort(names)
	return names
}

// ReadFile reads a file, as Parse does.
func ReadFile(name string, options Options) (engine.Config, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return engine.Config{}, &Error{name, []string{withoutPath(err).Error()}}
	}
	return Parse(name, text, options)
}

// withoutPath takes the path out of an error whose path is told beside it.
func withoutPath(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// Parse makes a configuration of text, which is the content of the file called name, and checks
// it as engine.New does. An error is a *strictjson.Error for a name that is not known or a value
// of the wrong kind, and otherwise an *Error; it names every mistake.
func Parse(name string, text []byte, options Options) (engine.Config, error) {
	r := &reader{name: name, Options: options}
	if r.Getenv == nil {
		r.Getenv = os.LookupEnv
	}
	var limits []json.RawMessage
	doc := document{}
	if err := strictjson.Decode(name, text, &doc); err != nil {
		return engine.Config{}, err
	}
	if doc.Preset != "" {
		preset, err := presets.ReadFile("presets/" + doc.Preset + ".json")
		if err != nil {
			return engine.Config{}, &Error{name, []string{fmt.Sprintf("preset: %.40q is none of %s", doc.Preset, strings.Join(Presets(), ", "))}}
		}
		doc = document{}
		for _, from := range [][]byte{preset, text} { // the later wins
			limits = append(limits, doc.Limits...)
			doc.Limits = nil
			if err := strictjson.Decode(name, from, &doc); err != nil {
				return engine.Config{}, err
			}
		}
	}
	config := r.config(&doc, limits)
	if len(r.mistakes) == 0 {
		r.note("engine", check(config))
	}
	if len(r.mistakes) > 0 {
		return engine.Config{}, &Error{name, r.mistakes}
	}
	return config, nil
}

// check has an engine look at the configuration, which then ends, and has reached nobody.
func check(config engine.Config) error {
	refuse := errors.New("nobody is dialled")
	config.Dial.DialContext, config.Dial.LocalAddr = refusing(refuse), ""
	ways := make(map[string]engine.Egress, len(config.Egress))
	for name := range config.Egress {
		ways[name] = engine.Egress{DialContext: refusing(refuse)}
	}
	config.Egress = ways
	eng, err := engine.New(config)
	if err != nil {
		return err
	}
	return eng.Close()
}

// reader reads a document, and collects its mistakes.
type reader struct {
	Options
	name     string
	mistakes []string
}

func (r *reader) add(path, format string, args ...any) {
	r.mistakes = append(r.mistakes, path+": "+fmt.Sprintf(format, args...))
}

// note adds an error, whose parts each become a part of one line.
func (r *reader) note(path string, err error) {
	if err != nil {
		r.add(path, "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
}

// beside is the path of a file that is about to be read, as seen from the document's directory.
func (r *reader) beside(path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(r.name), path)
	}
	if r.Reads != nil {
		r.Reads(path)
	}
	return path
}

func (r *reader) config(doc *document, preset []json.RawMessage) engine.Config {
	c := engine.Config{
		BaseURL: value(doc.BaseURL), Origins: doc.Origins, Header: http.Header(doc.Header),
		Limits: r.limits(doc, preset), DefaultLimitID: value(doc.DefaultLimit), Throttle: doc.Throttle.options(),
		Time: doc.Time.source(), Clock: engine.Clock{Every: doc.Clock.Every.of(), Trust: doc.Clock.Trust.of()},
		Timeout:   doc.Timeout.of(),
		Admission: engine.Admission(doc.Admission), Connections: doc.connections(),
		Dial: r.dial(doc.Dial),
		Retry: engine.Retry{
			Max: doc.Retry.Max, Base: doc.Retry.Base.of(), Cap: doc.Retry.Cap.of(), PerAttempt: doc.Retry.PerAttempt.of(), Statuses: doc.Retry.Statuses,
		},
		Responses: doc.Responses.responses(),
	}
	if doc.Cookies {
		c.Cookies, _ = cookiejar.New(nil)
	}
	if doc.Feedback != nil {
		c.Feedback = r.feedback(doc.Feedback)
	}
	if doc.Auth != nil {
		c.Auth = r.auth("auth", *doc.Auth)
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Accounts)) {
		if c.Accounts == nil {
			c.Accounts = map[string]auth.Authenticator{}
		}
		path := fmt.Sprintf("accounts[%q]", name)
		if entry := doc.Accounts[name]; !reflect.ValueOf(entry).IsZero() {
			c.Accounts[name] = r.auth(path, entry)
		} else {
			c.Accounts[name] = nil // which has but quotas of its own
		}
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Egress)) {
		if c.Egress == nil {
			c.Egress = map[string]engine.Egress{}
		}
		path := fmt.Sprintf("egress[%q]", name)
		r.note(path+".local_addr", checkAddress(doc.Egress[name].LocalAddr))
		c.Egress[name] = engine.Egress{LocalAddr: doc.Egress[name].LocalAddr, Proxy: r.proxy(path+".proxy", doc.Egress[name].Proxy)}
	}
	return c
}

func value(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

func (t throttleEntry) options() throttle.Options {
	o := throttle.Options{
		Share: t.Share, SafetyMargin: t.SafetyMargin, MaxQueued: t.MaxQueued, Aging: t.Aging.of(), ClockRate: t.ClockRate,
		MaxPause: t.MaxPause.of(), LeastPause: t.LeastPause.of(), MaxBusyPause: t.MaxBusyPause.of(), StartFull: t.StartFull,
	}
	if t.Pacing != nil {
		o.Pacing = &throttle.Pacing{Bulk: t.Pacing.Bulk, Z: t.Pacing.Z}
	}
	return o
}

func (t *timeEntry) source() engine.TimeSource {
	if t == nil {
		return nil
	}
	return engine.TimeEndpoint{
		Path: t.Path, URL: t.URL, Field: t.Field, LimitID: t.Limit, Account: t.Account, Egress: t.Egress, Timeout: t.Timeout.of(),
	}
}

func (doc *document) connections() engine.Connections {
	c := doc.Connections
	return engine.Connections{
		Max: c.Max, MaxWaiters: c.MaxWaiters, MinIdle: c.MinIdle, MaxTotal: c.MaxTotal, MaxIdleTotal: c.MaxIdleTotal,
		IdleTimeout: c.IdleTimeout.of(), MaxAge: c.MaxAge.of(), Rotate: c.Rotate, LimitID: c.Limit, HTTP2: doc.HTTP2.has(),
	}
}

func (e responsesEntry) responses() engine.Responses {
	r := engine.Responses{MaxHeader: e.MaxHeader, MaxBody: e.MaxBody, Lenient: e.Lenient.has()}
	if e.Codings != nil {
		r.Codings = *e.Codings
	}
	return r
}

// limits joins all limits of the document to one table. Of two of one id the later counts.
func (r *reader) limits(doc *document, preset []json.RawMessage) []throttle.Limit {
	all := preset
	if doc.LimitsFile != "" {
		var file struct {
			Limits  []json.RawMessage `json:"limits"`
			Comment json.RawMessage   `json:"comment"`
		}
		path := r.beside(doc.LimitsFile)
		text, err := os.ReadFile(path)
		if err == nil {
			err = strictjson.Decode(path, text, &file)
		}
		r.note("limits_file", err)
		all = append(all, file.Limits...)
	}
	all = append(all, r.exchangeInfo(doc.ExchangeInfo)...)
	all = append(all, doc.Limits...)
	if len(all) == 0 {
		return nil
	}
	var kept []json.RawMessage
	at := map[string]int{}
	for _, entry := range all {
		var named struct {
			ID string `json:"id"`
		}
		_ = json.Unmarshal(entry, &named) // what is no limit is told by limitfile
		if i, again := at[named.ID]; again && named.ID != "" {
			kept[i] = entry
			continue
		}
		at[named.ID] = len(kept)
		kept = append(kept, entry)
	}
	text, _ := json.Marshal(map[string]any{"limits": kept})
	limits, err := limitfile.Read(bytes.NewReader(text))
	r.note("limits", err)
	return limits
}

// exchangeInfo has the limits of Binance's document, as entries of limitfile.
func (r *reader) exchangeInfo(name string) (entries []json.RawMessage) {
	if name == "" {
		return nil
	}
	file, err := os.Open(r.beside(name))
	if err != nil {
		r.note("exchange_info_file", err)
		return nil
	}
	defer file.Close()
	limits, err := limitfile.ReadExchangeInfo(file)
	r.note("exchange_info_file", err)
	for _, limit := range limits {
		entry := map[string]any{"id": limit.ID, "quota": limit.Quota, "per": limit.Per.String(), "window": limit.Window.String(), "scope": limit.Scope}
		if limit.By == throttle.ByAccount {
			entry["by"] = []string{throttle.ByAccount.String()}
		}
		text, _ := json.Marshal(entry)
		entries = append(entries, text)
	}
	return entries
}

func (r *reader) dial(e dialEntry) engine.Dial {
	r.note("dial.local_addr", checkAddress(e.LocalAddr))
	return engine.Dial{
		Timeout: e.Timeout.of(), Backoff: e.Backoff.of(), BackoffCap: e.BackoffCap.of(), LocalAddr: e.LocalAddr,
		Proxy: r.proxy("dial.proxy", e.Proxy), TLS: r.tls(e.TLS),
	}
}

var proxySchemes = []string{"http", "https", "socks5", "socks5h"}

func (r *reader) proxy(path string, p proxy) func(*http.Request) (*url.URL, error) {
	text := p.url
	switch {
	case p == proxy{}:
		return nil
	case text == "environment":
		return http.ProxyFromEnvironment
	case p.hidden.given:
		text = string(r.secret(path, p.hidden))
		if text == "" {
			return nil // a mistake already, or another machine's
		}
	}
	u, err := url.Parse(text) // whose error has the text in it
	switch {
	case err != nil || u.Host == "" || !slices.Contains(proxySchemes, u.Scheme):
		r.add(path, "it is no URL of a proxy, such as http://192.0.2.1:3128 or socks5://192.0.2.1:1080")
	case u.User != nil && !p.hidden.given:
		r.add(path, `it has a user or a password, and no secret stands in this file: want {"env": "NAME"} or {"file": "path"}`)
	}
	return http.ProxyURL(u)
}

func (r *reader) tls(e tlsEntry) *tls.Config {
	if e == (tlsEntry{}) {
		return nil
	}
	c := &tls.Config{ServerName: e.ServerName, InsecureSkipVerify: e.Insecure} //nolint:gosec // what is measured may have a certificate of its own
	switch e.MinVersion {
	case "":
	case "1.2":
		c.MinVersion = tls.VersionTLS12
	case "1.3":
		c.MinVersion = tls.VersionTLS13
	default:
		r.add("dial.tls.min_version", "%.20q is neither 1.2 nor 1.3", e.MinVersion)
	}
	if e.CAFile != "" {
		text, err := os.ReadFile(r.beside(e.CAFile))
		c.RootCAs = x509.NewCertPool()
		if err == nil && !c.RootCAs.AppendCertsFromPEM(text) {
			err = errors.New("there is no certificate in it")
		}
		r.note("dial.tls.ca_file", err)
	}
	switch {
	case (e.CertFile == "") != (e.KeyFile == ""):
		r.add("dial.tls", "cert_file and key_file are given together")
	case e.CertFile != "" && !r.Elsewhere:
		certificate, err := tls.LoadX509KeyPair(r.beside(e.CertFile), r.beside(e.KeyFile))
		r.note("dial.tls.cert_file", err)
		c.Certificates = []tls.Certificate{certificate}
	}
	return c
}

// secret fetches a secret. If it cannot be had, that is a mistake, and it is empty.
func (r *reader) secret(path string, s secret) auth.Secret {
	if !s.given || r.Elsewhere {
		return ""
	}
	text, found := "", true
	if s.env != "" {
		if text, found = r.Getenv(s.env); !found {
			r.add(path, "the variable %s is not in the environment", s.env)
			return ""
		}
	} else {
		read, err := os.ReadFile(r.beside(s.file))
		if err != nil {
			r.note(path, err)
			return ""
		}
		text = strings.TrimRight(string(read), "\r\n")
	}
	if text == "" {
		r.add(path, "it is empty")
	}
	return auth.Secret(text)
}
