package engine

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/internal/wire"
)

// shares reports whether a request may share its answer, if it can be told apart from others.
func shares(req *Request) bool {
	up := &req.Upload
	switch {
	case !req.Coalesce, req.Method != "" && req.Method != http.MethodGet && req.Method != http.MethodHead,
		req.Stream, req.Body != nil, up.Stream, up.ExpectContinue, up.Length != 0, up.Trailer != nil:
		return false
	}
	return true
}

// frozen returns a copy of a request that its caller, who may leave before it is sent,
// cannot change, and what tells it apart from those that would not be sent alike, or not be
// charged alike. It reports false for one that shares its answer with nobody.
func frozen(req *Request) (copied Request, key string, able bool) {
	if !shares(req) {
		return copied, "", false
	}
	// Values have methods of their own, which may panic: the journey has a word for that.
	panicked := wire.Guard(Preparing, func() {
		if copied = frozenCopy(req); copied.Query != nil || req.Query == nil {
			key, able = writeKey(&copied)
		}
	})
	return copied, key, able && panicked == nil
}

func writeKey(req *Request) (key string, able bool) {
	query, err := req.Query.Encoded()
	if err != nil {
		return "", false
	}
	var b strings.Builder
	writeAsked(&b, req, query)
	return b.String(), true
}

// writeAsked writes what tells a request without its body apart from those that would not be sent
// alike, or not be charged alike. No two of them are written alike.
func writeAsked(w io.Writer, req *Request, query string) {
	for _, text := range []string{
		cmp.Or(req.Method, http.MethodGet), req.URL, req.Path, query, req.Account, req.Egress, req.LimitID, req.Key, req.Accept,
	} {
		writePart(w, text)
	}
	fmt.Fprint(w, req.Encoded, req.Close, req.Auth, req.KeyOnly, req.Weight, " ", req.Redirects, ",")
	for _, id := range slices.Sorted(maps.Keys(req.Weights)) {
		writePart(w, id)
		fmt.Fprint(w, req.Weights[id], ",")
	}
	io.WriteString(w, "header,")
	for _, name := range slices.Sorted(maps.Keys(req.Header)) {
		writePart(w, name)
		fmt.Fprint(w, len(req.Header[name]), ",")
		for _, value := range req.Header[name] {
			writePart(w, value)
		}
	}
}

// writePart writes a text so that it does not run into the next.
func writePart(w io.Writer, text string) { fmt.Fprintf(w, "%d %s,", len(text), text) }

// frozenCopy copies what a request leads to. Its Query is nil if a parameter of it cannot be
// sent.
func frozenCopy(req *Request) Request {
	copied := *req
	copied.Header, copied.Weights = req.Header.Clone(), maps.Clone(req.Weights)
	copied.Query = maps.Clone(req.Query)
	for name, value := range copied.Query {
		switch value.(type) {
		case nil, string, bool, int, int64, int32, uint64, uint32, float64, time.Time:
		default: // it may be, or lead to, memory of the caller's
			text, err := Values{name: value}.Encoded()
			texts, bad := url.ParseQuery(text)
			if err != nil || bad != nil {
				copied.Query = nil
				return copied
			}
			copied.Query[name] = texts[name]
		}
	}
	return copied
}
