package request

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// weigh writes what the request's permit is charged where the limits' tariffs say so,
// the engine's cost functions, or the request itself; of these the later win. The list
// is the permit's own: the throttler reads it when the caller may have gone on to
// change his map.
func (r *slot) weigh(into []throttle.Cost) ([]throttle.Cost, error) {
	into = into[:0]
	if tariffs := r.needs.Tariffs(); tariffs != nil {
		p := parameters{call: &r.call, contentType: r.contentType}
		var err error
		if into, err = tariffs.Weigh(r.limit, p.values, into); err == nil {
			err = r.askCosts(into)
		}
		if err != nil {
			return into, fmt.Errorf("%w: %w", messages.ErrInvalidRequest, err)
		}
	}
	if len(r.asked.Weights) == 0 { // mostly, and then no iterator is made
		return into, nil
	}
	for _, id := range slices.Sorted(maps.Keys(r.asked.Weights)) {
		weight := r.asked.Weights[id]
		i := slices.IndexFunc(into, func(c throttle.Cost) bool { return c.ID == id })
		if i < 0 {
			into = append(into, throttle.Cost{ID: id, Weight: weight})
			continue
		}
		into[i].Weight = weight
	}
	return into, nil
}

// askCosts has the functions that the engine was given say what they know better.
func (r *slot) askCosts(weights []throttle.Cost) error {
	for i := range weights {
		cost := r.needs.Plan.Costs[weights[i].ID]
		if cost == nil {
			continue
		}
		if weights[i].Weight = cost(r.asked); weights[i].Weight < 0 {
			return fmt.Errorf("the cost of limit %q is %d, and no weight is below zero", weights[i].ID, weights[i].Weight)
		}
	}
	return nil
}

// parameters are those of a request as it will be sent: of its query, and of the form
// or the JSON object that is its body.
type parameters struct {
	call        *messages.Call
	contentType string

	query  url.Values // nil until it is asked for, like the others
	form   url.Values
	object map[string]json.RawMessage
}

// values returns the values of a parameter, of the query before the body. What cannot
// be read has none: the server will say what it thinks of it.
func (p *parameters) values(name string) []string {
	if p.query == nil {
		p.query, _ = url.ParseQuery(p.call.Query)
		p.readBody()
	}
	if values := p.query[name]; len(values) > 0 {
		return values
	}
	if values := p.form[name]; len(values) > 0 {
		return values
	}
	raw, found := p.object[name]
	if !found || string(raw) == "null" {
		return nil
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw) // a number, or a list
	}
	return []string{text}
}

func (p *parameters) readBody() {
	kind := p.contentType
	for _, f := range p.call.Fields {
		if strings.EqualFold(f.Name, "Content-Type") {
			kind = f.Value
		}
	}
	kind, _, _ = strings.Cut(strings.ToLower(kind), ";")
	switch kind = strings.TrimSpace(kind); {
	case kind == formType:
		p.form, _ = url.ParseQuery(string(p.call.Body))
	case kind == jsonType, strings.HasSuffix(kind, "+json"):
		_ = json.Unmarshal(p.call.Body, &p.object)
	}
}
