package messages

import "context"

// PreProcessor may change a request before it is built, or end it with an
// error. It gets a copy of its own, never the caller's value; it runs once per
// request, on the caller's goroutine, and must be safe for concurrent use.
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
// runs once per request, on the caller's goroutine, and must be safe for
// concurrent use. What it puts in the place of Response.Stream must close that
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
