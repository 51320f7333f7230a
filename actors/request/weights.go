package request

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/internal/percent"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// weigh adds what the request's permit is charged where the limits' tariffs say so, the
// engine's cost functions, or the request itself; of these the later win. The list is the
// permit's own: the caller's map is never read on the throttler's turn. It returns the tariffs as
// well that it has gone by.
func (r *slot) weigh(into []throttle.Cost) (weights []throttle.Cost, by *throttle.Tariffs, err error) {
	by = r.needs.Tariffs()
	switch { // mostly neither is there, and then what follows is not on the stack
	case by == nil && len(r.asked.Weights) == 0:
		return into, throttle.NoTariffs, nil
	case by == nil: // what follows allocates
		return override(into, r.asked.Weights), throttle.NoTariffs, nil
	}
	weights, err = r.weighBy(by, r.asked, r.limit, &paramsOf{call: &r.call, contentType: r.contentType}, into)
	return weights, by, err
}

// weighBy does so by the tariffs of one table.
func (c *Carrier) weighBy(tariffs *throttle.Tariffs, asked *messages.Request, limit string, p *paramsOf, into []throttle.Cost) ([]throttle.Cost, error) {
	if tariffs != nil {
		var err error
		if into, err = tariffs.Weigh(limit, p.values, into); err == nil {
			err = c.askCosts(asked, into)
		}
		if err != nil {
			return into, fmt.Errorf("%w: %w", messages.ErrInvalidRequest, err)
		}
	}
	return override(into, asked.Weights), nil
}

// override has the weights of a request win over those that are there, and puts them in
// the order of their ids.
func override(dst []throttle.Cost, weights map[string]int64) []throttle.Cost {
	for id, weight := range weights {
		i := slices.IndexFunc(dst, func(c throttle.Cost) bool { return c.ID == id })
		if i < 0 {
			dst = append(dst, throttle.Cost{ID: id, Weight: weight})
		} else {
			dst[i].Weight = weight
		}
	}
	if len(dst) > 1 {
		slices.SortFunc(dst, func(a, b throttle.Cost) int { return cmp.Compare(a.ID, b.ID) })
	}
	return dst
}

// weighedByOthers reports whether a refusal is for weights that the tariffs of a table
// gave which was replaced meanwhile: those of the new one have not been asked.
func weighedByOthers(refused error) bool { return errors.Is(refused, throttle.ErrReweigh) }

// askCosts has the functions that the engine was given say what they know better.
func (c *Carrier) askCosts(asked *messages.Request, weights []throttle.Cost) error {
	for i := range weights {
		cost := c.needs.Plan.Costs[weights[i].ID]
		if cost == nil {
			continue
		}
		if weights[i].Weight = cost(asked); weights[i].Weight < 0 {
			return fmt.Errorf("the cost of limit %q is %d, and no weight is below zero", weights[i].ID, weights[i].Weight)
		}
	}
	return nil
}

// paramsOf are those of a request as it will be sent: of its query, and of the form
// or the JSON object that is its body.
type paramsOf struct {
	call        *messages.Call
	contentType string

	query  url.Values // nil until it is asked for, like the others
	form   url.Values
	object map[string]json.RawMessage
}

// values returns the values of a parameter, of the query before the body. What cannot
// be read has none: the server will say what it thinks of it.
func (p *paramsOf) values(name string) []string {
	if p.query == nil {
		p.query = pairs(p.call.Query)
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

func (p *paramsOf) readBody() {
	kind := p.contentType
	for _, f := range p.call.Fields {
		if strings.EqualFold(f.Name, "Content-Type") {
			kind = f.Value
		}
	}
	kind, _, _ = strings.Cut(strings.ToLower(kind), ";")
	switch kind = strings.TrimSpace(kind); {
	case kind == formType:
		p.form = pairs(string(p.call.Body))
	case kind == jsonType, strings.HasSuffix(kind, "+json"):
		_ = json.Unmarshal(p.call.Body, &p.object)
	}
}

// pairs reads a query or a form as servers do that take everything: a semicolon is part
// of a value, and a percent sign that begins no escape is one. url.ParseQuery leaves such
// a pair out, and the request would be charged as if it asked for less than it does.
func pairs(text string) url.Values {
	all := url.Values{}
	for pair := range strings.SplitSeq(text, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name = unescaped(name)
		all[name] = append(all[name], unescaped(value))
	}
	return all
}

func unescaped(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	return string(percent.AppendDecoded(nil, s))
}
