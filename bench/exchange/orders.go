package exchange

import (
	"cmp"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// account is a client's orders and its limits; it is guarded by the exchange's
// mutex.
type account struct {
	Account
	gate       *gate
	requests   int64
	executed   int64
	placed     int64
	violations map[Violation]int64
	byID       map[int64]*order
	byClientID map[clientOrderID]*order
	open       map[int64]*order
}

type clientOrderID struct{ symbol, id string }

// order never changes in what it was placed with; its status does.
type order struct {
	Symbol        string `json:"symbol"`
	OrderID       int64  `json:"orderId"`
	OrderListID   int64  `json:"orderListId"`
	ClientOrderID string `json:"clientOrderId"`
	TransactTime  int64  `json:"transactTime"`
	Price         string `json:"price"`
	OrigQty       string `json:"origQty"`
	ExecutedQty   string `json:"executedQty"`
	Status        string `json:"status"`
	TimeInForce   string `json:"timeInForce"`
	Type          string `json:"type"`
	Side          string `json:"side"`

	placed time.Duration // when, by the clock that is never set
}

var (
	orderTypes   = []string{"LIMIT", "LIMIT_MAKER", "MARKET"}
	orderSides   = []string{"BUY", "SELL"}
	timesInForce = []string{"GTC", "IOC", "FOK"}
	validOrderID = regexp.MustCompile(`^[.A-Z:/a-z0-9_-]{1,36}$`)
	validDecimal = regexp.MustCompile(`^[0-9]{1,20}(\.[0-9]{1,20})?$`)
)

func newAccount(a Account, gate *gate) *account {
	if a.Balances == nil {
		a.Balances = map[string]string{"USDT": "1000000.00000000", "BTC": "100.00000000"}
	}
	return &account{
		Account: a, gate: gate, violations: map[Violation]int64{},
		byID: map[int64]*order{}, byClientID: map[clientOrderID]*order{}, open: map[int64]*order{},
	}
}

func (a *account) report() AccountReport {
	return AccountReport{
		Account: a.String(), Requests: a.requests, Executed: a.executed, Orders: a.placed, Open: int64(len(a.open)), Violations: maps.Clone(a.violations),
	}
}

// placeOrder accepts an order: a limit order rests until it is cancelled, a market order
// is filled at once. An id is a duplicate for as long as its order is open, and for ever
// with KeepOrderIDs.
func (e *Exchange) placeOrder(c *call) (any, *apiError) {
	o, failed := e.readOrder(c, c.params)
	if failed == nil {
		failed = e.checkUnused(c, o)
	}
	if failed == nil {
		failed = e.chargeAccount(c, act{symbol: o.Symbol, orders: 1, actions: 1, matching: 1})
	}
	if failed != nil {
		return nil, failed
	}
	e.accept(c, o)
	if c.param("newOrderRespType") == "ACK" {
		return object{
			"symbol": o.Symbol, "orderId": o.OrderID, "orderListId": -1,
			"clientOrderId": o.ClientOrderID, "transactTime": o.TransactTime,
		}, nil
	}
	return *o, nil
}

func (e *Exchange) checkUnused(c *call, o *order) *apiError {
	first := c.account.of(o)
	if first == nil || first.Status != "NEW" && !e.config.KeepOrderIDs {
		return nil
	}
	e.outcomes.repeatedOrder(c, o)
	e.book.violated(c, DuplicateOrder, "newClientOrderId "+o.ClientOrderID)
	return badRequest(-2010, "Duplicate order sent.")
}

// of is the last order that the client gave the same id, nil if there is none.
func (a *account) of(o *order) *order {
	if o.ClientOrderID == "" {
		return nil
	}
	return a.byClientID[clientOrderID{o.Symbol, o.ClientOrderID}]
}

func (e *Exchange) accept(c *call, o *order) {
	if c.account.of(o) != nil {
		e.outcomes.repeatedOrder(c, o)
		e.book.violated(c, ExecutedTwice, "newClientOrderId "+o.ClientOrderID+", whose order was no longer open")
	}
	e.orderID++
	c.account.placed++
	o.OrderID, o.placed = e.orderID, c.now.elapsed
	if o.ClientOrderID == "" {
		o.ClientOrderID = "x-" + strconv.FormatInt(o.OrderID, 10)
	}
	e.outcomes.executed(c, o.Symbol, o.ClientOrderID)
	c.account.byID[o.OrderID] = o
	c.account.byClientID[clientOrderID{o.Symbol, o.ClientOrderID}] = o
	if o.Status == "NEW" {
		c.account.open[o.OrderID] = o
		return
	}
	c.account.gate.earn(int64(e.symbols[o.Symbol].Price * amount(o.ExecutedQty)))
}

// amount reads what checkAmount has found right.
func amount(text string) float64 {
	v, _ := strconv.ParseFloat(text, 64)
	return v
}

// readOrder checks the parameters; the order has no id of the exchange yet.
func (e *Exchange) readOrder(c *call, params url.Values) (*order, *apiError) {
	if _, failed := e.symbolNamed(params.Get("symbol")); failed != nil {
		return nil, failed
	}
	o := &order{
		Symbol: params.Get("symbol"), OrderListID: -1, ClientOrderID: params.Get("newClientOrderId"),
		TransactTime: c.now.millis(), Price: params.Get("price"), OrigQty: params.Get("quantity"),
		ExecutedQty: decimal(0), Status: "NEW", TimeInForce: params.Get("timeInForce"),
		Type: params.Get("type"), Side: params.Get("side"),
	}
	switch {
	case !slices.Contains(orderSides, o.Side):
		return nil, badRequest(-1117, "Invalid side.")
	case !slices.Contains(orderTypes, o.Type):
		return nil, badRequest(-1116, "Invalid orderType.")
	case o.ClientOrderID != "" && !validOrderID.MatchString(o.ClientOrderID):
		return nil, illegalParameter("newClientOrderId")
	}
	if failed := checkAmount("quantity", o.OrigQty); failed != nil {
		return nil, failed
	}
	return o, o.complete()
}

// complete checks and fills what depends on the type.
func (o *order) complete() *apiError {
	if o.Type == "MARKET" {
		o.Price, o.TimeInForce = decimal(0), "GTC"
		o.Status, o.ExecutedQty = "FILLED", o.OrigQty
		return nil
	}
	if o.Type == "LIMIT_MAKER" {
		o.TimeInForce = "GTC"
	}
	if o.TimeInForce == "" {
		return missingParameter("timeInForce")
	}
	if !slices.Contains(timesInForce, o.TimeInForce) {
		return badRequest(-1115, "Invalid timeInForce.")
	}
	return checkAmount("price", o.Price)
}

func checkAmount(name, text string) *apiError {
	if text == "" {
		return missingParameter(name)
	}
	if !validDecimal.MatchString(text) {
		return illegalParameter(name)
	}
	if v, err := strconv.ParseFloat(text, 64); err != nil || v <= 0 {
		return badRequest(-1013, "Invalid %s.", name)
	}
	return nil
}

// cancelOrder cancels an open order.
func (e *Exchange) cancelOrder(c *call) (any, *apiError) {
	o, failed := e.findOpen(c)
	if failed == nil {
		failed = e.chargeAccount(c, act{symbol: o.Symbol, actions: 1, matching: CancelCost(c.now.elapsed - o.placed)})
	}
	if failed != nil {
		return nil, failed
	}
	return c.account.cancel(o), nil
}

// cancelled is what is told of an order that was cancelled.
type cancelled struct {
	order
	Orig string `json:"origClientOrderId"`
}

func (a *account) cancel(o *order) cancelled {
	o.Status = "CANCELED"
	delete(a.open, o.OrderID)
	return cancelled{*o, o.ClientOrderID}
}

// amendOrder takes from an open order's quantity.
func (e *Exchange) amendOrder(c *call) (any, *apiError) {
	o, failed := e.findOpen(c)
	if failed == nil {
		failed = checkAmount("newQty", c.param("newQty"))
	}
	if failed == nil && amount(c.param("newQty")) >= amount(o.OrigQty) {
		failed = badRequest(-2038, "The requested action would not make the order smaller.")
	}
	if failed == nil {
		failed = e.chargeAccount(c, act{symbol: o.Symbol, actions: 1, matching: AmendCost(c.now.elapsed - o.placed)})
	}
	if failed != nil {
		return nil, failed
	}
	o.OrigQty = c.param("newQty")
	return object{"transactTime": c.now.millis(), "amendedOrder": *o}, nil
}

// findOpen is findOrder, and an error if there is no such order, or none any more.
func (e *Exchange) findOpen(c *call) (*order, *apiError) {
	o, failed := e.findOrder(c)
	if failed == nil && (o == nil || o.Status != "NEW") {
		failed = badRequest(-2011, "Unknown order sent.")
	}
	return o, failed
}

func (e *Exchange) queryOrder(c *call) (any, *apiError) {
	o, failed := e.findOrder(c)
	if failed != nil {
		return nil, failed
	}
	if o == nil {
		return nil, badRequest(-2013, "Order does not exist.")
	}
	e.outcomes.asked(c, o.Symbol, o.ClientOrderID)
	return *o, nil
}

// findOrder returns the order named by orderId or origClientOrderId, nil if
// there is none.
func (e *Exchange) findOrder(c *call) (*order, *apiError) {
	s, failed := e.symbol(c)
	if failed != nil {
		return nil, failed
	}
	number, name := c.param("orderId"), c.param("origClientOrderId")
	if number == "" && name == "" {
		return nil, badRequest(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
	}
	if number == "" {
		return c.account.byClientID[clientOrderID{s.Name, name}], nil
	}
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return nil, illegalParameter("orderId")
	}
	o := c.account.byID[id]
	if o == nil || o.Symbol != s.Name || name != "" && o.ClientOrderID != name {
		return nil, nil
	}
	return o, nil
}

// openOrders lists the open orders of a symbol, or all, oldest first.
func (e *Exchange) openOrders(c *call) (any, *apiError) {
	symbol := c.param("symbol")
	if symbol != "" {
		if _, failed := e.symbol(c); failed != nil {
			return nil, failed
		}
	}
	list := []order{}
	for _, o := range c.account.openIn(symbol) {
		list = append(list, *o)
		e.outcomes.asked(c, o.Symbol, o.ClientOrderID)
	}
	return list, nil
}

// openIn lists the open orders of a symbol, or all if it is "", oldest first.
func (a *account) openIn(symbol string) (list []*order) {
	for _, o := range a.open {
		if symbol == "" || o.Symbol == symbol {
			list = append(list, o)
		}
	}
	slices.SortFunc(list, func(a, b *order) int { return cmp.Compare(a.OrderID, b.OrderID) })
	return list
}

func (e *Exchange) orderCounts(c *call) (any, *apiError) {
	counts := []rateLimit{}
	for _, u := range c.account.gate.headers(c.now, nil, Orders) {
		counts = append(counts, u.describe())
	}
	return counts, nil
}

func (e *Exchange) accountInfo(c *call) (any, *apiError) {
	balances := []object{}
	for asset, free := range c.account.Balances {
		balances = append(balances, object{"asset": asset, "free": free, "locked": decimal(0)})
	}
	slices.SortFunc(balances, func(a, b object) int { return cmp.Compare(a["asset"].(string), b["asset"].(string)) })
	return object{
		"makerCommission": 10, "takerCommission": 10, "canTrade": true, "canWithdraw": false, "canDeposit": false,
		"accountType": "SPOT", "updateTime": c.now.millis(), "balances": balances, "permissions": []string{"SPOT"},
	}, nil
}
