package secrets

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"

	x "golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/auth/oauth2"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// marker is the secret. It has 32 bytes, so that it can be the seed of a key, and some
// that look otherwise in a URL.
const marker = "sesame+open/the=door0123456789ab"

// digits is the secret where only a number can be.
const digits = "73571357"

// blabbing is an error whose text says nothing, and whose fields say all.
type blabbing struct {
	Detail string
	Body   []byte
}

func (*blabbing) Error() string { return "it failed" }

// plainReader is an io.Reader that is no pointer.
type plainReader struct{ Text string }

func (plainReader) Read([]byte) (int, error) { return 0, io.EOF }

// transport is an http.RoundTripper that has a secret.
type transport struct{ Token string }

func (*transport) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.ErrUnsupported }

// given are values for what reflection alone cannot fill.
var given = map[reflect.Type]func() any{
	reflect.TypeFor[any]():                  func() any { return marker },
	reflect.TypeFor[error]():                func() any { return &blabbing{marker, []byte(marker)} },
	reflect.TypeFor[io.Reader]():            func() any { return strings.NewReader(marker) },
	reflect.TypeFor[io.ReadCloser]():        func() any { return io.NopCloser(strings.NewReader(marker)) },
	reflect.TypeFor[auth.Authenticator]():   func() any { return auth.Bearer{Token: marker} },
	reflect.TypeFor[auth.Signer]():          func() any { return auth.HMAC{Secret: marker, SecretEncoding: auth.Raw} },
	reflect.TypeFor[feedback.Header]():      func() any { return http.Header{"X-Key": {marker}} },
	reflect.TypeFor[engine.TimeSource]():    func() any { return engine.TimeEndpoint{URL: address} },
	reflect.TypeFor[http.RoundTripper]():    func() any { return &transport{marker} },
	reflect.TypeFor[messages.Header]():      func() any { return messages.NewHeader("X-Key: " + marker + "\r\n") },
	reflect.TypeFor[*url.URL]():             func() any { return &url.URL{Scheme: "http", User: url.UserPassword("me", marker), Host: "h"} },
	reflect.TypeFor[*http.Client]():         func() any { return &http.Client{Transport: &transport{marker}} },
	reflect.TypeFor[*tls.ConnectionState](): func() any { return &tls.ConnectionState{ServerName: marker, TLSUnique: []byte(marker)} },
	reflect.TypeFor[*tls.Config]():          func() any { return &tls.Config{ServerName: marker, NextProtos: []string{marker}} },
	reflect.TypeFor[auth.PrivateKey]():      func() any { return privateKey() },
	reflect.TypeFor[auth.FixedClock]():      func() any { return auth.FixedClock(time.Unix(0, 0)) },
	reflect.TypeFor[*time.Location]():       func() any { return time.UTC },
}

var address = "https://me:" + url.QueryEscape(marker) + "@host.test/path?key=" + url.QueryEscape(marker) + "#" + url.QueryEscape(marker)

func privateKey() auth.PrivateKey {
	key, err := auth.NewPrivateKey(ed25519.NewKeyFromSeed([]byte(marker)))
	if err != nil {
		panic(err)
	}
	return key
}

// fill fills what v is with secrets; place is "package.Type.Field" or "".
func fill(v reflect.Value, place string, depth int) {
	t := v.Type()
	if _, isPublic := public[place]; isPublic {
		visited[place] = true
		return
	}
	if _, isPublic := public[nameOf(t)]; isPublic {
		visited[nameOf(t)] = true
		return
	}
	if make := given[t]; make != nil {
		v.Set(reflect.ValueOf(make()))
		return
	}
	if depth > 8 {
		return
	}
	switch t.Kind() {
	case reflect.String:
		v.SetString(text(place))
	case reflect.Slice:
		one := reflect.New(t.Elem()).Elem()
		fill(one, place, depth+1)
		v.Set(reflect.Append(reflect.MakeSlice(t, 0, len(marker)), one))
		if t.Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(marker))
		}
	case reflect.Map:
		key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
		if key.Kind() == reflect.String {
			key.SetString("X-Name")
		}
		fill(value, place, depth+1)
		v.Set(reflect.MakeMap(t))
		v.SetMapIndex(key, value)
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		fill(v.Elem(), "", depth+1)
	case reflect.Struct:
		for i := range t.NumField() {
			if field := t.Field(i); field.IsExported() {
				fill(v.Field(i), nameOf(t)+"."+field.Name, depth+1)
			}
		}
	}
}

// visited are the entries of public that stand for something.
var visited = map[string]bool{}

func text(place string) string {
	if urls[place] {
		visited[place] = true
		if strings.HasSuffix(place, ".Path") {
			return "/path?key=" + url.QueryEscape(marker)
		}
		return address
	}
	return marker
}

// specimens are values of a type, with secrets in them; none for one that can hold
// nothing.
func specimens(t reflect.Type) []any {
	if made, ok := lived[t]; ok {
		return made()
	}
	if t.Kind() == reflect.Interface || t.Kind() == reflect.Func {
		return nil // of what stands behind them each type is looked at itself
	}
	v := reflect.New(t)
	fill(v.Elem(), "", 0)
	return []any{v.Elem().Interface(), v.Interface()}
}

// lived are values whose secrets are where no field leads to from outside. None is
// used by value: they must not be copied.
var lived = map[reflect.Type]func() []any{
	reflect.TypeFor[engine.Engine](): func() []any { return []any{newEngine(), new(engine.Engine)} },
	reflect.TypeFor[oauth2.Tokens](): func() []any { return []any{newTokens(), refused(), wrong()} },
	reflect.TypeFor[throttle.Ledger](): func() []any {
		ledger, err := throttle.New([]throttle.Limit{{ID: "a", Quota: 1, Per: time.Second}}, throttle.Options{})
		if err != nil {
			panic(err)
		}
		return []any{ledger}
	},
	reflect.TypeFor[messages.Parts](): laidOut,
	reflect.TypeFor[messages.CheckedReader](): func() []any {
		return []any{&messages.CheckedReader{Reader: plainReader{marker}}}
	},
	reflect.TypeFor[messages.Source](): func() []any {
		var all []any
		for _, reader := range []io.Reader{plainReader{marker}, strings.NewReader(marker)} {
			source, err := messages.NewSource(reader)
			if err != nil {
				panic(err)
			}
			source.End()
			all = append(all, source)
		}
		return all
	},
	reflect.TypeFor[auth.Lane](): func() []any { return []any{auth.LaneOf(auth.Kraken{Key: marker, Secret: marker})} },
}

// laidOut are parts with secrets in fields and files, and what reads them.
func laidOut() []any {
	parts, err := multipartBody().Lay()
	if err != nil {
		panic(err)
	}
	reader, err := parts.Open()
	if err != nil {
		panic(err)
	}
	_ = reader.Close()
	return []any{parts, *parts, reader}
}

func multipartBody() messages.Multipart {
	return messages.Multipart{Fields: messages.Values{"key": marker}, Files: []messages.File{
		{Field: "text", Content: marker}, {Field: "bytes", Content: []byte(marker)}, {Field: "reader", Content: strings.NewReader(marker)},
		{Field: "opened", Content: func() (io.Reader, error) { return strings.NewReader(marker), nil }},
	}}
}

// newEngine has carried a request that was signed, and has a secret in its table of
// cookies.
func newEngine() *engine.Engine {
	eng, err := engine.New(engine.Config{
		BaseURL: "http://host.test", Header: http.Header{"X-Key": {marker}}, Auth: auth.Bearer{Token: marker},
		Accounts: map[string]auth.Authenticator{marker: auth.Binance(marker, marker)},
		Egress:   map[string]engine.Egress{marker: {ProxyConnectHeader: http.Header{"X-Key": {marker}}}},
		Dial:     engine.Dial{TLS: &tls.Config{ServerName: marker}}, Retry: engine.Retry{Max: -1},
	})
	if err != nil {
		panic(err)
	}
	_ = eng.UpdateCookies("http://host.test", &http.Cookie{Name: "session", Value: "sesame"})
	_ = eng.Close() // it prints the same, and leaves nothing behind
	return eng
}

// newTokens hold a token.
func newTokens() *oauth2.Tokens {
	tokens := oauth2.New(func(context.Context) (*x.Token, error) {
		return &x.Token{AccessToken: marker, RefreshToken: marker}, nil
	}, oauth2.Options{Client: &http.Client{Transport: &transport{marker}}})
	_ = tokens.Authenticate(&messages.Call{}, nil)
	tokens.Close()
	return tokens
}

// refused hold the answer of a token endpoint that said no.
func refused() *oauth2.Tokens {
	tokens := oauth2.New(func(context.Context) (*x.Token, error) {
		return nil, &x.RetrieveError{Response: &http.Response{StatusCode: 400}, Body: []byte(marker), ErrorDescription: marker}
	}, oauth2.Options{})
	_ = tokens.Authenticate(&messages.Call{}, nil)
	tokens.Close()
	return tokens
}

// wrong have credentials with something odd about them.
func wrong() *oauth2.Tokens {
	tokens := oauth2.ClientCredentials(clientcredentials.Config{ClientID: marker, ClientSecret: marker + "\n"}, oauth2.Options{})
	tokens.Close()
	return tokens
}

// Errors are errors that exported functions return about what holds a secret.
func errorsAbout() []error {
	tokens := refused()
	refusal := tokens.Authenticate(&messages.Call{}, nil)
	answer := &messages.Response{
		Method: "GET", URL: address, StatusCode: 200, Body: []byte(`{"a":"` + marker + `"`),
		Header: messages.NewHeader("X-Key: " + marker + "\r\n"),
	}
	_, key := auth.ParsePrivateKey(auth.Secret(base64.StdEncoding.EncodeToString([]byte(marker + "odd"))))
	_, values := messages.Values{"key": auth.Secret(marker)}.Encoded()
	_, parts := messages.Multipart{Fields: messages.Values{"key": auth.Secret(marker)}}.Lay()
	_, file := messages.Multipart{Files: []messages.File{{Field: "a", Content: auth.Secret(marker)}}}.Lay()
	_, object := messages.Values{"key": auth.Secret(marker)}.JSON()
	_, config := engine.New(engine.Config{
		BaseURL: "ftp://me:" + url.QueryEscape(marker) + "@host.test?" + marker, Origins: []string{"x:" + address},
		Header: http.Header{"X-Key": {marker + "\r\n"}}, Auth: auth.Bearer{Token: marker + "\n"},
	})
	_, unsigned := auth.Unsign(auth.HMACQuery{Key: marker, Secret: marker}, &messages.Call{
		Method: "GET", Path: "/path", Query: "timestamp=1&signature=" + marker, Fields: []messages.Field{{Name: "X-MBX-APIKEY", Value: marker + "2"}},
	})
	eng := newEngine()
	return append(errorsOfDecoding(), []error{
		refusal, wrong().Validate(), key, values, parts, file, object, config,
		answer.JSON(new(struct{ A int })), answer.Require("text/html"),
		eng.UpdateCookies(address, &http.Cookie{Name: "a;b", Value: marker + ";"}),
		eng.UpdateCookies("ftp://me:"+marker+"@x", &http.Cookie{Name: "a", Value: marker}),
		doError(eng, &engine.Request{URL: address}), doError(eng, &engine.Request{URL: "x" + address}),
		doError(eng, &engine.Request{URL: "http://host.test", Method: "POST", Body: messages.Multipart{Files: []messages.File{{Field: "a", Content: auth.Secret(marker)}}}}),
		tripError(eng), unsigned, fmt.Errorf("wrapped: %w", refusal), errors.Join(refusal, key),
		&messages.PanicError{Stage: messages.Finishing, Value: "key " + marker}, &messages.PanicError{Value: errors.New(marker)},
		&throttle.LimitError{ID: "a", Err: throttle.ErrQueueFull, Full: "b", Key: marker},
	}...)
}

// decodesItself quotes what it is to decode, as many types do.
type decodesItself struct{}

func (decodesItself) UnmarshalJSON(text []byte) error { return fmt.Errorf("no side: %s", text) }

// panicsAt panics with what it is to decode.
type panicsAt struct{}

func (panicsAt) UnmarshalJSON(text []byte) error { panic(string(text)) }

// errorsOfDecoding are those of answers that have the secret where something else is
// expected, by every way to decode that there is.
func errorsOfDecoding() (all []error) {
	answer := &messages.Response{Method: "GET", URL: address, StatusCode: 200, Body: []byte(`{"a":"` + marker + `","n":` + digits + `}`)}
	for _, into := range []any{
		new(struct{ A json.Number }), new(struct{ A time.Time }), new(struct{ A int }), new(struct{ A decodesItself }), new(struct{ A panicsAt }),
		new(struct{ A []byte }), new(struct{ N int8 }), new(struct{ A map[string]int }), new([]string), new(string),
	} {
		err := answer.JSON(into)
		all = append(all, err, &messages.Error{Method: "GET", Path: "/", Key: marker, Err: err})
	}
	for _, body := range []string{marker, `{"a":` + marker, `{"a":1}` + marker} {
		all = append(all, (&messages.Response{Body: []byte(body)}).JSON(new(any)))
	}
	return append(all, &messages.DecodeError{Into: "int", Err: errors.New("codec: " + marker)})
}

func doError(eng *engine.Engine, req *engine.Request) error {
	_, err := eng.Do(context.Background(), req)
	return err
}

func tripError(eng *engine.Engine) error {
	request, err := http.NewRequest("POST", address, strings.NewReader(marker))
	if err != nil {
		return err
	}
	_, err = eng.RoundTripper().RoundTrip(request)
	return err
}
