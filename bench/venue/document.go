package venue

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sluice-engine/sluice/throttle"
)

// document is the schema of a file.
type document struct {
	Comment json.RawMessage `json:"comment"` // for people; not read
	Preset  string          `json:"preset"`
	place
	Limits       []json.RawMessage    `json:"limits"`
	LimitsFile   string               `json:"limits_file"`
	ExchangeInfo string               `json:"exchange_info_file"`
	DefaultLimit *string              `json:"default_limit"`
	Throttle     throttleEntry        `json:"throttle"`
	Feedback     *feedbackEntry       `json:"feedback"`
	Auth         *authEntry           `json:"auth"`
	Accounts     map[string]authEntry `json:"accounts"`
	Time         *timeEntry           `json:"time"`
	Clock        clockEntry           `json:"clock"`
	Admission    admissionEntry       `json:"admission"`
	Connections  connectionsEntry     `json:"connections"`
	HTTP2        origins              `json:"http2"`
	Dial         dialEntry            `json:"dial"`
	Egress       map[string]wayEntry  `json:"egress"`
	Responses    responsesEntry       `json:"responses"`
	Retry        retryEntry           `json:"retry"`
	Timeout      duration             `json:"timeout"`
	Cookies      bool                 `json:"cookies"`
}

type throttleEntry struct {
	Share        float64      `json:"share"`
	SafetyMargin float64      `json:"safety_margin"`
	MaxQueued    int          `json:"max_queued"`
	Aging        duration     `json:"aging"`
	ClockRate    float64      `json:"clock_rate"`
	MaxPause     duration     `json:"max_pause"`
	LeastPause   duration     `json:"least_pause"`
	MaxBusyPause duration     `json:"max_busy_pause"`
	StartFull    bool         `json:"start_full"`
	Pacing       *pacingEntry `json:"pacing"`
}

type pacingEntry struct {
	Bulk throttle.Priority `json:"bulk"`
	Z    float64           `json:"z"`
}

type timeEntry struct {
	Path    string   `json:"path"`
	URL     string   `json:"url"`
	Field   string   `json:"field"`
	Limit   string   `json:"limit"`
	Account string   `json:"account"`
	Egress  string   `json:"egress"`
	Timeout duration `json:"timeout"`
}

type clockEntry struct {
	Every duration `json:"every"`
	Trust duration `json:"trust"`
}

type admissionEntry struct {
	MaxInFlight int `json:"max_in_flight"`
	MaxWaiting  int `json:"max_waiting"`
}

type connectionsEntry struct {
	Max          int      `json:"max"`
	MaxWaiters   int      `json:"max_waiters"`
	MinIdle      int      `json:"min_idle"`
	MaxTotal     int      `json:"max_total"`
	MaxIdleTotal int      `json:"max_idle_total"`
	IdleTimeout  duration `json:"idle_timeout"`
	MaxAge       duration `json:"max_age"`
	Rotate       bool     `json:"rotate"`
	Limit        string   `json:"limit"`
}

// wayEntry is a way out.
type wayEntry struct {
	LocalAddr string `json:"local_addr"`
	Proxy     proxy  `json:"proxy"`
}

type dialEntry struct {
	Timeout    duration `json:"timeout"`
	Backoff    duration `json:"backoff"`
	BackoffCap duration `json:"backoff_cap"`
	LocalAddr  string   `json:"local_addr"`
	Proxy      proxy    `json:"proxy"`
	TLS        tlsEntry `json:"tls"`
}

type tlsEntry struct {
	CAFile     string `json:"ca_file"`
	CertFile   string `json:"cert_file"`
	KeyFile    string `json:"key_file"`
	ServerName string `json:"server_name"`
	MinVersion string `json:"min_version"`
	Insecure   bool   `json:"insecure"`
}

type responsesEntry struct {
	MaxHeader int       `json:"max_header"`
	MaxBody   int64     `json:"max_body"`
	Codings   *[]string `json:"codings"`
	Lenient   origins   `json:"lenient"`
}

type retryEntry struct {
	Max        int      `json:"max"`
	Base       duration `json:"base"`
	Cap        duration `json:"cap"`
	PerAttempt duration `json:"per_attempt"`
	Statuses   []int    `json:"statuses"`
}

// authEntry has what the schemes need, each its own; see schemes.
type authEntry struct {
	Scheme          string   `json:"scheme"`
	Key             secret   `json:"key"`
	Secret          secret   `json:"secret"`
	Passphrase      secret   `json:"passphrase"`
	PrivateKey      secret   `json:"private_key"`
	SessionToken    secret   `json:"session_token"`
	Window          duration `json:"window"`
	Deadlines       bool     `json:"deadlines"`
	Header          string   `json:"header"`
	Query           string   `json:"query"`
	Prefix          string   `json:"prefix"`
	User            string   `json:"user"`
	KeyID           string   `json:"key_id"`
	Region          string   `json:"region"`
	Service         string   `json:"service"`
	RawPath         bool     `json:"raw_path"`
	UnsignedPayload bool     `json:"unsigned_payload"`
	token
}

// token is what makes tokens.
type token struct {
	Issuer   string   `json:"issuer"`
	Subject  string   `json:"subject"`
	Audience string   `json:"audience"`
	Lifetime duration `json:"lifetime"`
	TokenURL string   `json:"token_url"`
	Scopes   []string `json:"scopes"`
}

// place is where requests go, and what they all have.
type place struct {
	BaseURL *string  `json:"base_url"`
	Origins []string `json:"origins"`
	Header  header   `json:"header"`
}

// duration is a duration written as "1m30s".
type duration time.Duration

func (d *duration) UnmarshalJSON(text []byte) error {
	var s string
	parsed, err := time.Duration(0), json.Unmarshal(text, &s)
	if err == nil {
		parsed, err = time.ParseDuration(s)
	}
	if err != nil {
		return fmt.Errorf(`%.40s is no duration: want a text such as "1m30s"`, text)
	}
	*d = duration(parsed)
	return nil
}

func (d duration) of() time.Duration { return time.Duration(d) }

// header is a header whose values are texts or lists of them.
type header http.Header

func (h *header) UnmarshalJSON(text []byte) error {
	wrong := errors.New("want an object of names, each with a text or a list of texts")
	var values map[string]json.RawMessage
	if json.Unmarshal(text, &values) != nil {
		return wrong
	}
	read := header{}
	for name, raw := range values {
		var one string
		many := []string{}
		if json.Unmarshal(raw, &one) == nil {
			many = append(many, one)
		} else if json.Unmarshal(raw, &many) != nil {
			return wrong
		}
		read[name] = many
	}
	*h = read
	return nil
}

// origins are some hosts with their ports, or all, or none.
type origins struct {
	all   bool
	named map[string]bool
}

func (o *origins) UnmarshalJSON(text []byte) error {
	*o = origins{}
	if json.Unmarshal(text, &o.all) == nil {
		return nil
	}
	var names []string
	if json.Unmarshal(text, &names) != nil {
		return errors.New(`want true for all, false for none, or a list such as ["api.example.com:443"]`)
	}
	o.named = map[string]bool{}
	for _, name := range names {
		o.named[name] = true
	}
	return nil
}

// has is nil if there are none.
func (o origins) has() func(hostPort string) bool {
	if !o.all && len(o.named) == 0 {
		return nil
	}
	return func(hostPort string) bool { return o.all || o.named[hostPort] }
}

// secret says where a secret is, and never what it is.
type secret struct {
	given     bool
	env, file string
}

// UnmarshalJSON quotes nothing of the text: it may be a secret that somebody wrote there.
func (s *secret) UnmarshalJSON(text []byte) error {
	var named map[string]string
	*s = secret{given: true}
	if json.Unmarshal(text, &named) == nil && len(named) == 1 {
		s.env, s.file = named["env"], named["file"]
	}
	if s.env == "" && s.file == "" {
		return errors.New(`no secret stands in this file: want {"env": "NAME"} or {"file": "path"}`)
	}
	return nil
}

// proxy is a proxy's URL, or where it is, or "environment" for what HTTP_PROXY and the like say.
type proxy struct {
	url    string
	hidden secret
}

func (p *proxy) UnmarshalJSON(text []byte) error {
	*p = proxy{}
	if json.Unmarshal(text, &p.url) == nil {
		return nil
	}
	if p.hidden.UnmarshalJSON(text) != nil {
		return errors.New(`want the URL of a proxy, "environment", {"env": "NAME"} or {"file": "path"}`)
	}
	return nil
}
