// Package engine is the door of Sluice: submit a request, get its one answer.
//
//	eng, err := engine.New(engine.Config{
//		BaseURL: "https://api.example.com",
//		Limits: []throttle.Limit{
//			{ID: "weight", Quota: 1200, Per: time.Minute},
//			{ID: "order", Quota: 10, Per: time.Second, Linked: []throttle.Link{{ID: "weight", Weight: 4}}},
//		},
//	})
//	defer eng.Close()
//	resp, err := eng.Do(ctx, &engine.Request{Path: "/v1/order", LimitID: "order"})
//
// # The journey
//
// Do waits for a credit, then begins an actor's life for the request, which runs on the
// caller's own goroutine, or, where very many wait already, on one of the engine's if no
// processor, cost function or observer has been promised the caller's: it runs the
// pre-processors and builds the bytes, asks the throttler for a permit under every limit the
// request touches and the pool of its origin for a connection, signs as late as possible with
// the server's idea of time, exchanges, settles the permit by what became of it, repeats what
// may be repeated, and runs the post-processors.
//
// # What can be configured
//
// Config says what an engine is: whose API, under which limits, signed how. What
// belongs together and is rarely touched is in groups: Clock, Admission,
// Connections, Dial, Responses, Retry. Each is a type of that name with its
// units and defaults; the zero value of everything is an engine that works.
//
// # What is promised
//
//   - Requests leave as fast as the limits allow and never faster, however long
//     the network takes: a permit counts until its answer has aged.
//   - Every call returns exactly once. Its timeout covers everything, the
//     queues too.
//   - Nothing is sent twice unless that is harmless; Error.Sent says whether
//     the server may have seen a request that failed.
//   - Any status is a response of Do. An error means that there is none; Fetch
//     makes errors of statuses, and loses nothing of the answer in them.
//   - Credentials, that is Config.Auth, Config.Accounts and Config.Header, go to the
//     origins that the Config names, and to no redirect's choice.
//   - A panic in a processor or authenticator ends that request alone. A log
//     handler is nobody's to wait for.
//   - After Close or Shutdown no goroutine, connection or timer is left.
//
// # What is no request
//
// Acquire and TryAcquire give leave to send something else under the same limits, from the
// same queue: a message on a WebSocket, a call of gRPC, a request of another client. A
// Permit counts like a request in flight until its Done, which says what became of it.
//
// # Many at once
//
// Stream sends the requests of an input, however many, and yields their results as they
// come or in order; All, FetchAll and Map do so with a slice and with keys. FanOut says how
// many at once, what a failure does, what goes again later, and who is told of the
// progress. Race takes the first success of several, and Hedge sends the second only if the
// first takes too long. Pages and Items go through a list that comes in pages, and Events
// follows server-sent events over reconnections. Submit sends one request and does not wait.
//
// # What it is doing
//
// Explain says what would hold a request up, until when and behind whom; Waiting who waits now,
// Stats how full the limits are, and DryRun what would be sent. Package inspect makes a live
// page of it, Observer is told of each request, and package telemetry tells OpenTelemetry.
//
// # To stop it
//
// Halt refuses what a Filter selects, queued requests included, until it is lifted; Shutdown
// lets what is on its way end, and Close does not.
//
// # What to do with an error
//
// OutcomeOf says what is known of the request's effect, Wait waits until it makes
// sense to send it again, and docs/guide/errors.md has the loops around them.
//
// All methods of Engine are safe for concurrent use.
package engine
