package request

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/sluice-engine/sluice/messages"
)

// preProcess has the pre-processors work on a draft: a copy of the request of
// their own, with what the engine would add filled in.
func (r *slot) preProcess() error {
	r.common = r.needs.Plan.Fields
	if len(r.needs.Plan.PreProcessors) == 0 {
		return nil
	}
	draft, fields, err := r.draft()
	if err != nil {
		return err
	}
	r.asked = draft
	for _, p := range r.needs.Plan.PreProcessors {
		if err := p.PreProcess(r.ctx, draft); err != nil {
			return err
		}
	}
	r.common = takeCommon(fields, draft.Header)
	return nil
}

// draft copies the request, maps and bytes included, but for the trailers, whose
// values are still to come. Query and Header are never nil; method, full URL,
// the engine's header lines, which it returns too, and the limit are what they
// would be.
func (r *slot) draft() (*messages.Request, []messages.Field, error) {
	draft := *r.asked
	draft.Method = cmp.Or(draft.Method, http.MethodGet)
	draft.LimitID = cmp.Or(draft.LimitID, r.terms.LimitID)
	var target target
	if err := r.aim(&target, r.asked); err != nil {
		return nil, nil, invalid(err)
	}
	draft.URL = target.shown
	if !asksServer(r.asked) { // which the URL does not tell
		draft.Path = ""
	}
	draft.Query = maps.Clone(draft.Query)
	if draft.Query == nil {
		draft.Query = messages.Values{}
	}
	draft.Header = draft.Header.Clone()
	if draft.Header == nil {
		draft.Header = http.Header{}
	}
	fields := r.needs.Plan.Fields
	if !target.home || r.terms.Stranger {
		fields = r.needs.Plan.StrangerFields
	}
	for _, f := range fields {
		if !HasLine(r.asked.Header, f.Name) {
			draft.Header.Add(f.Name, f.Value)
		}
	}
	draft.Weights = maps.Clone(draft.Weights)
	draft.Body = copyBody(draft.Body)
	return &draft, fields, nil
}

// copyBody copies what a caller may share between requests and a pre-processor
// may write to. Anything else, a struct behind a pointer or a reader, is the
// caller's own.
func copyBody(body any) any {
	switch b := body.(type) {
	case messages.Values:
		return messages.Values(copyMap(b))
	case messages.Form:
		return messages.Form(copyMap(b))
	case map[string]any:
		return copyMap(b)
	case map[string]string:
		return maps.Clone(b)
	case url.Values:
		return url.Values(http.Header(b).Clone())
	case []any:
		all := make([]any, len(b))
		for i, v := range b {
			all[i] = copyBody(v)
		}
		return all
	case messages.Multipart:
		return messages.Multipart{Fields: messages.Values(copyMap(b.Fields)), Files: slices.Clone(b.Files)}
	case []byte:
		return slices.Clone(b)
	}
	return body
}

func copyMap[M ~map[string]any](m M) map[string]any {
	if m == nil {
		return nil
	}
	all := make(map[string]any, len(m))
	for name, v := range m {
		all[name] = copyBody(v)
	}
	return all
}

// takeCommon returns the engine's header lines that the pre-processors left as
// they were, and takes them out of header: what stands there is the request's
// own, and wins.
func takeCommon(fields []messages.Field, header http.Header) []messages.Field {
	var kept []messages.Field
	for name, lines := range byName(fields) {
		if slices.Equal(header[name], lines) {
			delete(header, name)
		} else {
			lines = nil // it was changed, or taken away
		}
		for _, line := range lines {
			kept = append(kept, messages.Field{Name: name, Value: line})
		}
	}
	if len(kept) == len(fields) {
		return fields // in their own order
	}
	slices.SortStableFunc(kept, func(a, b messages.Field) int { return cmp.Compare(a.Name, b.Name) })
	return kept
}

// among returns those of fields that are also among others.
func among(fields, others []messages.Field) []messages.Field {
	var kept []messages.Field
	for _, f := range fields {
		if slices.Contains(others, f) {
			kept = append(kept, f)
		}
	}
	return kept
}

func byName(fields []messages.Field) http.Header {
	all := http.Header{}
	for _, f := range fields {
		all.Add(f.Name, f.Value)
	}
	return all
}
