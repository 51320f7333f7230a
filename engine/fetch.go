package engine

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"github.com/sluice-engine/sluice/internal/jsontext"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// Fetch sends a request and decodes its JSON answer into a T.
//
// A body of Values is sent as JSON by POST, PUT and PATCH, and as a form
// otherwise; any other as what it is: a Form or url.Values as a form, a map, a
// struct or a list as JSON. A Content-Type of the request's own decides for Values.
// Bytes, texts and readers are labelled as JSON or as a form if the request does
// not say what they are.
//
// Any other status than 2xx is a *StatusError, with header and body; with
// Request.ReturnErrors the body of a 4xx or 5xx is decoded into a T instead. A T of
// *Response, []byte or string is given the answer as it is. An empty body leaves T
// at its zero value, and a null is an error unless T can be nil. A number decoded
// into an interface is a json.Number: see Responses.Decode. Request.Stream is for a
// T of *Response alone, and ignored otherwise.
//
// The error is a *StatusError or an *Error; what could not be decoded, or is of
// another media type than Request.Accept, is a *DecodeError or *ContentTypeError in
// it. All of them have the answer with its status, header and body, and say how many
// attempts there were and the worst of them.
func Fetch[T any](ctx context.Context, eng *Engine, req *Request) (T, error) {
	if req == nil { // and Do has a word for it
		var result T
		_, err := eng.Do(ctx, req)
		return result, err
	}
	req = asked[T](req)
	response, err := eng.Do(ctx, req)
	return fetched[T](eng, req, response, err)
}

// asked is the request as Fetch sends it.
func asked[T any](req *Request) *Request {
	var result T
	if _, whole := any(result).(*Response); !whole {
		req = unstreamed(req)
	}
	return withContentType(req)
}

// unstreamed is a request whose answer is read whole. The caller's own is not changed.
func unstreamed(req *Request) *Request {
	if req == nil || !req.Stream {
		return req
	}
	read := *req
	read.Stream = false
	return &read
}

// fetched is what Fetch makes of what Do has returned.
func fetched[T any](eng *Engine, req *Request, response *Response, err error) (T, error) {
	var result T
	if response, err = allowed(req, response, err); err != nil {
		return result, err
	}
	if err := eng.decode(response, &result); err != nil {
		failure := messages.NewError(req, Finishing, err)
		failure.Attempts, failure.Sent = response.Attempts, response.Answer().Sent
		if req.LimitID == "" {
			failure.Route = messages.LimitName(eng.defaultLimit())
		}
		return result, failure
	}
	return result, nil
}

// fetch returns the answer to a request, laid out as Fetch promises, if its status is one
// whose body is decoded.
func (e *Engine) fetch(ctx context.Context, req *Request) (*Response, error) {
	response, err := e.Do(ctx, withContentType(req))
	return allowed(req, response, err)
}

// allowed returns an error for an answer of a status whose body is not decoded.
func allowed(req *Request, response *Response, err error) (*Response, error) {
	if err != nil {
		return nil, err
	}
	if unwanted(req, response) {
		return nil, refusal(response)
	}
	return response, nil
}

// unwanted reports whether the status of an answer makes it an error of Fetch.
func unwanted(req *Request, response *Response) bool {
	status := response.StatusCode
	return status < 200 || status > 299 && !(req.ReturnErrors && status >= 400)
}

// withContentType returns the request, or a copy whose body is laid out and
// labelled as Fetch promises.
func withContentType(req *Request) *Request {
	if req.Body == nil || hasHeader(req.Header, "Content-Type") {
		return req
	}
	switch body := req.Body.(type) {
	case Form, url.Values:
		return req
	case Values:
		if hasJSONBody(req.Method) {
			return req
		}
		laidOut := *req
		laidOut.Body = Form(body)
		return &laidOut
	case []byte:
		return labelled(req, kindOf(body, req.Method))
	case string:
		return labelled(req, kindOf([]byte(body), req.Method))
	case io.Reader, func() (io.Reader, error):
		return labelled(req, kindOf(nil, req.Method))
	}
	return req // JSON, and labelled as that where it is encoded
}

func hasJSONBody(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}

// kindOf is what bytes are that nobody has named: JSON if they can be read as an
// object or a list, a form if they look like one, and otherwise what the method
// makes likely.
func kindOf(body []byte, method string) string {
	const form = "application/x-www-form-urlencoded"
	text := strings.TrimSpace(string(jsontext.WithoutMark(body)))
	switch {
	case (strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[")) && json.Valid([]byte(text)):
		return "application/json"
	case strings.Contains(text, "=") && !strings.ContainsAny(text, " \t\r\n<>{}\""):
		return form
	case hasJSONBody(method):
		return "application/json"
	}
	return form
}

func labelled(req *Request, contentType string) *Request {
	copied := *req
	copied.Header = req.Header.Clone()
	if copied.Header == nil {
		copied.Header = make(http.Header)
	}
	setHeader(copied.Header, "Content-Type", contentType)
	return &copied
}

// decode lays an answer's body into what into points to.
func (e *Engine) decode(response *Response, into any) error {
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
	err := messages.ErrNull
	if !jsontext.IsNull(response.Body) || mayBeNull(into) {
		err = e.decodeInto(response.Body, into)
	}
	if err != nil {
		return &DecodeError{Answer: response.Answer(), Into: reflect.TypeOf(into).Elem().String(), Err: err}
	}
	return nil
}

// decodeInto calls what may be the caller's own code: Responses.Decode, and the methods
// by which a type decodes itself.
func (e *Engine) decodeInto(body []byte, into any) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = wire.Panicked(Finishing, v)
		}
	}()
	return e.unmarshal(body, into)
}

// mayBeNull reports whether a null can be told from a zero value: into points to
// what can be nil, or sees to it itself.
func mayBeNull(into any) bool {
	if _, own := into.(json.Unmarshaler); own {
		return true
	}
	switch reflect.TypeOf(into).Elem().Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice:
		return true
	}
	return false
}
