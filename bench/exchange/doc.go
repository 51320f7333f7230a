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
//	read the body ─▶ Delay ─▶ arrive ─▶ ReturnDelay ─▶ write the answer
//	                            │
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
//	POST   /api/v3/order            1, signed, one order
//	DELETE /api/v3/order            1, signed
//	GET    /api/v3/order            4, signed
//	GET    /api/v3/openOrders       6 with a symbol, 80 without, signed
//	GET    /api/v3/rateLimit/order  40, signed
//
// The counters are pure functions of the time they are given, so that a
// discrete-event simulation can use them without a server (NewCounter).
//
// The package shares no code with the engine it judges. Inside a
// testing/synctest bubble, create the Exchange in the bubble and serve on a
// listener of package memnet: all windows, delays and bans then run in fake
// time.
package exchange
