package venue

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/internal/strictjson"
	"github.com/sluice-engine/sluice/throttle"
)

// environment has what the tests' files name.
func environment(pairs ...string) Options {
	values := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	return Options{Getenv: func(name string) (string, bool) { value, found := values[name]; return value, found }}
}

var filled = environment("KEY", "k-sesame", "SECRET", "s-sesame", "PHRASE", "p-sesame", "BASE64", "c2VzYW1l", "EMPTY", "")

func parse(t *testing.T, text string) engine.Config {
	config, err := Parse("venue.json", []byte(text), filled)
	require.NoError(t, err)
	return config
}

func TestTheExampleIsKeptByAnExchangeWithoutAViolation(t *testing.T) {
	ex, err := exchange.New(exchange.Config{
		Accounts: []exchange.Account{{Key: exchange.DemoKey, Secret: exchange.DemoSecret}, {Key: "second-key", Secret: "second-secret"}},
		Limits: []exchange.Limit{
			{Kind: exchange.Weight, Quota: 300, Per: time.Second, Policy: exchange.Sliding},
			{Kind: exchange.Orders, Quota: 10, Per: 500 * time.Millisecond, Policy: exchange.Sliding},
		},
	})
	require.NoError(t, err)
	defer ex.Close()
	url, err := ex.Start("127.0.0.1:0")
	require.NoError(t, err)
	config, err := ReadFile("testdata/exchange.json", environment("EXCHANGE_KEY", exchange.DemoKey, "EXCHANGE_SECRET", exchange.DemoSecret, "SECOND_KEY", "second-key"))
	require.NoError(t, err)
	config.BaseURL = url
	eng, err := engine.New(config)
	require.NoError(t, err)
	defer eng.Close()
	at := func(n int, request func(i int) *engine.Request) {
		var wait sync.WaitGroup
		for i := range n {
			wait.Go(func() {
				response, err := eng.Do(t.Context(), request(i))
				if err != nil || response.StatusCode != 200 {
					t.Errorf("request %d: %v %v", i, response, err)
				}
			})
		}
		wait.Wait()
	}
	at(44, func(i int) *engine.Request { // more than twice what an account may have at once
		return &engine.Request{Method: "POST", Path: "/api/v3/order", Auth: true, LimitID: "order", Account: []string{"", "second"}[i%2],
			Query: engine.Values{"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001"}}
	})
	at(18, func(i int) *engine.Request { // more than the address may have at once
		if i%2 == 0 {
			return &engine.Request{Path: "/api/v3/depth", Query: engine.Values{"symbol": "BTCUSDT", "limit": 500}, LimitID: "depth"}
		}
		return &engine.Request{Path: "/api/v3/account", Auth: true, LimitID: "account"}
	})
	report := ex.Report()
	require.Zero(t, report.Violations())
	require.Zero(t, ex.Violations())
}

const everything = `{
		"base_url": "https://api.example.com", "origins": ["https://data.example.com"], "header": {"X-Client": "bench", "X-Two": ["a", "b"]},
		"limits": [{"id": "weight", "quota": 6000, "per": "1m", "window": "fixed"}, {"id": "connects", "quota": 300, "per": "5m", "scope": "connects"},
			{"id": "time", "links": [{"id": "weight", "weight": 2}]}],
		"default_limit": "weight",
		"throttle": {"share": 0.5, "safety_margin": 0.02, "max_queued": 1000, "aging": "10ms", "clock_rate": 0.0001,
			"max_pause": "1h", "least_pause": "2s", "max_busy_pause": "20s", "start_full": true, "pacing": {"bulk": -100, "z": 3}},
		"auth": {"scheme": "binance", "key": {"env": "KEY"}, "secret": {"env": "SECRET"}, "window": "4s", "deadlines": true},
		"accounts": {"two": {"scheme": "okx", "key": {"env": "KEY"}, "secret": {"env": "SECRET"}, "passphrase": {"env": "PHRASE"}}, "none": null},
		"time": {"path": "/time", "field": "t", "limit": "time", "account": "two", "egress": "second", "timeout": "3s"},
		"clock": {"every": "7s", "trust": "4m"},
		"timeout": "9s", "cookies": true, "feedback": "bybit",
		"admission": {"max_in_flight": 11, "max_waiting": 12},
		"connections": {"max": 1, "max_waiters": 2, "min_idle": 1, "max_total": 4, "max_idle_total": 5, "idle_timeout": "6s", "max_age": "7m", "rotate": true, "limit": "connects"},
		"http2": ["api.example.com:443"],
		"dial": {"timeout": "1s", "backoff": "2ms", "backoff_cap": "3s", "local_addr": "127.0.0.1", "proxy": "http://192.0.2.1:3128", "tls": {"server_name": "x", "min_version": "1.3", "insecure": true}},
		"egress": {"second": {"local_addr": "127.0.0.2", "proxy": "socks5://192.0.2.2:1080"}},
		"responses": {"max_header": 70000, "max_body": 5, "codings": [], "lenient": true},
		"retry": {"max": 1, "base": "2ms", "cap": "3s", "per_attempt": "4s", "statuses": [502]}
	}`

func TestEveryNameReachesItsField(t *testing.T) {
	c := parse(t, everything)
	require.Equal(t, "https://api.example.com", c.BaseURL)
	require.Equal(t, []string{"https://data.example.com"}, c.Origins)
	require.Equal(t, http.Header{"X-Client": {"bench"}, "X-Two": {"a", "b"}}, c.Header)
	require.Equal(t, "weight", c.DefaultLimitID)
	require.Equal(t, throttle.Fixed, c.Limits[0].Window)
	require.Equal(t, throttle.Options{Share: 0.5, SafetyMargin: 0.02, MaxQueued: 1000, Aging: 10 * time.Millisecond, ClockRate: 0.0001, MaxPause: time.Hour,
		LeastPause: 2 * time.Second, MaxBusyPause: 20 * time.Second, StartFull: true, Pacing: &throttle.Pacing{Bulk: -100, Z: 3}}, c.Throttle)
	require.Equal(t, auth.HMACQuery{Key: "k-sesame", Secret: "s-sesame", Window: 4 * time.Second, Deadlines: true}, c.Auth)
	require.Equal(t, auth.Secret("p-sesame"), c.Accounts["two"].(auth.Header).Passphrase)
	require.Contains(t, c.Accounts, "none")
	require.Nil(t, c.Accounts["none"])
	require.Equal(t, engine.TimeEndpoint{Path: "/time", Field: "t", LimitID: "time", Account: "two", Egress: "second", Timeout: 3 * time.Second}, c.Time)
	require.Equal(t, engine.Clock{Every: 7 * time.Second, Trust: 4 * time.Minute}, c.Clock)
	require.Equal(t, 9*time.Second, c.Timeout)
	require.NotNil(t, c.Cookies)
	require.NotNil(t, c.Feedback)
	require.Equal(t, engine.Admission{MaxInFlight: 11, MaxWaiting: 12}, c.Admission)
	require.True(t, c.Connections.HTTP2("api.example.com:443"))
	require.False(t, c.Connections.HTTP2("other:443"))
	c.Connections.HTTP2 = nil
	require.Equal(t, engine.Connections{Max: 1, MaxWaiters: 2, MinIdle: 1, MaxTotal: 4, MaxIdleTotal: 5, IdleTimeout: 6 * time.Second, MaxAge: 7 * time.Minute, Rotate: true, LimitID: "connects"}, c.Connections)
	require.Equal(t, []any{time.Second, 2 * time.Millisecond, 3 * time.Second, "127.0.0.1"}, []any{c.Dial.Timeout, c.Dial.Backoff, c.Dial.BackoffCap, c.Dial.LocalAddr})
	through, err := c.Dial.Proxy(nil)
	require.NoError(t, err)
	require.Equal(t, "http://192.0.2.1:3128", through.String())
	require.Equal(t, []any{"x", uint16(tls.VersionTLS13), true}, []any{c.Dial.TLS.ServerName, c.Dial.TLS.MinVersion, c.Dial.TLS.InsecureSkipVerify})
	through, err = c.Egress["second"].Proxy(nil)
	require.NoError(t, err)
	require.Equal(t, "socks5://192.0.2.2:1080", through.String())
	require.Equal(t, "127.0.0.2", c.Egress["second"].LocalAddr)
	require.Equal(t, []any{70000, int64(5), []string{}, true}, []any{c.Responses.MaxHeader, c.Responses.MaxBody, c.Responses.Codings, c.Responses.Lenient("any:1")})
	require.Equal(t, engine.Retry{Max: 1, Base: 2 * time.Millisecond, Cap: 3 * time.Second, PerAttempt: 4 * time.Second, Statuses: []int{502}}, c.Retry)
}

func TestTheDocumentedNamesAreAllThatThereAre(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	for _, names := range [][]string{Schemes(), Readers(), Presets()} {
		require.NotEmpty(t, names)
		for _, name := range names {
			require.Contains(t, string(text), name)
		}
	}
	// the document of the package's comment is one that can be read, but for what it is beside
	_, example, _ := strings.Cut(string(text), "//\t{\n")
	example, _, _ = strings.Cut(example, "//\t}\n")
	example = "{" + strings.NewReplacer("//\t", "", "//\n", "\n").Replace(example) + "}"
	require.NoError(t, strictjson.Decode("doc.go", []byte(example), &document{}))
}

func TestAPresetIsAVenueAndTheFileWins(t *testing.T) {
	for _, name := range Presets() {
		c := parse(t, fmt.Sprintf(`{"preset": %q}`, name))
		require.NotEmpty(t, c.Limits)
		require.NotNil(t, c.Feedback)
		require.NotNil(t, c.Time)
		require.True(t, strings.HasPrefix(c.BaseURL, "https://"))
	}
	c := parse(t, `{"preset": "binance", "base_url": "http://127.0.0.1:1", "limits": [{"id": "weight", "quota": 700, "per": "1s"}, {"id": "more", "links": [{"id": "weight", "weight": 3}]}], "default_limit": "more", "time": {"timeout": "1s"}}`)
	require.Equal(t, "http://127.0.0.1:1", c.BaseURL)
	require.Equal(t, "more", c.DefaultLimitID)
	require.Equal(t, engine.TimeEndpoint{Path: "/api/v3/time", Field: "serverTime", LimitID: "time", Timeout: time.Second}, c.Time)
	byID := map[string]throttle.Limit{}
	for _, limit := range c.Limits {
		require.NotContains(t, byID, limit.ID)
		byID[limit.ID] = limit
	}
	require.EqualValues(t, 700, byID["weight"].Quota)
	require.Contains(t, byID, "more")
	require.Contains(t, byID, "order")
}

func TestLimitsOfSeveralFilesAreOneTable(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	write("limits.json", `{"comment": 1, "limits": [{"id": "own", "quota": 5, "per": "1s"}, {"id": "route", "links": [{"id": "REQUEST_WEIGHT_1M", "weight": 2}]}]}`)
	write("info.json", `{"rateLimits": [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000}, {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100}]}`)
	write("venue.json", `{"limits_file": "limits.json", "exchange_info_file": "info.json", "limits": [{"id": "all", "links": [{"id": "own"}, {"id": "ORDERS_10S"}]}]}`)
	c, err := ReadFile(filepath.Join(folder, "venue.json"), Options{})
	require.NoError(t, err)
	var ids []string
	for _, limit := range c.Limits {
		ids = append(ids, limit.ID)
	}
	require.Equal(t, []string{"own", "route", "REQUEST_WEIGHT_1M", "ORDERS_10S", "all"}, ids)
	require.Equal(t, throttle.Limit{ID: "ORDERS_10S", Quota: 100, Per: 10 * time.Second, Window: throttle.Fixed, Scope: "account", By: throttle.ByAccount}, c.Limits[3])
	write("venue.json", `{"limits_file": "nowhere.json", "exchange_info_file": "nowhere.json"}`)
	_, err = ReadFile(filepath.Join(folder, "venue.json"), Options{})
	require.ErrorContains(t, err, "limits_file: ")
	require.ErrorContains(t, err, "exchange_info_file: ")
}

func TestEverySchemeSigns(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	pemFile, _ := json.Marshal(file)
	text := map[string]string{
		"key": `{"env": "KEY"}`, "secret": `{"env": "BASE64"}`, "passphrase": `{"env": "PHRASE"}`, "private_key": `{"file": ` + string(pemFile) + `}`,
		"session_token": `{"env": "KEY"}`, "window": `"3s"`, "lifetime": `"1m"`, "deadlines": "true", "raw_path": "true", "unsigned_payload": "true", "scopes": `["a"]`, "token_url": `"https://h/token"`,
	}
	for name, s := range schemes {
		for _, which := range []int{0, 1} { // of names with a bar between them
			fields := []string{fmt.Sprintf(`"scheme": %q`, name)}
			for _, need := range append(strings.Fields(s.needs), strings.Fields(s.may)...) {
				choices := strings.Split(need, "|")
				field := choices[min(which, len(choices)-1)]
				said := text[field]
				if said == "" {
					said = `"x"`
				}
				fields = append(fields, fmt.Sprintf("%q: %s", field, said))
			}
			c := parse(t, `{"base_url": "https://h", "auth": {`+strings.Join(fields, ", ")+`}}`)
			require.NotNil(t, c.Auth, name)
			for _, hidden := range []string{"c2VzYW1l", "p-sesame"} {
				require.NotContains(t, fmt.Sprintf("%v %+v %#v", c.Auth, c.Auth, c.Auth), hidden, name)
			}
		}
	}
}

func TestEveryMistakeIsNamedByItsPathAndNoSecretIsShown(t *testing.T) {
	for text, says := range map[string][]string{
		`{"preset": "nasdaq"}`: {"venue.json: preset: \"nasdaq\" is none of binance, binance-usdm"},
		`{"base_url": 5, "limit": 1, "timeout": "soon", "retry": {"maxx": 1}, "http2": "yes"}`:          {"venue.json:1: base_url: number where a text is wanted", "limit: unknown name", `timeout: "soon" is no duration`, "retry.maxx: unknown name", "http2: want true"},
		`{"auth": {"scheme": "binance", "key": "k-sesame", "secret": {"env": "A", "file": "B"}}}`:       {"auth.key: no secret stands in this file", "auth.secret: no secret stands"},
		`{"auth": {"scheme": "binance", "key": {"env": "NONE"}, "secret": {"env": "EMPTY"}}}`:           {"auth.key: the variable NONE is not in the environment", "auth.secret: it is empty"},
		`{"auth": {"scheme": "binance", "key": {"file": "nowhere"}, "passphrase": {"env": "PHRASE"}}}`:  {"auth.passphrase: it is not for the scheme binance", "auth: the scheme binance needs secret", "auth.key: open nowhere"},
		`{"auth": {"scheme": "hmac"}, "accounts": {"a": {"scheme": ""}, "b": {"key": {"env": "KEY"}}}}`: {"auth.scheme: \"hmac\" is none of", "accounts[\"b\"].scheme: \"\" is none of"},
		`{"auth": {"scheme": "api-key", "key": {"env": "KEY"}, "header": "a", "query": "b"}}`:           {"needs header or query, and not both"},
		`{"auth": {"scheme": "coinbase-cdp", "key_id": "x", "private_key": {"env": "SECRET"}}}`:         {"auth.private_key: "},
		`{"feedback": "ftx"}`: {"feedback.reader: \"ftx\" is none of"},
		`{"feedback": {"reader": "binance", "limits": {"orders": "x"}}}`: {"feedback.limits: \"orders\" is nothing"},
		`{"feedback": {"raeder": "binance"}}`:                            {"feedback: want the name of a reader"},
		`{"dial": {"proxy": "http://user:sesame@192.0.2.1:1", "local_addr": "here", "tls": {"min_version": "1.1", "ca_file": "nowhere", "cert_file": "x"}}}`: {"dial.proxy: it has a user or a password", "dial.local_addr: \"here\"", "dial.tls.min_version", "dial.tls.ca_file", "dial.tls: cert_file and key_file"},
		`{"egress": {"a": {"proxy": {"env": "SECRET"}, "local_addr": "x"}}}`:                                                                                 {`egress["a"].proxy: it is no URL`, `egress["a"].local_addr: "x"`},
		`{"limits": [{"id": "a", "quota": 1, "per": "1s", "colour": 1}]}`:                                                                                    {"limits: "},
		`{"limits": [{"id": "a", "links": [{"id": "b"}]}]}`:                                                                                                  {"limits: "},
		`{"default_limit": "x", "limits": [{"id": "a", "quota": 1, "per": "1s"}], "connections": {"max": -1}}`:                                               {"engine: ", "Connections.Max", "\"x\""},
		"": {"venue.json:1: it is not JSON"},
	} {
		_, err := Parse("venue.json", []byte(text), filled)
		require.Error(t, err, text)
		for _, said := range says {
			require.ErrorContains(t, err, said)
		}
		require.NotContains(t, err.Error(), "sesame")
		require.NotContains(t, err.Error(), "\n")
	}
	_, err := ReadFile("nowhere.json", Options{})
	require.ErrorContains(t, err, "nowhere.json: no such file")
}

func TestCertificatesAreReadFromFiles(t *testing.T) {
	folder := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "c.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "k.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "proxy"), []byte("http://user:sesame@192.0.2.1:3128\n"), 0o600))
	name := filepath.Join(folder, "venue.json")
	require.NoError(t, os.WriteFile(name, []byte(`{"dial": {"proxy": {"file": "proxy"}, "tls": {"ca_file": "c.pem", "cert_file": "c.pem", "key_file": "k.pem"}}}`), 0o600))
	var told []string
	c, err := ReadFile(name, Options{Reads: func(path string) { told = append(told, filepath.Base(path)) }})
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"proxy", "c.pem", "c.pem", "k.pem"}, told)
	require.Len(t, c.Dial.TLS.Certificates, 1)
	require.NotNil(t, c.Dial.TLS.RootCAs)
	through, err := c.Dial.Proxy(nil)
	require.NoError(t, err)
	require.Equal(t, "192.0.2.1:3128", through.Host)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "c.pem"), []byte("nothing"), 0o600))
	_, err = ReadFile(name, Options{})
	require.ErrorContains(t, err, "dial.tls.ca_file: there is no certificate in it")
	require.ErrorContains(t, err, "dial.tls.cert_file: ")
	require.NotNil(t, parse(t, `{"dial": {"proxy": "environment"}}`).Dial.Proxy)
	require.NotNil(t, parse(t, `{"http2": true}`).Connections.HTTP2)
	require.Nil(t, parse(t, `{"http2": false}`).Connections.HTTP2)
}

func FuzzParse(f *testing.F) {
	example, err := os.ReadFile("testdata/exchange.json")
	require.NoError(f, err)
	f.Add(string(example))
	f.Add(everything)
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "file") {
			return // which would read what it names
		}
		if _, err := Parse("f", []byte(text), filled); err != nil {
			require.True(t, strings.HasPrefix(err.Error(), "f:"), err)
			require.NotContains(t, err.Error(), "-sesame")
		}
	})
}
