package exchange

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// route is one endpoint. Its handler runs under the exchange's mutex and
// returns plain data, which is encoded outside of it.
type route struct {
	weight      func(url.Values) int64
	keyed       bool // wants a key, and no signature
	signed      bool
	placesOrder bool
	given       *Route // nil if it is the exchange's own
	handle      func(*Exchange, *call) (any, *apiError)
}

// routes by method and path; filled by init, since configuration checks and
// handlers both refer to it.
var routes map[string]*route

func init() {
	routes = map[string]*route{
		"GET /api/v3/ping":                     {weight: flat(1), handle: (*Exchange).ping},
		"GET /api/v3/time":                     {weight: flat(1), handle: (*Exchange).serverTime},
		"GET /api/v3/exchangeInfo":             {weight: flat(20), handle: (*Exchange).exchangeInfo},
		"GET /api/v3/ticker/price":             {weight: bySymbol(2, 4), handle: (*Exchange).tickerPrice},
		"GET /api/v3/depth":                    {weight: depthWeight, handle: (*Exchange).depth},
		"GET /api/v3/historicalTrades":         {weight: flat(25), keyed: true, handle: (*Exchange).historicalTrades},
		"POST /api/v3/userDataStream":          {weight: flat(2), keyed: true, handle: (*Exchange).listenKey},
		"GET /api/v3/account":                  {weight: flat(20), signed: true, handle: (*Exchange).accountInfo},
		"POST /api/v3/order":                   {weight: flat(1), signed: true, placesOrder: true, handle: (*Exchange).placeOrder},
		"POST /api/v3/batchOrders":             {weight: flat(5), signed: true, placesOrder: true, handle: (*Exchange).placeBatch},
		"DELETE /api/v3/order":                 {weight: flat(1), signed: true, handle: (*Exchange).cancelOrder},
		"PUT /api/v3/order/amend/keepPriority": {weight: flat(4), signed: true, handle: (*Exchange).amendOrder},
		"DELETE /api/v3/openOrders":            {weight: flat(1), signed: true, handle: (*Exchange).cancelOpen},
		"GET /api/v3/order":                    {weight: flat(4), signed: true, handle: (*Exchange).queryOrder},
		"GET /api/v3/openOrders":               {weight: bySymbol(6, 80), signed: true, handle: (*Exchange).openOrders},
		"GET /api/v3/rateLimit/order":          {weight: flat(40), signed: true, handle: (*Exchange).orderCounts},
		handshake:                              {weight: flat(2), handle: (*Exchange).ping},
	}
}

// Routes lists the endpoints as Config.Weights names them, sorted.
func Routes() []string { return slices.Sorted(maps.Keys(routes)) }

var unknownRoute = &route{
	weight: flat(1),
	handle: func(*Exchange, *call) (any, *apiError) {
		return nil, &apiError{status: http.StatusNotFound, Code: -1000, Msg: "No such endpoint."}
	},
}

// findRoute looks among those that were given first.
func (e *Exchange) findRoute(method, path string) (string, *route) {
	for _, r := range e.given {
		if r.given.answers(method, path) {
			return r.given.String(), r
		}
	}
	name := method + " " + path
	if r := routes[name]; r != nil {
		return name, r
	}
	return "unknown", unknownRoute
}

func flat(weight int64) func(url.Values) int64 {
	return func(url.Values) int64 { return weight }
}

func bySymbol(with, without int64) func(url.Values) int64 {
	return func(p url.Values) int64 {
		if p.Get("symbol") != "" {
			return with
		}
		return without
	}
}

func depthWeight(p url.Values) int64 {
	switch limit := depthLimit(p.Get("limit")); {
	case limit <= 100:
		return 5
	case limit <= 500:
		return 25
	case limit <= 1000:
		return 50
	}
	return 250
}

const (
	defaultDepth = 100
	maxDepth     = 5000
)

// depthLimit returns the number of levels, or -1 if it is not a number above
// zero. As at Binance, above 5000 means 5000.
func depthLimit(text string) int {
	if text == "" {
		return defaultDepth
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return -1
	}
	return min(n, maxDepth)
}
