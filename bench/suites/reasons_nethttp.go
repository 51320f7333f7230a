package suites

import "github.com/sluice-engine/sluice/bench/suites/carrier"

// ofNetHTTP are the reasons of net/http's own tests.
var ofNetHTTP = []Reason{
	{Suite: "nethttp", Test: "TestConnectRequest", Why: tunnel},
	{Suite: "nethttp", Test: "TestTransportCONNECTBidi", Why: tunnel},

	{Suite: "nethttp", Test: "TestDisableKeepAliveUpgrade", Why: otherProtocol},
	{Suite: "nethttp", Test: "TestH12_WebSocketUpgrade", Why: "in HTTP/2 there is no Upgrade, and an origin that speaks it is not asked in HTTP/1.1 instead"},
	{Suite: "nethttp", Test: "TestTransportTreat101Terminal", Why: otherProtocol},

	{Suite: "nethttp", Test: "TestTransportPoolConnConnectionBecomesAvailableDuringDial", Why: sharedDial},
	{Suite: "nethttp", Test: "TestTransportPoolClosesConnsPastMaxIdleConnsPerHost", Why: "idle connections are bounded in total, and not by origin"},
	{Suite: "nethttp", Test: "TestTransportPoolConnReusePriorConnection", Mode: carrier.Streamed, Why: stillClock},
	{Suite: "nethttp", Test: "TestTransportPoolConnCannotReuseConnectionInUse", Mode: carrier.Streamed, Why: stillClock},
	{Suite: "nethttp", Test: "TestTransportPoolDisableKeepAlives", Mode: carrier.Streamed, Why: stillClock},
	{Suite: "nethttp", Test: "TestTransportPoolConnectionBroken", Mode: carrier.Streamed, Why: stillClock},
	{Suite: "nethttp", Test: "TestTransportPoolCancelRequestReusesConn", Why: sharedDial},
	{Suite: "nethttp", Test: "TestTransportPoolCancelRequestWithDisableKeepAlives", Why: sharedDial},

	{Suite: "nethttp", Test: "TestServerAllowsBlockingRemoteAddr", Pace: true, Why: sharedDial},

	{Suite: "nethttp", Test: "TestDontCacheBrokenHTTP2Conn/h2", Why: "it counts dials, and a request whose dial failed is repeated, for nothing was sent"},
	{Suite: "nethttp", Test: "TestServerKeepAliveAfterWriteError", Why: repeated},
	{Suite: "nethttp", Test: "TestWriteDeadlineEnforcedPerStream/h2", Why: repeated},

	{Suite: "nethttp", Test: "TestMissingStatusNoPanic", Why: ownWords},
	{Suite: "nethttp", Test: "TestTransportDialPreservesNetOpProxyError", Why: "the *net.OpError holds the request's journey, and the dialer's error in that; the test compares it as a whole"},
	{Suite: "nethttp", Test: "TestTransportRejectsSignInContentLength", Why: ownWords},

	{Suite: "nethttp", Test: "TestTransportDoesNotLimitDelivered1xxResponses", Why: "interim answers count against the cap of the header, whoever listens to them"},
	{Suite: "nethttp", Test: "TestTransportExpect100Continue200ResponseNoConnClose", Why: unsentBody},
	{Suite: "nethttp", Test: "TestTransportExpect100Continue500ResponseNoConnClose", Why: unsentBody},
	{Suite: "nethttp", Test: "TestTransportRequestWriteRoundTrip/h1/file,_length", Why: "a body is written through a buffer, and not by ReadFrom"},

	{Suite: "nethttp", Test: "TestNextProtoUpgrade", Why: "what is offered by ALPN is the engine's to say, for it has to speak it"},
	{Suite: "nethttp", Test: "TestStarRequestMethod/FOO", Why: "the target * is for OPTIONS alone (RFC 9112, section 3.2.4)"},
	{Suite: "nethttp", Test: "TestTransportReading100Continue", Why: "the deadlines of its net.Conn do nothing, and so nobody can ask whether it is silent: it is used once"},

	{Suite: "nethttp", Test: "TestTransportReturnsPeekError", Why: noDeadlines},
	{Suite: "nethttp", Test: "TestTransportFlushesBodyChunks", Why: noDeadlines},

	{Suite: "nethttp", Test: "TestEarlyHintsRequest", Mode: carrier.Read, Why: brokenOff},
	{Suite: "nethttp", Test: "TestH12_HandlerWritesTooLittle", Mode: carrier.Read, Why: brokenOff},
	{Suite: "nethttp", Test: "TestIdentityResponse/h1", Mode: carrier.Read, Why: brokenOff},
	{Suite: "nethttp", Test: "TestOnlyWriteTimeout", Mode: carrier.Read, Why: brokenOff},
	{Suite: "nethttp", Test: "TestResponseControllerSetPastWriteDeadline", Mode: carrier.Read, Why: brokenOff},
	{Suite: "nethttp", Test: "TestServerWriteHijackZeroBytes", Mode: carrier.Read, Why: brokenOff},
	{Suite: "nethttp", Test: "TestServerWriteTimeout", Mode: carrier.Read, Why: brokenOff},
	{Suite: "nethttp", Test: "TestTransportGzipShort", Mode: carrier.Read, Why: brokenOff},

	{Suite: "nethttp", Test: "TestClientTimeout", Mode: carrier.Read, Why: endless},
	{Suite: "nethttp", Test: "TestClientTimeoutKillsConn_AfterHeaders", Mode: carrier.Read, Why: endless},
	{Suite: "nethttp", Test: "TestIssue4191_InfiniteGetTimeout", Mode: carrier.Read, Why: endless},
	{Suite: "nethttp", Test: "TestIssue4191_InfiniteGetToPutTimeout", Mode: carrier.Read, Why: endless},
	{Suite: "nethttp", Test: "TestServerNoWriteTimeout", Mode: carrier.Read, Why: endless},
	{Suite: "nethttp", Test: "TestTransportCloseResponseBody", Mode: carrier.Read, Why: endless},

	{Suite: "nethttp", Test: "TestInterruptWithPanic", Mode: carrier.Read, Why: awaitsCaller},
	{Suite: "nethttp", Test: "TestResponseControllerEnableFullDuplex", Mode: carrier.Read, Why: awaitsCaller},
	{Suite: "nethttp", Test: "TestResponseControllerFlush", Mode: carrier.Read, Why: awaitsCaller},
	{Suite: "nethttp", Test: "TestResponseControllerSetFutureWriteDeadline", Mode: carrier.Read, Why: awaitsCaller},
	{Suite: "nethttp", Test: "TestServerNoReadTimeout", Mode: carrier.Read, Why: awaitsCaller},
	{Suite: "nethttp", Test: "TestStreamingGet", Mode: carrier.Read, Why: awaitsCaller},
	{Suite: "nethttp", Test: "TestTransportAndServerSharedBodyRace", Mode: carrier.Read, Why: awaitsCaller},
	{Suite: "nethttp", Test: "TestTransportPoolConnCannotReuseConnectionInUse", Mode: carrier.Read, Why: awaitsCaller},
	{Suite: "nethttp", Test: "TestTransportPoolConnReusePriorConnection", Mode: carrier.Read, Why: awaitsCaller},
	{Suite: "nethttp", Test: "TestTransportPoolConnectionBroken", Mode: carrier.Read, Why: awaitsCaller},
	{Suite: "nethttp", Test: "TestTransportPoolDisableKeepAlives", Mode: carrier.Read, Why: awaitsCaller},
	{Suite: "nethttp", Test: "TestTransportSocketLateBinding", Mode: carrier.Read, Why: awaitsCaller},

	{Suite: "nethttp", Test: "TestTransportResponseBodyWritableOnProtocolSwitch", Mode: carrier.Read, Why: switching},
}
