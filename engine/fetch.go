package engine

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"reflect"

	"github.com/sluice-engine/sluice/messages"
)

// Fetch sends a request and decodes its JSON answer into a T.
//
// A body is sent as JSON by POST, PUT and PATCH, and as a form otherwise,
// unless the request's header says what it is. A status of 400 and above is a
// *StatusError, with header and body; with Request.ReturnErrors its body is
// decoded into a T instead. A T of *Response, []byte or string is given the
// answer as it is. An empty body leaves T at its zero value. Request.Stream is
// for a T of *Response alone, and ignored otherwise.
func Fetch[T any](ctx context.Context, eng *Engine, req *Request) (T, error) {
	var result T
	if _, whole := any(result).(*Response); req.Stream && !whole {
		read := *req // the caller's own is not changed
		read.Stream = false
		req = &read
	}
	response, err := eng.Do(ctx, withContentType(req))
	if err != nil {
		return result, err
	}
	if !req.ReturnErrors && response.StatusCode >= 400 {
		return result, refusal(response)
	}
	if err := decode(response, &result); err != nil {
		failure := messages.NewError(req, Finishing, err)
		failure.Attempts, failure.Sent = response.Attempts, response.Answer().Sent
		return result, failure
	}
	return result, nil
}

// keptOfABody is how much of a streamed body an error keeps.
const keptOfABody = 64 << 10

// refusal is the error of an answer that nobody will be handed: what it holds is
// given back, and the beginning of a streamed body is kept.
func refusal(response *Response) error {
	if response.Stream != nil {
		response.Body, _ = io.ReadAll(io.LimitReader(response.Stream, keptOfABody)) // as far as it came
		_ = response.Stream.Close()
	}
	return response.Err()
}

// withContentType returns the request, or a copy whose body is laid out and
// labelled as Fetch promises.
func withContentType(req *Request) *Request {
	if req.Body == nil || req.Header.Get("Content-Type") != "" {
		return req
	}
	labelled := *req
	if hasJSONBody(req.Method) {
		labelled.Header = withHeader(req.Header, "Content-Type", "application/json")
		if form, ok := req.Body.(Form); ok {
			labelled.Body = Values(form) // or it would be laid out as a form, labelled as JSON
		}
		return &labelled
	}
	labelled.Header = withHeader(req.Header, "Content-Type", "application/x-www-form-urlencoded")
	if values, ok := req.Body.(Values); ok {
		labelled.Body = Form(values)
	}
	return &labelled
}

func hasJSONBody(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}

func withHeader(header http.Header, name, value string) http.Header {
	header = header.Clone()
	if header == nil {
		header = make(http.Header)
	}
	header.Set(name, value)
	return header
}

func decode(response *Response, into any) error {
	switch v := into.(type) {
	case **Response:
		*v = response
		return nil
	case *[]byte:
		*v = response.Body
		return nil
	case *string:
		*v = response.Text()
		return nil
	}
	if len(response.Body) == 0 { // as of a 204: no JSON, and no mistake
		return nil
	}
	if err := json.Unmarshal(response.Body, into); err != nil {
		return &DecodeError{Answer: response.Answer(), Into: reflect.TypeOf(into).Elem().String(), Err: err}
	}
	return nil
}
