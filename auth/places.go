package auth

import (
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// A text that cannot stand where a scheme puts it would have every request refused in its
// last moment, and a time that is over at once would have the server refuse it. Both are
// mistakes of the configuration. No text is quoted: it may be a key in a wrong place.

var (
	errTwice   = errors.New("is there twice")
	errUnknown = errors.New("is none of the constants")
)

// connections are the header lines that are the connection's to write.
var connections = []string{"Connection", "Content-Length", "Transfer-Encoding", "Upgrade"}

func isOfConnection(name string) bool {
	return slices.ContainsFunc(connections, func(c string) bool { return strings.EqualFold(c, name) })
}

// checkHeaderNames reports what cannot be the name of a header that a scheme sets, and
// those that two of them have; fields and names alternate.
func checkHeaderNames(scheme string, names ...string) error {
	var errs []error
	for i := 0; i+1 < len(names); i += 2 {
		field, name := names[i], names[i+1]
		switch {
		case name == "":
			errs = append(errs, fail(scheme, field, ErrMissing))
		case !httpguts.ValidHeaderFieldName(name):
			errs = append(errs, fail(scheme, field, errors.New("is no name of a header")))
		case isOfConnection(name):
			errs = append(errs, fail(scheme, field, errors.New("is a header of the connection's")))
		case isAmong(names[:i], name):
			errs = append(errs, fail(scheme, field, errTwice))
		}
	}
	return errors.Join(errs...)
}

// isAmong reports whether one of the names, which fields alternate with, is that of the
// same header.
func isAmong(names []string, name string) bool {
	for i := 1; i < len(names); i += 2 {
		if strings.EqualFold(names[i], name) {
			return true
		}
	}
	return false
}

// requiredInHeader is required of settings that go into a header's value as they are.
func requiredInHeader(scheme string, settings ...string) error {
	var errs []error
	for i := 0; i+1 < len(settings); i += 2 {
		err := required(scheme, settings[i], settings[i+1])
		if err == nil {
			err = checkInHeader(scheme, settings[i], settings[i+1])
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// checkInHeader reports a text that cannot stand in a header's value.
func checkInHeader(scheme, field, text string) error {
	if !httpguts.ValidHeaderFieldValue(text) {
		return fail(scheme, field, errors.New("has a control character, which no header can have"))
	}
	return nil
}

// checkWindow reports a window that is over before anything arrives.
func checkWindow(scheme string, window time.Duration) error {
	if window < 0 || window > 0 && window < time.Millisecond {
		return fail(scheme, "Window", errors.New("must be zero, or at least 1 ms"))
	}
	return nil
}

// checkLifetime reports a lifetime between two whole seconds, the first of which has
// come, that may be over when it is signed.
func checkLifetime(scheme string, lifetime time.Duration) error {
	if lifetime < 0 || lifetime > 0 && lifetime < 2*time.Second {
		return fail(scheme, "Lifetime", errors.New("must be at least 2 s"))
	}
	return nil
}

// check reports a rule that accepts no timestamp.
func (w Window) check(scheme, field string) error {
	if w.Past < 0 || w.Future < 0 {
		return fail(scheme, field, errors.New("must not be negative"))
	}
	return nil
}
