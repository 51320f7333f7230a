package exchange

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// account is a client's orders and its order limits; it is guarded by the
// exchange's mutex.
type account struct {
	Account
	orders     *gate
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
}

var (
	orderTypes   = []string{"LIMIT", "LIMIT_MAKER", "MARKET"}
	orderSides   = []string{"BUY", "SELL"}
	timesInForce = []string{"GTC", "IOC", "FOK"}
	validOrderID = regexp.MustCompile(`^[.A-Z:/a-z0-9_-]{1,36}$`)
	validDecimal = regexp.MustCompile(`^[0-9]{1,20}(\.[0-9]{1,20})?$`)
)

func newAccount(a Account, orders *gate) *account {
	if a.Balances == nil {
		a.Balances = map[string]string{"USDT": "1000000.00000000", "BTC": "100.00000000"}
	}
	return &account{
		Account: a, orders: orders,
		byID: map[int64]*order{}, byClientID: map[clientOrderID]*order{}, open: map[int64]*order{},
	}
}

// placeOrder accepts an order once: a limit order rests until it is cancelled,
// a market order is filled at once. An id used before is a duplicate whatever
// became of the first order.
func (e *Exchange) placeOrder(c *call) (any, *apiError) {
	if refusal := e.heedOrderPenalty(c); refusal != nil {
		return nil, refusal
	}
	o, failed := e.readOrder(c)
	if failed != nil {
		return nil, failed
	}
	id := clientOrderID{o.Symbol, o.ClientOrderID}
	if c.account.byClientID[id] != nil {
		e.book.violated(c, DuplicateOrder, "newClientOrderId "+o.ClientOrderID)
		return nil, badRequest(-2010, "Duplicate order sent.")
	}
	if refusal := e.chargeOrder(c); refusal != nil {
		return nil, refusal
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

func (e *Exchange) heedOrderPenalty(c *call) *apiError {
	switch v, retry := c.account.orders.penalty.judge(c.now.local, e.config.Ban.Grace); v {
	case graced:
		e.book.violated(c, OverLimit, "order possibly on its way when told to wait")
		return &apiError{status: http.StatusTooManyRequests, Code: -1015, Msg: "Too many new orders.", retry: retrySeconds(retry)}
	case offended:
		e.book.violated(c, ToldToWait, fmt.Sprintf("order: Retry-After had %s to go", retry.Round(time.Millisecond)))
		return e.ban(c, c.gate.penalty.offend(c.now.local, e.config.Ban))
	}
	return nil
}

func (e *Exchange) chargeOrder(c *call) *apiError {
	full, wait := c.account.orders.admit(c.now, 1, e.config.ChargeRefused)
	if full == nil {
		return nil
	}
	retry := retrySeconds(wait)
	c.account.orders.penalty.wait(c.now.local, retry)
	e.book.violated(c, OverLimit, e.describeFull(c, full, 1))
	return tooManyOrders(full.limit, retry)
}

func (e *Exchange) accept(c *call, o *order) {
	e.orderID++
	o.OrderID = e.orderID
	if o.ClientOrderID == "" {
		o.ClientOrderID = "x-" + strconv.FormatInt(o.OrderID, 10)
	}
	c.account.byID[o.OrderID] = o
	c.account.byClientID[clientOrderID{o.Symbol, o.ClientOrderID}] = o
	if o.Status == "NEW" {
		c.account.open[o.OrderID] = o
	}
}

// readOrder checks the parameters; the order has no id of the exchange yet.
func (e *Exchange) readOrder(c *call) (*order, *apiError) {
	if _, failed := e.symbol(c); failed != nil {
		return nil, failed
	}
	o := &order{
		Symbol: c.param("symbol"), OrderListID: -1, ClientOrderID: c.param("newClientOrderId"),
		TransactTime: c.now.millis(), Price: c.param("price"), OrigQty: c.param("quantity"),
		ExecutedQty: decimal(0), Status: "NEW", TimeInForce: c.param("timeInForce"),
		Type: c.param("type"), Side: c.param("side"),
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
	o, failed := e.findOrder(c)
	if failed != nil {
		return nil, failed
	}
	if o == nil || o.Status != "NEW" {
		return nil, badRequest(-2011, "Unknown order sent.")
	}
	o.Status = "CANCELED"
	delete(c.account.open, o.OrderID)
	return struct {
		order
		Orig string `json:"origClientOrderId"`
	}{*o, o.ClientOrderID}, nil
}

func (e *Exchange) queryOrder(c *call) (any, *apiError) {
	o, failed := e.findOrder(c)
	if failed != nil {
		return nil, failed
	}
	if o == nil {
		return nil, badRequest(-2013, "Order does not exist.")
	}
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
	for _, o := range c.account.open {
		if symbol == "" || o.Symbol == symbol {
			list = append(list, *o)
		}
	}
	slices.SortFunc(list, func(a, b order) int { return cmp.Compare(a.OrderID, b.OrderID) })
	return list, nil
}

func (e *Exchange) orderCounts(c *call) (any, *apiError) {
	counts := []rateLimit{}
	for _, m := range c.account.orders.meters {
		l, used := describeLimit(m.limit), m.used(c.now)
		l.Count = &used
		counts = append(counts, l)
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
