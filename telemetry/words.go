package telemetry

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"hash/maphash"
	"net"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
)

// The names of attributes that the semantic conventions have no name for.
const (
	limitIDKey  = attribute.Key("sluice.limit.id")
	scopeKey    = attribute.Key("sluice.scope.name")
	outcomeKey  = attribute.Key("sluice.outcome")
	priorityKey = attribute.Key("sluice.priority")
	stageKey    = attribute.Key("sluice.error.stage")
	sentKey     = attribute.Key("sluice.sent")
	// Not the SDK's own otel.metric.overflow: once an instrument has a series of that name, the
	// SDK takes it to be full, and adds to it what it has not met before.
	overflowKey = attribute.Key("sluice.overflow")
	reusedKey   = attribute.Key("sluice.connection.reused")
)

// knownMethod is the method as attributes may have it: one that HTTP knows, or "_OTHER", for
// a caller may make up as many as he likes.
func knownMethod(method string) string {
	switch method {
	case "":
		return "GET"
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY":
		return method
	}
	return other
}

// mostOfMethod is how many bytes of a method that HTTP does not know a span has at most.
const mostOfMethod = 64

// appendOriginal appends for a span, as the semantic conventions ask, the method that HTTP does
// not know. Metrics never have it, for there is no end of them. Methods are made of letters, "-"
// and "_": what has anything else is more likely a key or a path in the wrong place, and
// is left out.
func appendOriginal(attrs []attribute.KeyValue, method string) []attribute.KeyValue {
	if knownMethod(method) != other || strings.ContainsFunc(method, isNoMethods) {
		return attrs
	}
	return append(attrs, semconv.HTTPRequestMethodOriginal(method[:min(len(method), mostOfMethod)]))
}

// isNoMethods reports whether a character is none of those that methods are made of.
func isNoMethods(c rune) bool {
	return c != '-' && c != '_' && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
}

// causes are the error types by their cause, the first that is found. Where one error has
// two, the one that says more stands first.
var causes = []struct {
	cause error
	name  string
}{
	{engine.ErrHalted, "halted"},
	{engine.ErrOverloaded, "overloaded"},
	{engine.ErrQueueFull, "queue_full"},
	{engine.ErrTooManyWaiters, "too_many_waiters"},
	{engine.ErrNoRoom, "no_room"},
	{engine.ErrSpent, "spent"},
	{engine.ErrClosed, "closed"},
	{engine.ErrAttemptTimeout, "attempt_timeout"},
	{context.DeadlineExceeded, "timeout"},
	{context.Canceled, "canceled"},
	{engine.ErrNoTime, "no_time"},
	{engine.ErrUnprocessed, "unprocessed"},
	{engine.ErrTruncated, "truncated"},
	{engine.ErrHeaderTooLarge, "header_too_large"},
	{engine.ErrBodyTooLarge, "body_too_large"},
	{engine.ErrMalformedResponse, "malformed_response"},
	{messages.ErrPeerClosed, "peer_closed"},
	{messages.ErrStale, "stale_connection"},
	{engine.ErrUnknownLimit, "unknown_limit"},
	{engine.ErrNoLimit, "no_limit"},
	{engine.ErrUnknownAccount, "unknown_account"},
	{engine.ErrUnknownEgress, "unknown_egress"},
	{engine.ErrNoKey, "no_key"},
	{engine.ErrUnknownKey, "unknown_key"},
	{engine.ErrLongName, "long_name"},
	{engine.ErrNotCharged, "not_charged"},
	{engine.ErrRouteWeight, "route_weight"},
	{engine.ErrWeight, "weight"},
	{engine.ErrBodyRead, "body_read"},
	{engine.ErrInvalidRequest, "invalid_request"},
	{engine.ErrActorFailed, "actor_failed"},
	{engine.ErrNoEngine, "no_engine"},
	{engine.ErrInsideRequest, "inside_request"},
	{engine.ErrStillRunning, "still_running"},
}

// errorType is the error.type of a failure: one of a few words, never its text. It is empty
// for nil.
func errorType(err error) string {
	if err == nil {
		return ""
	}
	if is[*engine.PanicError](err) { // first: its value may be one of the causes
		return "panic"
	}
	for _, c := range causes {
		if errors.Is(err, c.cause) {
			return c.name
		}
	}
	return typeOfNetwork(err)
}

// typeOfNetwork names what the network, a proxy or TLS has to say.
func typeOfNetwork(err error) string {
	operation, ofNetwork := errors.AsType[*net.OpError](err)
	timeout, mayBeTimeout := errors.AsType[net.Error](err)
	switch {
	case is[*engine.ContentTypeError](err):
		return "content_type"
	case is[*engine.DecodeError](err):
		return "decode"
	case is[*engine.StatusError](err):
		return "status"
	case is[*engine.ProxyError](err):
		return "proxy"
	case is[*net.DNSError](err):
		return "name_resolution"
	case is[*tls.CertificateVerificationError](err):
		return "certificate"
	case ofNetwork && !operation.Timeout():
		return "network"
	case mayBeTimeout && timeout.Timeout():
		return "timeout"
	}
	return other
}

// is reports whether an error has a cause of the type.
func is[E error](err error) bool {
	_, found := errors.AsType[E](err)
	return found
}

// isShed reports whether a request was sent away because there were too many: the engine, a
// queue or a pool was full.
func isShed(failure string) bool {
	switch failure {
	case "overloaded", "queue_full", "too_many_waiters":
		return true
	}
	return false
}

// version is network.protocol.version, as "1.1" and "2". What servers speak is not put together
// for each of them.
func version(major, minor uint8) string {
	switch {
	case major == 1 && minor == 1:
		return "1.1"
	case major >= 2:
		return strconv.Itoa(int(major))
	}
	return strconv.Itoa(int(major)) + "." + strconv.Itoa(int(minor))
}

// exchange is what the series of exchanges are told apart by. Every field has a bounded
// number of values, but for the origin, which places bounds, and the status, which the table
// does that this is a key of.
type exchange struct {
	origin  engine.Origin
	method  string // known, or "_OTHER"
	failure string
	answer
}

// answer is what the head of an answer says; zero without one.
type answer struct {
	status       int
	major, minor uint8
}

func exchangeOf(a *engine.Attempted) exchange {
	return exchange{
		origin: a.Origin, method: knownMethod(cmp.Or(a.Method, a.Request.Method)), failure: errorType(a.Err),
		answer: answerOf(a),
	}
}

func answerOf(a *engine.Attempted) answer { return answer{a.StatusCode, a.ProtoMajor, a.ProtoMinor} }

// hint is part of hinted.
func (e exchange) hint() uint64 {
	return maphash.String(seed, e.origin.Addr) + spread*uint64(e.status) + uint64(len(e.method)+len(e.failure))
}

// spread is odd, so that statuses that differ have hints that differ, and keeps neighbours apart.
const spread = 0x9e3779b97f4a7c15

// exchangeOfEnd is what a request came to. One that failed has no response, though its last
// attempt may have had an answer: one that was cut off, or that a post-processor would not have.
func exchangeOfEnd(d *engine.Ended, last answer) exchange {
	e := exchange{origin: d.Origin, method: knownMethod(d.Request.Method), failure: errorType(d.Err), answer: last}
	if d.Response != nil {
		e.answer = answer{d.Response.StatusCode, d.Response.ProtoMajor, d.Response.ProtoMinor}
	}
	return e
}

// appendTo appends the attributes of the semantic conventions.
func (e exchange) appendTo(attrs []attribute.KeyValue, at *place) []attribute.KeyValue {
	attrs = append(attrs, at.attrs...)
	attrs = append(attrs, semconv.HTTPRequestMethodKey.String(e.method))
	if e.status != 0 {
		attrs = append(attrs, semconv.HTTPResponseStatusCode(e.status))
	}
	if e.major != 0 {
		attrs = append(attrs, semconv.NetworkProtocolVersion(version(e.major, e.minor)))
	}
	return appendErrorType(attrs, e.failure, e.status)
}

// request is what the series of requests, and of their waits, are told apart by.
type request struct {
	limit   string
	failure string
	status  int // from 400 on; zero for what is no failure
}

// hint is part of hinted.
func (r request) hint() uint64 {
	return maphash.String(seed, r.limit) + spread*uint64(r.status) + uint64(len(r.failure))
}

// requestOf is a request, or a wait of one.
func requestOf(limitID, failure string, status int) request {
	if status < 400 {
		status = 0
	}
	return request{limitID, failure, status}
}

func requestOfEnd(d *engine.Ended) request {
	if d.Response == nil {
		return requestOf(d.LimitID, errorType(d.Err), 0)
	}
	return requestOf(d.LimitID, "", d.Response.StatusCode)
}

// appendTo appends sluice.limit.id, and error.type for a failure.
func (r request) appendTo(attrs []attribute.KeyValue) []attribute.KeyValue {
	return appendErrorType(r.appendLimit(attrs), r.failure, r.status)
}

func (r request) appendLimit(attrs []attribute.KeyValue) []attribute.KeyValue {
	if r.limit == "" {
		return attrs
	}
	return append(attrs, limitIDKey.String(r.limit))
}

// isError reports whether that is the failure of a request, or an answer from 400 on.
func isError(failure string, status int) bool { return failure != "" || status >= 400 }

// appendErrorType appends the error.type: that of the failure, or the answer's status.
func appendErrorType(attrs []attribute.KeyValue, failure string, status int) []attribute.KeyValue {
	switch {
	case failure != "":
		return append(attrs, semconv.ErrorTypeKey.String(failure))
	case status >= 400:
		return append(attrs, semconv.ErrorTypeKey.String(strconv.Itoa(status)))
	}
	return attrs
}
