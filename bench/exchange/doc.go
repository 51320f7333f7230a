// Package exchange is a simulated spot exchange: an HTTP server that behaves
// like Binance's /api/v3 and referees the client that talks to it.
//
// It counts weight at the instant a request arrives, in windows of its own
// clock, refuses what is over with 429 and Retry-After, bans with 418 whoever
// goes on, verifies HMAC signatures and the timestamp window, keeps orders,
// and at the end reports everything a polite client would not have done:
//
//	ex, err := exchange.New(exchange.Config{Skew: 2 * time.Second})
//	url, err := ex.Start("127.0.0.1:0")
//	defer ex.Close()
//	// ... run the client under test against url ...
//	fmt.Print(ex.Report()) // ends with "violations: 0", or with the list
//
// # One request's way through
//
//	read the body ─▶ Stalls, Delay ─▶ arrive ─▶ ReturnDelay ─▶ write the answer
//	                                   │
//	          one mutex, one reading of the clock:
//	          banned? ─▶ IP limits ─▶ fault? ─▶ key, signature, time ─▶ order limits ─▶ route
//
// # Endpoints
//
//	GET    /api/v3/ping             weight 1
//	GET    /api/v3/time             1
//	GET    /api/v3/exchangeInfo     20
//	GET    /api/v3/ticker/price     2 with a symbol, 4 without
//	GET    /api/v3/depth            5, 25, 50 or 250 by limit (100, 500, 1000, 5000)
//	GET    /api/v3/account          20, signed
//	GET    /api/v3/historicalTrades 25, with a key and no signature
//	POST   /api/v3/userDataStream   2, with a key and no signature
//	POST   /api/v3/order            1, signed, one order; see Config.KeepOrderIDs
//	POST   /api/v3/batchOrders      5, signed, up to 20 orders, listed as JSON in batchOrders
//	DELETE /api/v3/order            1, signed
//	PUT    /api/v3/order/amend/keepPriority  4, signed
//	DELETE /api/v3/openOrders       1, signed: all of a symbol
//	GET    /api/v3/order            4, signed
//	GET    /api/v3/openOrders       6 with a symbol, 80 without, signed
//	GET    /api/v3/rateLimit/order  40, signed
//
//	GET    /ws-api/v3               2: a WebSocket, see below
//
// # Order entry over a WebSocket
//
// A frame is {"id": …, "method": "order.place", "params": {…}}, and its answer has the
// same id, a status, a result or an error, and what is used of the limits. Methods:
// ping, time, depth, ticker.price, account.status, account.rateLimits.orders,
// openOrders.status, openOrders.cancelAll, order.place, order.status, order.cancel and
// order.amend.keepPriority. Each is the request of the same meaning: it has its weight,
// it is charged to the limits of the address that opened the connection and of the
// account that signed it, and is refused and banned as that is. Signed ones carry
// apiKey, timestamp and signature, which is that of all other parameters sorted by
// name. Frames of one connection arrive in the order in which they were sent.
//
// # Accounts and limits
//
// An address may have any number of accounts behind it, each with a key and a secret of
// its own. Limits of kind weight, raw and connections are told apart by address, those
// of kind orders, account, actions and matching by account, and with "symbol" by
// account and symbol. All limits of an account that one request is about are charged
// together or not at all.
//
// # Clients of other APIs
//
// Config.Routes are endpoints of any API: limited, charged to accounts by a header of any
// name, and answered with a body that never changes. Requests that carry an id and were
// executed and answered are not to come again; those that carry a number (X-Sequence) are
// followed in their order, for each account, key and priority; Jain's index says how evenly
// accounts were served.
//
// # What goes wrong
//
// Delays have any of six shapes, or come in so many of a hundred cases; stalls hold up all
// that is on its way; faults answer with a status, end, reset or half-close connections, and
// send bodies slowly, in part, or with a wrong length. They are drawn from a seed, which the
// report tells. Faults that execute a request and hide it, or cut its answer, are followed:
// whether the client looks the outcome up, or sends the request again. So are clients that
// have gone before their answer was written whole.
//
// The counters are pure functions of the time they are given, so that a
// discrete-event simulation can use them without a server (NewCounter).
//
// The package shares no code with the engine it judges. Inside a
// testing/synctest bubble, create the Exchange in the bubble and serve on a
// listener of package memnet: all windows, delays and bans then run in fake
// time.
package exchange
