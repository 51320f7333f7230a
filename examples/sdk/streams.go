package main

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/sluice-engine/sluice/engine"
)

// streamed tells the engine which answers are read as they arrive: events, the other
// protocol of an Upgrade, and what is too large for memory.
func streamed(r *http.Request, asked *engine.Request) {
	asked.Stream = r.Header.Get("Accept") == "text/event-stream" ||
		r.Header.Get("Upgrade") != "" || strings.HasSuffix(r.URL.Path, ".zip")
}

// withoutURL is an error of an http.Client's without the URL, whose query may hold a
// signature or a key.
func withoutURL(err error) error {
	if whole, ok := errors.AsType[*url.Error](err); ok {
		return whole.Err
	}
	return err
}
