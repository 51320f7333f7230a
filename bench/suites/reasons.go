package suites

import (
	"slices"

	"github.com/sluice-engine/sluice/bench/suites/carrier"
)

// Why a verdict may differ, where several tests do for one reason.
const (
	otherProtocol = "the engine speaks no protocol but HTTP: a request for another is refused, and so is a 101 that nobody asked for"
	tunnel        = "CONNECT opens a tunnel, which the engine does by itself when a proxy needs it"
	stillClock    = "a net.Conn of a type of its own is listened to for a millisecond or some before each request, and this test's clock stands still"
	sharedDial    = "a dial belongs to the pool, and serves whoever has waited longest: while one is under way that nobody waits for any more, there is no other, and two may be exchanged"
	repeated      = "the engine repeats an idempotent request that broke off; net/http does on a used connection only"
	noDeadlines   = "its net.Conn has a nil in the place of deadlines, which panics when the engine sets one"
	unsentBody    = "a body that a final answer came before is not sent (RFC 9110, section 10.1.1); the connection is closed"
	noOffer       = "an Upgrade that Connection does not name is no offer of another protocol (RFC 9110, section 7.8), and is not sent"
	readWhole     = "an answer that is read whole is there at once, or not at all"
	brokenOff     = "an answer that breaks off cannot be read whole, and is an error from the start"
	endless       = "an answer that does not end cannot be read whole"
	awaitsCaller  = "its answer goes on once the caller has seen the beginning; one that is read whole is not seen before its end"
	switching     = "the connection behind a 101 is handed over to those alone who have answers streamed"
	ownWords      = "it holds the words of the error against net/http's"
)

// Reasons are why a verdict may differ from net/http's. A difference without a line
// here fails the run, and a line whose tests pass is told. A defect of the engine is
// no reason.
var Reasons = slices.Concat(ofNetHTTP, ofOthers)

var ofOthers = []Reason{
	{Suite: "httputil", Test: "TestDumpRequest", Why: "it compares the order of lines with different names, which means nothing (RFC 9110, section 5.3)"},
	{Suite: "httputil", Test: "TestReverseProxyWebSocket", Mode: carrier.Read, Why: switching},
	{Suite: "httputil", Test: "TestReverseProxyWebSocketCancellation", Mode: carrier.Read, Why: switching},
	{Suite: "httputil", Test: "TestReverseProxyWebSocketHalfTCP", Mode: carrier.Read, Why: switching},
	{Suite: "httputil", Test: "TestReverseProxyUpgradeNoCloseWrite", Mode: carrier.Read, Why: switching},
	{Suite: "httputil", Test: "TestReverseProxy_CopyBuffer", Mode: carrier.Read, Why: brokenOff},

	{Suite: "httputil", Test: "TestReverseProxyFlushIntervalHeaders", Mode: carrier.Read, Why: endless},
	{Suite: "httputil", Test: "TestReverseProxy_PanicBodyError", Mode: carrier.Read, Why: brokenOff},

	{Suite: "hedgedhttp", Test: "TestClient", Pace: true, Why: "its first request, which makes the engine, has ten milliseconds to be ahead of the second"},

	{Suite: "retryablehttp", Test: "TestRoundTripper_TransportFailureErrorHandling", Why: "it compares all of the error by reflect.DeepEqual; around net/http's *net.OpError the engine's says whether the request was sent"},

	{Suite: "httpbin", Test: "TestWebSocketEcho", Mode: carrier.Read, Why: switching},
	{Suite: "httpbin", Test: "TestHandshake", Mode: carrier.Read, Why: switching},
	{Suite: "httpbin", Test: "TestHandshake/incorrect_Connection_header_is_also_okay", Mode: carrier.Streamed, Why: noOffer},
	{Suite: "httpbin", Test: "TestHandshake/missing_Connection_header_is_okay", Mode: carrier.Streamed, Why: noOffer},
	{Suite: "httpbin", Test: "TestDrip/handle_cancelation_during_drip", Mode: carrier.Read, Why: readWhole},
	{Suite: "httpbin", Test: "TestDrip/writes_are_actually_incremmental", Mode: carrier.Read, Why: readWhole},
	{Suite: "httpbin", Test: "TestJSONL/handle_cancelation_during_stream", Mode: carrier.Read, Why: readWhole},
	{Suite: "httpbin", Test: "TestSSE/handle_cancelation_during_stream", Mode: carrier.Read, Why: readWhole},

	{Suite: "r3labs-sse", Test: "TestClientChanReconnect", Mode: carrier.Read, Why: endless},
	{Suite: "r3labs-sse", Test: "TestClientChanSubscribe", Mode: carrier.Read, Why: endless},
	{Suite: "r3labs-sse", Test: "TestClientChanSubscribeEmptyMessage", Mode: carrier.Read, Why: endless},
	{Suite: "r3labs-sse", Test: "TestClientComment", Mode: carrier.Read, Why: endless},
	{Suite: "r3labs-sse", Test: "TestClientLargeData", Mode: carrier.Read, Why: endless},
	{Suite: "r3labs-sse", Test: "TestClientOnConnect", Mode: carrier.Read, Why: endless},
	{Suite: "r3labs-sse", Test: "TestClientOnDisconnect", Mode: carrier.Read, Why: endless},
	{Suite: "r3labs-sse", Test: "TestClientSubscribe", Mode: carrier.Read, Why: endless},
	{Suite: "r3labs-sse", Test: "TestClientSubscribeMultiline", Mode: carrier.Read, Why: endless},
	{Suite: "r3labs-sse", Test: "TestClientUnsubscribe", Mode: carrier.Read, Why: endless},
	{Suite: "r3labs-sse", Test: "TestClientUnsubscribeNonBlock", Mode: carrier.Read, Why: endless},
	{Suite: "r3labs-sse", Test: "TestHTTPStreamHandler", Mode: carrier.Read, Why: endless},
	{Suite: "r3labs-sse", Test: "TestHTTPStreamHandlerAutoStream", Mode: carrier.Read, Why: endless},
	{Suite: "r3labs-sse", Test: "TestHTTPStreamHandlerEventID", Mode: carrier.Read, Why: endless},
	{Suite: "r3labs-sse", Test: "TestHTTPStreamHandlerEventTTL", Mode: carrier.Read, Why: endless},
	{Suite: "r3labs-sse", Test: "TestHTTPStreamHandlerExistingEvents", Mode: carrier.Read, Why: endless},
	{Suite: "r3labs-sse", Test: "TestHTTPStreamHandlerHeaderFlushIfNoEvents", Mode: carrier.Read, Why: endless},

	{Suite: "minio", Test: "TestGetObjectReturnErrorIfServerSendsMore", Mode: carrier.Read, Why: brokenOff},
	{Suite: "minio", Test: "TestGetObjectReturnErrorIfServerTruncatesResponse", Mode: carrier.Read, Why: brokenOff},
	{Suite: "minio", Test: "TestGetObjectReturnErrorIfServerTruncatesResponseDouble", Mode: carrier.Read, Why: brokenOff},

	{Suite: "go-sse", Test: "TestConnection_Unsubscriptions", Mode: carrier.Read, Why: readWhole},

	{Suite: "connect", Test: "TestClientDisconnect", Mode: carrier.Read, Why: endless},
	{Suite: "connect", Test: "TestUnaryRequestBodyAfterEarlyResponse", Mode: carrier.Read, Why: readWhole},

	{Suite: "resty3", Test: "TestSSESourceSetContextCancel", Mode: carrier.Read, Why: endless},
}
