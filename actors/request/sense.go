package request

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/internal/unit"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// Whatever would only be found out on a connection is looked at before the request
// queues for one.

var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodTrace,
}

// sensible returns what is wrong with a request, whatever the engine.
func sensible(asked *messages.Request, methodAsSpelt bool) error {
	if err := unit.Missing(asked.Timeout, time.Microsecond); err != nil { // what is left of a time may be short
		return fmt.Errorf("its Timeout %w", err)
	}
	if asked.Weight < 0 {
		return fmt.Errorf("its Weight %d is negative", asked.Weight)
	}
	for id, weight := range asked.Weights {
		if weight < 0 {
			return fmt.Errorf("its Weights has %d for limit %q, which is negative", weight, id)
		}
	}
	if asked.Redirects < 0 {
		return fmt.Errorf("its Redirects %d is negative", asked.Redirects)
	}
	if err := sensibleBody(asked.Body); err != nil {
		return err
	}
	if _, parts := asked.Body.(messages.Multipart); parts && hasContentType(asked.Header) {
		return errors.New("a Multipart has a Content-Type of its own, which names what separates its parts: leave it out of the Header")
	}
	if !methodAsSpelt && asked.Method != "" && !slices.Contains(methods, asked.Method) {
		// Methods are told apart by case (RFC 9110, section 9.1), and so a server would
		// not know this one.
		if upper := strings.ToUpper(asked.Method); slices.Contains(methods, upper) {
			return fmt.Errorf("its Method %q is written %q", asked.Method, upper)
		}
	}
	return nil
}

// sensibleBody returns what is wrong with a body that is a nil of a type which says
// otherwise: as JSON it would be sent as null, and mostly it is an oversight.
func sensibleBody(body any) error {
	switch body.(type) {
	case nil, []byte, string: // nil bytes are no body
		return nil
	case *messages.Multipart:
		return errors.New("its Body is a *Multipart: give the Multipart itself")
	}
	if messages.HoldsNil(body) {
		return fmt.Errorf("its Body is a nil %T: send nil if there is to be no body, and json.RawMessage(\"null\") if there is to be a null", body)
	}
	return nil
}

var errTrailsNothing = errors.New("trailers follow a streamed body only")

// check has the connection's own rules looked at, where anything may break them:
// the engine's header, and a target that it has escaped itself, do not, nor does one
// that was looked at before.
func (r *slot) check() error {
	if len(r.asked.Header) == 0 && len(r.asked.Upload.Trailer) == 0 && r.target.sound && slices.Contains(methods, r.call.Method) {
		return nil
	}
	if len(r.asked.Upload.Trailer) > 0 && r.upload == nil {
		return invalid(errTrailsNothing)
	}
	probe := r.call
	if r.upload != nil { // an attempt will open it
		probe.Reader, probe.Length = http.NoBody, r.upload.length
	}
	if _, err := wire.CheckCall(&probe); err != nil {
		return invalid(err)
	}
	return nil
}
