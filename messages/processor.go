package messages

import "context"

// PreProcessor may change a request before it is built, or end it with an
// error. It gets a copy of its own, never the caller's value; it runs once per
// request, on a goroutine of the request's own, and must be safe for concurrent use.
//
// That goroutine is the caller's in Do and Fetch, unless the request is one of Request.Coalesce,
// and in Submit, unless the request queues for a credit or has a body that is to be read first.
// Otherwise it is one of the engine's, as in Stream, Race, and a page that is asked for in advance.
// A panic ends the request; so does runtime.Goexit, and the goroutine with it.
//
// In the copy the engine's part is filled in: Method, LimitID, Header with the lines
// of Config.Header, and URL, which is the whole URL whatever the caller named, while
// Path is empty. Query and Header are never nil. Set Key here, for instance, to have a
// keyed limit count by host. A request that a processor sends with the same engine
// goes through all processors too, and must be told apart by its URL.
type PreProcessor interface {
	PreProcess(ctx context.Context, req *Request) error
}

// PreProcessorFunc makes a function a PreProcessor.
type PreProcessorFunc func(ctx context.Context, req *Request) error

// PreProcess calls f.
func (f PreProcessorFunc) PreProcess(ctx context.Context, req *Request) error { return f(ctx, req) }

// PostProcessor may look at an answer, change it, or turn it into an error. It
// runs once per request, on a goroutine of the request's own: that of whoever waits in Do or
// Fetch, unless the request is one of Request.Coalesce, and otherwise one of the engine's. It
// must be safe for concurrent use. What it puts in the place of Response.Stream must close that
// one when it is closed: until then the connection is in use, and the request on
// its journey.
type PostProcessor interface {
	PostProcess(ctx context.Context, req *Request, resp *Response) error
}

// PostProcessorFunc makes a function a PostProcessor.
type PostProcessorFunc func(ctx context.Context, req *Request, resp *Response) error

// PostProcess calls f.
func (f PostProcessorFunc) PostProcess(ctx context.Context, req *Request, resp *Response) error {
	return f(ctx, req, resp)
}
