package exchange

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAnOrderLivesFromPlacementToCancellation(t *testing.T) {
	inFakeTime(t, Config{}, func(t *testing.T, v *venue) {
		placed := v.order("mine")
		placed.is(t, 200, 0)
		require.EqualValues(t, 1, placed.body["orderId"])
		require.Equal(t, "NEW", placed.body["status"])
		require.Equal(t, "1", placed.header.Get("X-MBX-ORDER-COUNT-10S"))
		require.Equal(t, "1", placed.header.Get("X-MBX-ORDER-COUNT-1D"))

		byName := v.signed("GET", "/api/v3/order", "symbol=BTCUSDT&origClientOrderId=mine")
		require.EqualValues(t, 1, byName.body["orderId"])
		require.Contains(t, v.signed("GET", "/api/v3/openOrders", "symbol=BTCUSDT").text, `"mine"`)

		cancelled := v.signed("DELETE", "/api/v3/order", "symbol=BTCUSDT&orderId=1")
		cancelled.is(t, 200, 0)
		require.Equal(t, "CANCELED", cancelled.body["status"])
		require.Equal(t, "mine", cancelled.body["origClientOrderId"])
		v.signed("DELETE", "/api/v3/order", "symbol=BTCUSDT&orderId=1").is(t, 400, -2011)
		require.Equal(t, "[]", v.signed("GET", "/api/v3/openOrders", "").text)
		require.Equal(t, "CANCELED", v.signed("GET", "/api/v3/order", "symbol=BTCUSDT&orderId=1").body["status"])
		require.Zero(t, v.Violations())
	})
}

func TestAMarketOrderIsFilledAtOnce(t *testing.T) {
	inFakeTime(t, Config{}, func(t *testing.T, v *venue) {
		r := v.signed("POST", "/api/v3/order", "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=2")
		r.is(t, 200, 0)
		require.Equal(t, "FILLED", r.body["status"])
		require.Equal(t, "x-1", r.body["clientOrderId"])
		v.signed("DELETE", "/api/v3/order", "symbol=BTCUSDT&orderId=1").is(t, 400, -2011)
	})
}

func TestASecondOrderOfTheSameIDIsExecutedOnceTheFirstIsNoLongerOpen(t *testing.T) {
	inFakeTime(t, Config{}, func(t *testing.T, v *venue) {
		market := func() reply {
			return v.signed("POST", "/api/v3/order", "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1&newClientOrderId=m")
		}
		v.order("a").is(t, 200, 0)
		v.order("a").is(t, 400, -2010)
		v.signed("DELETE", "/api/v3/order", "symbol=BTCUSDT&origClientOrderId=a").is(t, 200, 0)
		v.order("a").is(t, 200, 0)
		market().is(t, 200, 0) // filled, and so its id is free
		market().is(t, 200, 0)
		require.EqualValues(t, 4, v.Report().Orders)
		require.Equal(t, map[Violation]int64{DuplicateOrder: 1, ExecutedTwice: 2}, v.Report().Counts)
		newest := v.signed("GET", "/api/v3/order", "symbol=BTCUSDT&origClientOrderId=a")
		require.EqualValues(t, 2, newest.body["orderId"])
		require.Equal(t, "NEW", newest.body["status"])
	})
}

func TestASecondOrderOfTheSameIDIsADuplicateForEverWhereIDsAreKept(t *testing.T) {
	inFakeTime(t, Config{KeepOrderIDs: true}, func(t *testing.T, v *venue) {
		v.order("a").is(t, 200, 0)
		v.order("a").is(t, 400, -2010)
		v.signed("DELETE", "/api/v3/order", "symbol=BTCUSDT&origClientOrderId=a").is(t, 200, 0)
		v.order("a").is(t, 400, -2010)
		v.order("b").is(t, 200, 0)
		require.Equal(t, map[Violation]int64{DuplicateOrder: 2}, v.Report().Counts)
	})
}

func TestWrongOrdersAreToldApart(t *testing.T) {
	inFakeTime(t, Config{}, func(t *testing.T, v *venue) {
		const limit = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=1"
		for params, code := range map[string]int{
			"side=BUY": -1102, "symbol=NONE": -1121, "symbol=BTCUSDT": -1117,
			"symbol=BTCUSDT&side=BUY&type=STOP":                                            -1116,
			"symbol=BTCUSDT&side=BUY&type=LIMIT":                                           -1102,
			"symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1":                                -1102,
			"symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&timeInForce=NOW&price=1":        -1115,
			"symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=0&timeInForce=GTC&price=1":        -1013,
			"symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1e3&timeInForce=GTC&price=1":      -1100,
			limit + "&newClientOrderId=a%20b":                                              -1100,
			limit + "&side=SELL":                                                           -1101,
			limit + "&recvWindow=60001":                                                    -1131,
			"symbol=BTCUSDT&side=BUY&type=LIMIT_MAKER&quantity=1&price=0000.000&other=%zz": -1100,
		} {
			r := v.signed("POST", "/api/v3/order", params)
			r.is(t, 400, code)
		}
		v.signed("DELETE", "/api/v3/order", "symbol=BTCUSDT").is(t, 400, -1102)
		v.signed("DELETE", "/api/v3/order", "symbol=BTCUSDT&orderId=x").is(t, 400, -1100)
		v.signed("GET", "/api/v3/order", "symbol=BTCUSDT&orderId=77").is(t, 400, -2013)
		require.Zero(t, v.Report().Orders)
		require.Zero(t, v.Report().Limits[2].Weight, "a rejected order does not count as one")
	})
}

func TestSignatureTimeAndKeyAreChecked(t *testing.T) {
	inFakeTime(t, Config{}, func(t *testing.T, v *venue) {
		send := func(params, key string) reply {
			r, err := v.do("GET", "/api/v3/account?"+params+"&signature="+Sign(DemoSecret, params), "", key)
			require.NoError(t, err)
			return r
		}
		now := v.Now().UnixMilli()
		send(fmt.Sprintf("timestamp=%d", now), DemoKey).is(t, 200, 0)
		send(fmt.Sprintf("timestamp=%d", now+999), DemoKey).is(t, 200, 0)
		send(fmt.Sprintf("timestamp=%d", now+1000), DemoKey).is(t, 400, -1021)
		send(fmt.Sprintf("timestamp=%d", now-5000), DemoKey).is(t, 200, 0)
		send(fmt.Sprintf("timestamp=%d", now-5001), DemoKey).is(t, 400, -1021)
		send(fmt.Sprintf("recvWindow=60000&timestamp=%d", now-60_000), DemoKey).is(t, 200, 0)
		send("a=1", DemoKey).is(t, 400, -1102)
		send(fmt.Sprintf("timestamp=%d", now), "").is(t, 401, -2014)
		send(fmt.Sprintf("timestamp=%d", now), "nobody").is(t, 401, -2015)
		r, err := v.do("GET", fmt.Sprintf("/api/v3/account?timestamp=%d&signature=00", now), "", DemoKey)
		require.NoError(t, err)
		r.is(t, 400, -1022)
		require.Equal(t, map[Violation]int64{TimestampAhead: 1, TimestampBehind: 1, BadKey: 2, BadSignature: 1}, v.Report().Counts)
	})
}

func TestASignedFormInTheBodyIsAccepted(t *testing.T) {
	inFakeTime(t, Config{Accounts: []Account{{Key: sampleKey, Secret: sampleSecret}}}, func(t *testing.T, v *venue) {
		query := "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC"
		body := fmt.Sprintf("quantity=1&price=0.1&timestamp=%d", v.Now().UnixMilli())
		r, err := v.do("POST", "/api/v3/order?"+query, body+"&signature="+Sign(sampleSecret, query+body), sampleKey)
		require.NoError(t, err)
		r.is(t, 200, 0)
		require.Equal(t, "0.1", r.body["price"])
	})
}

func TestTooManyOrdersAreRefusedUntilTheWindowEnds(t *testing.T) {
	c := Config{Limits: []Limit{{Quota: 100, Per: time.Minute}, {Kind: Orders, Quota: 2, Per: 10 * time.Second}}}
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		time.Sleep(3 * time.Second)
		v.order("a").is(t, 200, 0)
		v.order("b").is(t, 200, 0)
		r := v.order("c")
		r.is(t, 429, -1015)
		require.Equal(t, "7", r.header.Get("Retry-After"))
		v.get("/api/v3/ping").is(t, 200, 0) // only orders have to wait
		counts := v.signed("GET", "/api/v3/rateLimit/order", "")
		require.Contains(t, counts.text, `"limit":2,"count":2`)

		time.Sleep(7 * time.Second)
		v.order("c").is(t, 200, 0)
		v.order("d").is(t, 200, 0)
		v.order("e").is(t, 429, -1015)
		v.order("e").is(t, 418, -1003)
		v.get("/api/v3/ping").is(t, 418, -1003)
		require.Equal(t, map[Violation]int64{OverLimit: 2, ToldToWait: 1, WhileBanned: 1}, v.Report().Counts)
	})
}
