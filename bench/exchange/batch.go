package exchange

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"time"
)

// mostInBatch is how many orders a batch may have.
const mostInBatch = 20

// placeBatch accepts each order of a list, or says why not. What is wrong with one of
// them does not count, and does not concern the others; the limits are asked once for
// all of those that are right.
func (e *Exchange) placeBatch(c *call) (any, *apiError) {
	list, failed := readBatch(c.param("batchOrders"))
	if failed != nil {
		return nil, failed
	}
	results, placed := make([]any, len(list)), map[int]*order{}
	seen := map[clientOrderID]bool{}
	for i, params := range list {
		o, failed := e.readOrder(c, params)
		if failed == nil {
			failed = e.checkUnused(c, o)
		}
		if failed == nil && o.ClientOrderID != "" && seen[clientOrderID{o.Symbol, o.ClientOrderID}] {
			e.book.violated(c, DuplicateOrder, "newClientOrderId "+o.ClientOrderID+" twice in a batch")
			failed = badRequest(-2010, "Duplicate order sent.")
		}
		if failed != nil {
			results[i] = failed
			continue
		}
		seen[clientOrderID{o.Symbol, o.ClientOrderID}] = true
		placed[i] = o
	}
	if refusal := e.chargeAccount(c, batchActs(placed)...); refusal != nil {
		return nil, refusal
	}
	for i := range results {
		if o := placed[i]; o != nil {
			e.accept(c, o)
			results[i] = *o
		}
	}
	return results, nil
}

// batchActs is one act for each symbol of the orders.
func batchActs(orders map[int]*order) (acts []act) {
	for _, o := range orders {
		i := slices.IndexFunc(acts, func(a act) bool { return a.symbol == o.Symbol })
		if i < 0 {
			i = len(acts)
			acts = append(acts, act{symbol: o.Symbol, batch: true})
		}
		acts[i].orders++
		acts[i].actions++
		acts[i].matching = (acts[i].orders + 1) / 2
	}
	return acts
}

func readBatch(text string) (list []url.Values, failed *apiError) {
	if text == "" {
		return nil, missingParameter("batchOrders")
	}
	var objects []map[string]any
	if err := json.Unmarshal([]byte(text), &objects); err != nil {
		return nil, illegalParameter("batchOrders")
	}
	if len(objects) == 0 || len(objects) > mostInBatch {
		return nil, badRequest(-4082, "Invalid number of batch orders: want 1 to %d.", mostInBatch)
	}
	for _, o := range objects {
		list = append(list, textValues(o))
	}
	return list, nil
}

// textValues are the members of an object as parameters have them.
func textValues(object map[string]any) url.Values {
	params := url.Values{}
	for name, v := range object {
		switch v := v.(type) {
		case nil:
		case string:
			params.Set(name, v)
		case json.Number:
			params.Set(name, v.String())
		default:
			params.Set(name, fmt.Sprint(v))
		}
	}
	return params
}

// cancelOpen cancels all open orders of a symbol.
func (e *Exchange) cancelOpen(c *call) (any, *apiError) {
	s, failed := e.symbol(c)
	if failed != nil {
		return nil, failed
	}
	orders := c.account.openIn(s.Name)
	if len(orders) == 0 {
		return nil, badRequest(-2011, "Unknown order sent.")
	}
	all := act{symbol: s.Name, actions: 1}
	for _, o := range orders {
		all.matching += CancelCost(c.now.elapsed - o.placed)
	}
	if refusal := e.chargeAccount(c, all); refusal != nil {
		return nil, refusal
	}
	list := []cancelled{}
	for _, o := range orders {
		list = append(list, c.account.cancel(o))
	}
	return list, nil
}

// CancelCost is what a limit of kind Matching charges for the cancellation of an order
// of that age: 8 within five seconds, then less and less, and nothing after five
// minutes.
func CancelCost(age time.Duration) int64 {
	switch {
	case age < 5*time.Second:
		return 8
	case age < 10*time.Second:
		return 6
	case age < 15*time.Second:
		return 5
	case age < 45*time.Second:
		return 4
	case age < 90*time.Second:
		return 2
	case age < 300*time.Second:
		return 1
	}
	return 0
}

// AmendCost is what a limit of kind Matching charges for a change to an order of that
// age: 4 within five seconds, then less, and 1 after fifteen.
func AmendCost(age time.Duration) int64 {
	switch {
	case age < 5*time.Second:
		return 1 + 3
	case age < 10*time.Second:
		return 1 + 2
	case age < 15*time.Second:
		return 1 + 1
	}
	return 1
}
