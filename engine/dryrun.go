package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"

	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/messages"
)

// Rehearsal is a request as it would have been sent, by Engine.DryRun, with what it would
// be charged and when it would leave.
//
// However it is printed, logged or marshalled, it tells names, and no value of a
// parameter, of a header or of a body. In its fields are the values that the request, the
// pre-processors and the configuration gave; what the authenticator has added, which is
// the key, the signature and the like, stands there as *** too.
type Rehearsal struct {
	Method string
	URL    string // without the query
	// Query and Header are in the order in which they would be written, Host and
	// Content-Length apart. Parameters are percent-encoded.
	Query  []RehearsedField
	Header []RehearsedField
	// Body is nil for one that is streamed, and for one that the authenticator has made.
	Body   []byte
	Length int64 // of the body in bytes; negative if it is not known
	Signed bool
	// Explanation is of the request as the pre-processors left it, taken when it was
	// signed.
	Explanation Explanation
}

// RehearsedField is a parameter or a header line of a Rehearsal. It prints as its name,
// and *** for the value.
//
// Its fields: go doc github.com/sluice-engine/sluice/messages.Field
type RehearsedField = messages.Field

// DryRun does everything with a request but send it: pre-processors run, target, query,
// header and body are built, it is signed, and what it would be charged and when it would
// leave is looked up. No connection is opened or used, no permit is taken, no limit is
// charged, and no halt refuses it: Rehearsal.Explanation tells. It takes a credit of
// Config.Admission, as any request, for as long as it runs.
//
// To sign takes what signing takes: a nonce is used up, in its turn, and where a signature
// needs the server's time or a token that is not known yet, these are asked for, which
// does use the network. A body that can be read once may lose its first byte by it, as by
// an attempt that was given up; give DryRun a body of its own.
//
// There is no switch that makes a whole engine dry: what waits for answers would go on
// with none. The error is that of Do for a request that got no further than its signature.
func (e *Engine) DryRun(ctx context.Context, req *Request) (*Rehearsal, error) {
	if err := e.misused(ctx, req); err != nil {
		return nil, messages.NewError(req, Admitting, err)
	}
	rehearsed := &request.Rehearsed{}
	terms := request.Terms{LimitID: e.defaultLimit(), Rehearsed: rehearsed}
	if err := e.admit(ctx, req, &terms); err != nil {
		return nil, messages.NewError(req, Admitting, err)
	}
	defer e.admission.leave()
	if _, _, err := e.system.Carry(ctx, req, &terms); err != nil {
		return nil, err
	}
	x, err := e.Explain(rehearsed.Asked)
	if err != nil {
		return nil, err
	}
	return &Rehearsal{
		Method: rehearsed.Method, URL: rehearsed.URL, Query: rehearsed.Query, Header: rehearsed.Header,
		Body: rehearsed.Body, Length: rehearsed.Length, Signed: rehearsed.Signed, Explanation: x,
	}, nil
}

// String is a few lines for people: the request with its names, and the explanation.
func (r Rehearsal) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", r.Method, r.URL)
	for i, p := range r.Query {
		fmt.Fprintf(&b, "%c%s=***", "?&"[min(i, 1)], p.Name)
	}
	for _, f := range r.Header {
		b.WriteString("\n" + f.String())
	}
	switch {
	case r.Length < 0:
		b.WriteString("\n(a body of unknown length)")
	case r.Length > 0:
		fmt.Fprintf(&b, "\n(a body of %d bytes)", r.Length)
	}
	return b.String() + "\n" + r.Explanation.String()
}

// Format prints what String returns for every verb and flag.
func (r Rehearsal) Format(f fmt.State, _ rune) { show(f, r.String()) }

// LogValue returns what String does.
func (r Rehearsal) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalJSON writes what String returns.
func (r Rehearsal) MarshalJSON() ([]byte, error) { return json.Marshal(r.String()) }
