// Package telemetry tells OpenTelemetry what an engine does: metrics and traces, through
// the API alone, to whatever providers the program has.
//
//	t, err := telemetry.New(telemetry.Config{MeterProvider: meters, TracerProvider: tracers})
//	eng, err := engine.New(engine.Config{…, Observers: []engine.Observer{t.Observer()}})
//	stop, err := t.Watch(eng)
//
// Observer is for what happens to requests: how long they took, what they waited for,
// how often they were repeated. Watch is for the state of the engine: what is used of the
// limits, how many connections there are, how well the server's clock is known. The names,
// units and attributes of all instruments are in docs/guide/opentelemetry.md.
//
// Nothing here ever has a URL, a path, a query, a header, a key or an account in it. What
// attributes can be is bounded: the ids of limits are those of the table, servers are
// told apart up to Config.MaxOrigins, methods are those that HTTP knows, and each
// instrument that is fed by requests has at most Config.MaxSeries sets of them. Spans alone
// have a method that HTTP does not know as well, in http.request.method_original: at most 64
// bytes of it, and only if it is made of letters, "-" and "_".
//
// http.client.request.duration is what the semantic conventions make of it, one exchange with
// the server. How long a caller waited for everything together is sluice.request.duration.
//
// A provider that is nil costs nothing. An instrument that the program's views drop
// costs some nanoseconds.
package telemetry
