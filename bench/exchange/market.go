package exchange

import (
	"encoding/json"
	"slices"
	"strconv"
)

type object map[string]any

func (e *Exchange) ping(*call) (any, *apiError) { return object{}, nil }

func (e *Exchange) serverTime(c *call) (any, *apiError) {
	return object{"serverTime": c.now.millis()}, nil
}

type rateLimit struct {
	Type        string `json:"rateLimitType"`
	Interval    string `json:"interval"`
	IntervalNum int64  `json:"intervalNum"`
	Limit       int64  `json:"limit"`
	Count       *int64 `json:"count,omitempty"`
}

func describeLimit(l Limit) rateLimit {
	n, unit := l.interval()
	return rateLimit{Type: rateLimitType[l.Kind], Interval: unit, IntervalNum: n, Limit: l.Quota}
}

func (u usage) describe() rateLimit {
	l := describeLimit(u.limit)
	l.Count = &u.weight
	return l
}

func (e *Exchange) exchangeInfo(c *call) (any, *apiError) {
	limits := []rateLimit{}
	for _, l := range e.config.Limits {
		limits = append(limits, describeLimit(l))
	}
	symbols := []object{}
	for _, s := range e.config.Symbols {
		symbols = append(symbols, object{
			"symbol": s.Name, "status": "TRADING", "baseAsset": s.Base, "quoteAsset": s.Quote,
			"orderTypes": orderTypes, "isSpotTradingAllowed": true, "filters": []object{}, "permissions": []string{"SPOT"},
		})
	}
	return object{
		"timezone": "UTC", "serverTime": c.now.millis(), "rateLimits": limits,
		"exchangeFilters": []object{}, "symbols": symbols,
	}, nil
}

type price struct {
	Symbol string `json:"symbol"`
	Price  string `json:"price"`
}

// tickerPrice answers for a symbol, a JSON list of symbols, or all.
func (e *Exchange) tickerPrice(c *call) (any, *apiError) {
	if name := c.param("symbol"); name != "" {
		s, failed := e.symbol(c)
		return price{s.Name, decimal(s.Price)}, failed
	}
	var wanted []string
	if list := c.param("symbols"); list != "" {
		if err := json.Unmarshal([]byte(list), &wanted); err != nil {
			return nil, illegalParameter("symbols")
		}
		for _, name := range wanted {
			if _, known := e.symbols[name]; !known {
				return nil, badRequest(-1121, "Invalid symbol.")
			}
		}
	}
	prices := []price{}
	for _, s := range e.config.Symbols {
		if wanted == nil || slices.Contains(wanted, s.Name) {
			prices = append(prices, price{s.Name, decimal(s.Price)})
		}
	}
	return prices, nil
}

// symbol is the call's symbol, which must be known.
func (e *Exchange) symbol(c *call) (Symbol, *apiError) { return e.symbolNamed(c.param("symbol")) }

func (e *Exchange) symbolNamed(name string) (Symbol, *apiError) {
	if name == "" {
		return Symbol{}, missingParameter("symbol")
	}
	s, known := e.symbols[name]
	if !known {
		return Symbol{}, badRequest(-1121, "Invalid symbol.")
	}
	return s, nil
}

// listenKey answers with a name for a stream that nothing is sent on.
func (e *Exchange) listenKey(c *call) (any, *apiError) {
	return object{"listenKey": "stream-of-" + c.owner.String()}, nil
}

// historicalTrades answers with trades at the one price there is.
func (e *Exchange) historicalTrades(c *call) (any, *apiError) {
	s, failed := e.symbol(c)
	if failed != nil {
		return nil, failed
	}
	n := depthLimit(c.param("limit"))
	if n < 0 {
		return nil, illegalParameter("limit")
	}
	trades := []object{}
	for i := range min(n, 1_000) {
		trades = append(trades, object{
			"id": i, "price": decimal(s.Price), "qty": decimal(1), "time": c.now.millis(), "isBuyerMaker": i%2 == 0,
		})
	}
	return trades, nil
}

func (e *Exchange) depth(c *call) (any, *apiError) {
	s, failed := e.symbol(c)
	if failed != nil {
		return nil, failed
	}
	levels := depthLimit(c.param("limit"))
	if levels < 0 {
		return nil, illegalParameter("limit")
	}
	return orderBook{symbol: s, levels: levels, update: c.now.millis()}, nil
}

// orderBook is a made-up book of so many levels on both sides.
type orderBook struct {
	symbol Symbol
	levels int
	update int64
}

// MarshalJSON writes the levels, which is the slow part, outside the mutex.
func (o orderBook) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 64+64*o.levels)
	b = append(b, `{"lastUpdateId":`...)
	b = strconv.AppendInt(b, o.update, 10)
	b = o.appendSide(append(b, `,"bids":`...), -1)
	b = o.appendSide(append(b, `,"asks":`...), +1)
	return append(b, '}'), nil
}

func (o orderBook) appendSide(b []byte, sign float64) []byte {
	b = append(b, '[')
	for i := range o.levels {
		if i > 0 {
			b = append(b, ',')
		}
		level := o.symbol.Price * (1 + sign*float64(i+1)/100_000)
		b = append(b, `["`...)
		b = strconv.AppendFloat(b, level, 'f', 8, 64)
		b = append(b, `","`...)
		b = strconv.AppendFloat(b, float64(1+(i*7919)%97)/10, 'f', 8, 64)
		b = append(b, `"]`...)
	}
	return append(b, ']')
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'f', 8, 64) }
