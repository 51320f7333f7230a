package telemetry

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
)

// The names of attributes that the semantic conventions have no name for.
const (
	limitIDKey  = attribute.Key("sluice.limit.id")
	scopeKey    = attribute.Key("sluice.scope.name")
	priorityKey = attribute.Key("sluice.priority")
	stageKey    = attribute.Key("sluice.error.stage")
	sentKey     = attribute.Key("sluice.sent")
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

// limitOf is the limit as attributes may have it, and empty for none: what is not in the
// table is the caller's text, of which there is no end.
func limitOf(id, failure string) string {
	if id == engine.Unlimited || failure == unknownLimit {
		return ""
	}
	return id
}

// statusType is the error.type of an answer: its status, if that is an error's.
func statusType(status int) string {
	if status < 400 {
		return ""
	}
	return strconv.Itoa(status)
}

const unknownLimit = "unknown_limit"

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
	{engine.ErrUnknownLimit, unknownLimit},
	{engine.ErrNoLimit, "no_limit"},
	{engine.ErrUnknownAccount, "unknown_account"},
	{engine.ErrUnknownEgress, "unknown_egress"},
	{engine.ErrNoKey, "no_key"},
	{engine.ErrUnknownKey, "unknown_key"},
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

// version is network.protocol.version, as "1.1" and "2".
func version(major, minor uint8) string {
	if major >= 2 {
		return strconv.Itoa(int(major))
	}
	return strconv.Itoa(int(major)) + "." + strconv.Itoa(int(minor))
}

// outcome is what the series of requests and of attempts are told apart by. Every field has
// a bounded number of values, but for the origin and the limit, which the table
// that it is a key of bounds.
type outcome struct {
	origin       engine.Origin
	method       string // known, or "_OTHER"
	limit        string
	failure      string
	status       int
	major, minor uint8
}

// attributes are the semantic conventions' for what o says.
func (o outcome) attributes(place *place, common []attribute.KeyValue) []attribute.KeyValue {
	attrs := append([]attribute.KeyValue{}, common...)
	attrs = append(attrs, place.attrs...)
	attrs = append(attrs, semconv.HTTPRequestMethodKey.String(o.method))
	return o.appendResult(attrs)
}

// appendResult appends what is known only at the end.
func (o outcome) appendResult(attrs []attribute.KeyValue) []attribute.KeyValue {
	if o.limit != "" {
		attrs = append(attrs, limitIDKey.String(o.limit))
	}
	if o.status != 0 {
		attrs = append(attrs, semconv.HTTPResponseStatusCode(o.status))
	}
	if failure := o.errorType(); failure != "" {
		attrs = append(attrs, semconv.ErrorTypeKey.String(failure))
	}
	if o.major != 0 {
		attrs = append(attrs, semconv.NetworkProtocolVersion(version(o.major, o.minor)))
	}
	return attrs
}

// errorType is that of the failure, or of the answer.
func (o outcome) errorType() string {
	if o.failure != "" {
		return o.failure
	}
	return statusType(o.status)
}

// outcomeOf is a request that has ended.
func outcomeOf(d *engine.Ended) outcome {
	o := outcome{origin: d.Origin, method: knownMethod(d.Request.Method), failure: errorType(d.Err)}
	o.limit = limitOf(d.LimitID, o.failure)
	if d.Response != nil {
		o.status, o.major, o.minor = d.Response.StatusCode, d.Response.ProtoMajor, d.Response.ProtoMinor
	}
	return o
}

// outcomeOfAttempt is one exchange.
func outcomeOfAttempt(a *engine.Attempted) outcome {
	return outcome{origin: a.Origin, method: knownMethod(a.Request.Method), failure: errorType(a.Err), status: a.StatusCode}
}
