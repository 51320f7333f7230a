package request

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

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
	if asked.Weight < 0 {
		return fmt.Errorf("its Weight %d is negative", asked.Weight)
	}
	if asked.Body != nil && messages.HoldsNil(asked.Body) {
		return fmt.Errorf("its Body is a nil %T", asked.Body)
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

// check has the connection's own rules looked at, where anything may break them:
// the engine's header, and a target that it has escaped itself, do not.
func (r *slot) check() error {
	if len(r.asked.Header) == 0 && len(r.asked.Upload.Trailer) == 0 && !r.asked.Encoded && slices.Contains(methods, r.call.Method) {
		return nil
	}
	probe := r.call
	if r.upload != nil { // an attempt will open it
		probe.Reader, probe.Length = http.NoBody, r.upload.length
	}
	if _, err := wire.CheckCall(&probe); err != nil {
		return fmt.Errorf("%w: %w", messages.ErrInvalidRequest, err)
	}
	return nil
}
