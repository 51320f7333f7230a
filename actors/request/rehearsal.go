package request

import (
	"bytes"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/messages"
)

// Rehearsed is a request as it would have been sent, and what it was made of. The life
// that rehearses it writes it; it shares nothing that changes.
type Rehearsed struct {
	Asked  *messages.Request // as the pre-processors left it
	Limit  string            // what it would be charged to
	Method string
	URL    string // without the query
	Query  []messages.Field
	Header []messages.Field
	Body   []byte // nil if it is streamed, or if the authenticator made it
	Length int64  // of the body; negative if it is not known
	Signed bool
}

// hidden stands for what an authenticator has added.
const hidden = "***"

// rehearse does what an attempt does up to its permit and its connection: it waits for
// its turn to sign, and signs. Nothing is held then.
func (r *slot) rehearse() {
	r.stage = messages.Signing
	r.attempt = attempt{slot: r}
	a := &r.attempt
	err := a.takeSigner()
	if err == nil {
		err = a.authenticate()
	}
	a.endTurn()
	a.upload.close()
	if err != nil {
		r.fail(err)
		return
	}
	r.terms.Rehearsed.take(r, a.toSend)
	r.Finished = true
}

// take copies a call, without what the authenticator has added to it.
func (d *Rehearsed) take(r *slot, sent *messages.Call) {
	plain := &r.call
	d.Asked, d.Limit, d.Method, d.Signed = r.asked, r.limit, sent.Method, r.asked.Auth
	d.URL = plain.Origin.Scheme + "://" + plain.Host + plain.Path
	added, kept := strings.CutPrefix(sent.Query, plain.Query)
	if kept && (added == "" || plain.Query == "" || added[0] == '&') {
		d.Query = append(parameters(plain.Query, false), parameters(added, true)...)
	} else { // it is not the caller's any more, in whatever order
		d.Query = parameters(sent.Query, true)
	}
	for _, f := range sent.Fields {
		if !slices.Contains(plain.Fields, f) {
			f.Value = hidden
		}
		d.Header = append(d.Header, f)
	}
	if d.Length = int64(len(sent.Body)); sent.Reader != nil {
		d.Length = sent.Length
	}
	if bytes.Equal(plain.Body, sent.Body) {
		d.Body = bytes.Clone(sent.Body) // which may be lent, and is given back
	}
}

// parameters takes a query apart, still encoded.
func parameters(query string, hide bool) (all []messages.Field) {
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		if hide {
			value = hidden
		}
		all = append(all, messages.Field{Name: name, Value: value})
	}
	return all
}
