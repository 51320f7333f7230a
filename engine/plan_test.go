package engine

import (
	"context"
	"crypto/tls"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/internal/unit"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

func TestEveryMistakeIsToldByItsFieldsPath(t *testing.T) {
	_, err := New(Config{
		BaseURL:        "ftp://server.test",
		Origins:        []string{"server.test", "https://server.test/v1"},
		DefaultLimitID: "missing",
		Limits: []throttle.Limit{
			{ID: "a", Quota: 0, Per: time.Second},
			{ID: "b", Quota: 1, Per: time.Second, Linked: []throttle.Link{{ID: "c"}}},
			{ID: Unlimited, Quota: 1, Per: time.Second},
		},
		Throttle:       throttle.Options{Share: 2, MaxQueued: -1},
		Auth:           auth.HMACQuery{},
		Accounts:       map[string]auth.Authenticator{"a": auth.Bearer{}, "": auth.Bearer{}},
		Time:           TimeEndpoint{LimitID: "gone", Account: "gone", Egress: "gone"},
		Clock:          Clock{Every: -1},
		PreProcessors:  []PreProcessor{nil},
		PostProcessors: []PostProcessor{PostProcessorFunc(func(context.Context, *Request, *Response) error { return nil }), nil},
		Timeout:        -1,
		Admission:      Admission{MaxInFlight: -1},
		Connections:    Connections{Max: -1, MaxWaiters: -1, MinIdle: -1, MaxTotal: -1, IdleTimeout: -1},
		Egress:         map[string]Egress{"": {LocalAddr: "localhost"}, "a": {LocalAddr: "localhost", ProxyConnectHeader: http.Header{"Host": {"x"}}}},
		Dial:           Dial{Timeout: -1, Backoff: -1, BackoffCap: -1, LocalAddr: "localhost"},
		Responses:      Responses{MaxHeader: -1, MaxBody: -1, Codings: []string{"gzip", "lzw"}},
		Retry:          Retry{Base: -1, Cap: -1},
	})
	require.Error(t, err)
	var fields []string
	for mistake := range strings.SplitSeq(strings.TrimPrefix(err.Error(), "sluice: configuration: "), "\n") {
		field, _, _ := strings.Cut(mistake, " ")
		fields = append(fields, strings.TrimSuffix(field, ":"))
	}
	require.ElementsMatch(t, []string{
		"BaseURL", "Origins[0]", "Origins[1]", "DefaultLimitID", "Limits", "Limits", "Limits", "Throttle", "Throttle",
		"Auth", "Auth", `Accounts[""]`, `Accounts[""]`, `Accounts["a"]`, "Time.Path", "Time.LimitID", "Time.Account", "Time.Egress", "Clock.Every", "PreProcessors[0]", "PostProcessors[1]", "Timeout",
		"Admission.MaxInFlight",
		"Connections.Max", "Connections.MaxWaiters", "Connections.MinIdle", "Connections.MaxTotal", "Connections.IdleTimeout",
		"Dial.Timeout", "Dial.Backoff", "Dial.BackoffCap", "Dial.LocalAddr",
		`Egress[""]`, `Egress[""].LocalAddr`, `Egress["a"].ProxyConnectHeader`, `Egress["a"].LocalAddr`,
		"Responses.MaxHeader", "Responses.MaxBody", "Responses.Codings[1]",
		"Retry.Base", "Retry.Cap",
	}, fields, "%v", err)
}

func TestMoreIdleConnectionsThanConnectionsAreAMistake(t *testing.T) {
	_, err := New(Config{Connections: Connections{MinIdle: 65}})
	require.EqualError(t, err, "sluice: configuration: Connections.MinIdle 65 is above Connections.Max 64")
}

// joinedWith is an error of several with a text of its own.
type joinedWith struct{ errs []error }

func (e joinedWith) Error() string   { return fmt.Sprintf("%d mistakes", len(e.errs)) }
func (e joinedWith) Unwrap() []error { return e.errs }

type wrongAuth struct{ err error }

func (wrongAuth) Authenticate(*messages.Call, auth.Clock) error { return nil }
func (a wrongAuth) Validate() error                             { return a.err }

func TestAnErrorWithATextOfItsOwnIsToldWhole(t *testing.T) {
	_, err := New(Config{Auth: wrongAuth{joinedWith{[]error{context.Canceled, http.ErrNoCookie}}}})
	require.EqualError(t, err, "sluice: configuration: Auth: 2 mistakes")
	require.ErrorIs(t, err, http.ErrNoCookie)
}

// defaults are what the zero Config stands for: the value of each field, and
// the words of its comment.
var defaults = []struct {
	group, field string
	value        any
	told         string
}{
	{"", "Timeout", time.Duration(0), "Zero means no bound"},
	{"Clock", "Every", 10 * time.Second, "zero means 10 s"},
	{"Admission", "MaxInFlight", 100_000, "zero means 100,000"},
	{"Admission", "MaxWaiting", 100_000, "zero means 100,000"},
	{"Connections", "Max", 64, "zero means 64"},
	{"Connections", "MaxWaiters", 100_000, "zero means 100,000"},
	{"Connections", "MinIdle", 0, "zero means none"},
	{"Connections", "MaxTotal", 0, "zero means no bound"},
	{"Connections", "MaxIdleTotal", 100, "Zero means 100"},
	{"Connections", "IdleTimeout", 50 * time.Second, "zero means 50 s"},
	{"Connections", "MaxAge", 10 * time.Minute, "Zero means 10 minutes"},
	{"Connections", "Rotate", false, "False lends the last used"},
	{"Dial", "Timeout", 5 * time.Second, "zero means 5 s"},
	{"Dial", "Backoff", 50 * time.Millisecond, "zero means 50 ms"},
	{"Dial", "BackoffCap", 5 * time.Second, "zero means 5 s"},
	{"Dial", "LocalAddr", "", "empty leaves it to the system"},
	{"Responses", "MaxHeader", 64 << 10, "zero means 64 KiB"},
	{"Responses", "MaxBody", int64(16 << 20), "zero means 16 MiB"},
	{"Responses", "Codings", []string{"gzip", "deflate"}, "Nil means gzip and deflate"},
	{"Retry", "Max", 2, "zero means 2"},
	{"Retry", "Base", 50 * time.Millisecond, "zero means 50 ms"},
	{"Retry", "Cap", 2 * time.Second, "zero means 2 s"},
}

func TestTheZeroConfigHasTheDefaultsThatItsCommentsTell(t *testing.T) {
	p, err := readConfig(Config{})
	require.NoError(t, err)
	comments := fieldComments(t)
	for _, d := range defaults {
		group, of := reflect.ValueOf(p.Config), "Config"
		if d.group != "" {
			group, of = group.FieldByName(d.group), d.group
		}
		require.Equal(t, d.value, group.FieldByName(d.field).Interface(), "%s.%s", of, d.field)
		require.Contains(t, comments[of+"."+d.field], d.told, "%s.%s", of, d.field)
	}
}

func TestEveryFieldOfAConfigIsExplained(t *testing.T) {
	comments := fieldComments(t)
	require.NotEmpty(t, comments["Config.BaseURL"])
	for field, comment := range comments {
		require.NotEmpty(t, comment, field)
	}
}

// fieldComments returns the comments in config.go by "Group.Field", each on one
// line. Fields without a comment of their own share the one above them.
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	require.NoError(t, err)
	comments := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		shared := ""
		for _, field := range spec.Type.(*ast.StructType).Fields.List {
			if field.Doc != nil {
				shared = strings.Join(strings.Fields(field.Doc.Text()), " ")
			}
			for _, name := range field.Names {
				comments[spec.Name.Name+"."+name.Name] = shared
			}
		}
		return false
	})
	return comments
}

func TestANegativeNumberMeansNoneWhereAFieldSaysSo(t *testing.T) {
	p, err := readConfig(Config{Admission: Admission{MaxWaiting: -1}, Retry: Retry{Max: -3}})
	require.NoError(t, err)
	require.Zero(t, p.Admission.MaxWaiting)
	require.Zero(t, p.Retry.Max)
}

func TestAConfigKeepsRoomForMoreFields(t *testing.T) {
	require.LessOrEqual(t, reflect.TypeFor[Config]().NumField(), 26)
	require.LessOrEqual(t, reflect.TypeFor[Request]().NumField(), 26)
	for _, group := range []reflect.Type{
		reflect.TypeFor[Response](),
		reflect.TypeFor[Clock](), reflect.TypeFor[Admission](), reflect.TypeFor[Connections](),
		reflect.TypeFor[Dial](), reflect.TypeFor[Responses](), reflect.TypeFor[Retry](),
		reflect.TypeFor[PoolStats](), reflect.TypeFor[TimeEndpoint](),
	} {
		require.LessOrEqual(t, group.NumField(), 22, group.Name())
	}
}

func TestAConfigIsCopiedWhenItIsGiven(t *testing.T) {
	some := PreProcessorFunc(func(context.Context, *Request) error { return nil })
	after := PostProcessorFunc(func(context.Context, *Request, *Response) error { return nil })
	config := Config{
		BaseURL: "https://server.test", Origins: []string{"https://annex.test"}, Header: http.Header{"X-Key": {"mine"}},
		Limits: []throttle.Limit{
			{ID: "all", Quota: 9, Per: time.Second, Reserve: []throttle.Reserve{{Priority: 1, Weight: 1}}},
			{ID: "one", Quota: 9, Per: time.Second, Linked: []throttle.Link{{ID: "all", Weight: 2}}},
		},
		Throttle:      throttle.Options{Pacing: &throttle.Pacing{Z: 1}},
		PreProcessors: []PreProcessor{some}, PostProcessors: []PostProcessor{after},
		Responses: Responses{Codings: []string{"gzip"}},
		Dial:      Dial{TLS: &tls.Config{ServerName: "a"}, ProxyTLS: &tls.Config{ServerName: "b"}},
	}
	p, err := readConfig(config)
	require.NoError(t, err)
	table := cloneLimits(config.Limits)

	config.Origins[0], config.Header["X-Key"][0], config.Responses.Codings[0] = "https://evil.test", "theirs", "br"
	config.Header.Set("X-More", "theirs")
	config.Limits[0].Reserve[0].Weight, config.Limits[1].Linked[0].Weight = 5, 5
	config.Limits[0].ID = "changed"
	config.Throttle.Pacing.Z = 3
	config.PreProcessors[0], config.PostProcessors[0] = nil, nil
	config.Dial.TLS.InsecureSkipVerify, config.Dial.ProxyTLS.InsecureSkipVerify = true, true

	require.Equal(t, "https://annex.test", p.Origins[0])
	require.Equal(t, http.Header{"X-Key": {"mine"}}, p.Header)
	require.Equal(t, []string{"gzip"}, p.Responses.Codings)
	for _, limits := range [][]throttle.Limit{p.Limits, table} {
		require.Equal(t, "all", limits[0].ID)
		require.EqualValues(t, 1, limits[0].Reserve[0].Weight)
		require.EqualValues(t, 2, limits[1].Linked[0].Weight)
	}
	require.EqualValues(t, 1, p.Throttle.Pacing.Z)
	require.NotNil(t, p.PreProcessors[0])
	require.NotNil(t, p.PostProcessors[0])
	require.False(t, p.Dial.TLS.InsecureSkipVerify, "verification stays on")
	require.False(t, p.Dial.ProxyTLS.InsecureSkipVerify)
}

// A later write to a table is no race either: go test -race.
func TestATableOfLimitsIsCopiedWhenItIsGiven(t *testing.T) {
	eng, err := New(Config{})
	require.NoError(t, err)
	defer eng.Close()
	limits := []throttle.Limit{
		{ID: "all", Quota: 9, Per: time.Second, Reserve: []throttle.Reserve{{Priority: 1, Weight: 1}}},
		{ID: "one", Quota: 9, Per: time.Second, Linked: []throttle.Link{{ID: "all", Weight: 2}}},
	}
	require.NoError(t, eng.ReplaceLimits(limits))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 100 {
			eng.Stats()
			_ = eng.AdjustLimit("one", Parts{}, 1)
		}
	}()
	for i := range limits {
		limits[i] = throttle.Limit{ID: "gone"}
	}
	<-done
	require.NoError(t, eng.AdjustLimit("all", Parts{}, 0))
}

func TestATimeWithoutAUnitIsRefused(t *testing.T) {
	_, err := readConfig(Config{
		Timeout: 30, Clock: Clock{Every: 10}, Connections: Connections{IdleTimeout: 50}, Dial: Dial{Timeout: 5, Backoff: 1, BackoffCap: 1},
		Retry: Retry{Base: 1, PerAttempt: 2}, Time: TimeEndpoint{URL: "http://server.test/time", Timeout: 3},
	})
	require.ErrorContains(t, err, "Timeout 30ns is below 1ms: a duration is in nanoseconds, so write 30 * time.Second for seconds")
	require.Equal(t, 6, strings.Count(err.Error(), "is below 1ms"), "not to wait between two tries may be meant: %v", err)
}

func TestADurationWithoutEndIsACentury(t *testing.T) {
	const forever = time.Duration(math.MaxInt64)
	p, err := readConfig(Config{
		Timeout: forever, Clock: Clock{Every: forever, Trust: forever}, Connections: Connections{IdleTimeout: forever, MaxAge: forever},
		Dial: Dial{Timeout: forever, Backoff: forever, BackoffCap: forever}, Retry: Retry{Base: forever, Cap: forever, PerAttempt: forever},
	})
	require.NoError(t, err)
	durations := 0
	for _, group := range []any{p.Config, p.Clock, p.Connections, p.Dial, p.Retry} {
		for _, field := range reflect.ValueOf(group).Fields() {
			if d, is := field.Interface().(time.Duration); is {
				durations++
				require.Equal(t, unit.Longest, d, "of %T", group)
			}
		}
	}
	require.Equal(t, 11, durations, "each is in the configuration above")
}
