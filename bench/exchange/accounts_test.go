package exchange

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	alice = Account{Name: "alice", Key: "key-alice", Secret: "secret-a"}
	bob   = Account{Name: "bob", Key: "key-bob", Secret: "secret-b"}
)

// two is an exchange with two accounts and nothing but these limits.
func two(limits ...Limit) Config {
	return Config{Accounts: []Account{alice, bob}, Limits: limits, Ban: Ban{Grace: time.Hour}}
}

// as sends parameters signed for an account.
func (v *venue) as(a Account, method, path, params string) reply {
	v.t.Helper()
	params = fmt.Sprintf("%s&timestamp=%d", params, v.Now().UnixMilli())
	r, err := v.do(method, path+"?"+params+"&signature="+Sign(a.Secret, params), "", a.Key)
	require.NoError(v.t, err)
	return r
}

const terms = "&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=9000"

func (v *venue) buy(a Account, symbol, id string) reply {
	v.t.Helper()
	return v.as(a, "POST", "/api/v3/order", "symbol="+symbol+terms+"&newClientOrderId="+id)
}

// batch sends n orders of a symbol at once.
func (v *venue) batch(a Account, n int, symbols ...string) reply {
	v.t.Helper()
	list := "["
	for i := range n {
		if i > 0 {
			list += ","
		}
		list += fmt.Sprintf(`{"symbol":%q,"side":"SELL","type":"LIMIT","timeInForce":"GTC","quantity":1,"price":"9000.5"}`, symbols[i%len(symbols)])
	}
	return v.as(a, "POST", "/api/v3/batchOrders", "batchOrders="+url.QueryEscape(list+"]"))
}

func TestAccountsShareTheAddressAndHaveTheirOwnOrders(t *testing.T) {
	inFakeTime(t, two(Limit{Quota: 100, Per: time.Hour}, Limit{Kind: Orders, Quota: 2, Per: time.Hour}), func(t *testing.T, v *venue) {
		for _, a := range []Account{alice, bob} {
			v.buy(a, "BTCUSDT", "1").is(t, 200, 0)
			v.buy(a, "BTCUSDT", "2").is(t, 200, 0)
		}
		v.buy(bob, "ETHUSDT", "3").is(t, 429, -1015)
		r := v.Report()
		require.EqualValues(t, 5, r.Limits[0].Weight, "all of them, at one address")
		require.Equal(t, "account alice", r.Limits[1].Scope)
		require.Equal(t, []AccountReport{
			{Account: "alice", Requests: 2, Executed: 2, Orders: 2, Open: 2, Violations: map[Violation]int64{}},
			{Account: "bob", Requests: 3, Executed: 2, Orders: 2, Open: 2, Violations: map[Violation]int64{OverLimit: 1}},
		}, r.Accounts)
		require.Contains(t, r.String(), "bob      3         2         2       2     1\n")
	})
}

func TestASecretIsThatOfItsKeyAlone(t *testing.T) {
	inFakeTime(t, two(), func(t *testing.T, v *venue) {
		v.as(Account{Key: alice.Key, Secret: bob.Secret}, "GET", "/api/v3/account", "").is(t, 400, -1022)
		v.as(bob, "GET", "/api/v3/account", "").is(t, 200, 0)
		require.EqualValues(t, 1, v.Report().Accounts[0].Violations[BadSignature])
		require.Empty(t, v.Report().Accounts[1].Violations)
	})
}

func TestAKeyWithoutASignatureIsEnoughWhereThatIsAsked(t *testing.T) {
	inFakeTime(t, two(), func(t *testing.T, v *venue) {
		const target = "/api/v3/historicalTrades?symbol=BTCUSDT&limit=3"
		v.get(target).is(t, 401, -2014)
		r, err := v.do("GET", target, "", "somebody")
		require.NoError(t, err)
		r.is(t, 401, -2015)
		r, err = v.do("GET", target, "", bob.Key)
		require.NoError(t, err)
		r.is(t, 200, 0)
		r, err = v.do("POST", "/api/v3/userDataStream", "", bob.Key)
		require.NoError(t, err)
		require.Equal(t, "stream-of-bob", r.body["listenKey"])
		require.EqualValues(t, 2, v.Report().Accounts[1].Requests)
	})
}

func TestAnAccountsWeightIsItsOwn(t *testing.T) {
	inFakeTime(t, two(Limit{Kind: AccountWeight, Quota: 30, Per: time.Hour}), func(t *testing.T, v *venue) {
		r := v.as(alice, "GET", "/api/v3/account", "")
		r.is(t, 200, 0)
		require.Equal(t, "20", r.header.Get("X-SAPI-USED-UID-WEIGHT-1H"))
		v.as(alice, "GET", "/api/v3/account", "").is(t, 429, -1003)
		v.as(bob, "GET", "/api/v3/account", "").is(t, 200, 0)
	})
}

func TestEachSymbolOfEachAccountHasAQuotaBesideThatOfTheAccount(t *testing.T) {
	c := two(Limit{Kind: Orders, Quota: 2, Per: time.Hour, PerSymbol: true}, Limit{Kind: Orders, Quota: 3, Per: time.Hour})
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		v.batch(alice, 2, "BTCUSDT").is(t, 200, 0)
		v.buy(alice, "BTCUSDT", "3").is(t, 429, -1015)
		v.buy(alice, "ETHUSDT", "4").is(t, 200, 0)
		v.buy(alice, "SOLUSDT", "5").is(t, 429, -1015)
		v.batch(bob, 3, "BTCUSDT", "ETHUSDT").is(t, 200, 0)
		for _, l := range v.Report().Limits {
			if l.Scope == "account alice BTCUSDT" {
				require.EqualValues(t, 2, l.Weight, "what was refused is charged to no limit")
				require.EqualValues(t, 1, l.Refused)
			}
		}
	})
}

func TestABatchIsManyForOneLimitAndOneForAnother(t *testing.T) {
	c := two(Limit{Quota: 100, Per: time.Hour}, Limit{Kind: Orders, Quota: 20, Per: 10 * time.Second},
		Limit{Kind: Orders, Quota: 20, Per: time.Minute, WholeBatch: true})
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		r := v.batch(alice, 5, "BTCUSDT", "ETHUSDT")
		r.is(t, 200, 0)
		require.Equal(t, "5", r.header.Get("X-MBX-USED-WEIGHT-1H"))
		require.Equal(t, "5", r.header.Get("X-MBX-ORDER-COUNT-10S"))
		require.Equal(t, "1", r.header.Get("X-MBX-ORDER-COUNT-1M"))
		v.batch(alice, 16, "BTCUSDT").is(t, 429, -1015)
		v.batch(alice, 21, "BTCUSDT").is(t, 400, -4082)
		require.EqualValues(t, 5, v.Report().Orders)
	})
}

func TestWhatIsWrongWithOneOrderOfABatchConcernsNoOther(t *testing.T) {
	inFakeTime(t, two(Limit{Kind: Orders, Quota: 9, Per: time.Hour}), func(t *testing.T, v *venue) {
		list := `[{"symbol":"BTCUSDT","side":"BUY","type":"MARKET","quantity":"1","newClientOrderId":"a"},` +
			`{"symbol":"BTCUSDT","side":"BUY","type":"MARKET","quantity":"1","newClientOrderId":"a"},{"symbol":"NOSUCH"}]`
		r := v.as(alice, "POST", "/api/v3/batchOrders", "batchOrders="+url.QueryEscape(list))
		r.is(t, 200, 0)
		require.Regexp(t, `^\[\{"symbol":"BTCUSDT".*"FILLED".*-2010.*-1121`, r.text)
		require.EqualValues(t, 1, v.Report().Limits[0].Weight)
		require.EqualValues(t, 1, v.Report().Counts[DuplicateOrder])
	})
}

func TestWhatWeighsNothingIsLetInWhenNothingIsLeft(t *testing.T) {
	c := two(Limit{Quota: 5, Per: time.Hour})
	c.Weights = map[string]int64{"POST /api/v3/order": 0}
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		v.get("/api/v3/depth?symbol=BTCUSDT").is(t, 200, 0)
		v.buy(alice, "BTCUSDT", "1").is(t, 200, 0)
		require.EqualValues(t, 5, v.Report().Limits[0].Weight)
	})
}

func TestABudgetIsEarnedByTradingAndThenOneIsLetInAtATime(t *testing.T) {
	c := two(Limit{Kind: Actions, Policy: Budget, Quota: 2, Per: 10 * time.Second})
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		v.buy(alice, "BTCUSDT", "1").is(t, 200, 0)
		v.as(alice, "DELETE", "/api/v3/order", "symbol=BTCUSDT&origClientOrderId=1").is(t, 200, 0)
		v.buy(alice, "BTCUSDT", "2").is(t, 200, 0) // beyond the budget, and the first
		r := v.buy(alice, "BTCUSDT", "3")
		r.is(t, 429, -1015)
		require.Equal(t, "10", r.header.Get("Retry-After"))
		time.Sleep(10 * time.Second)
		market := "symbol=SOLUSDT&side=BUY&type=MARKET&quantity=0.02" // for 3 USDT
		v.as(alice, "POST", "/api/v3/order", market).is(t, 200, 0)
		for i := range 3 {
			v.buy(alice, "BTCUSDT", fmt.Sprint("earned-", i)).is(t, 200, 0)
		}
		v.buy(alice, "BTCUSDT", "4").is(t, 429, -1015)
		v.buy(bob, "BTCUSDT", "1").is(t, 200, 0)
	})
}

func TestAYoungOrderIsDearToCancel(t *testing.T) {
	c := two(Limit{Kind: Matching, Policy: Decaying, Quota: 1, Per: time.Hour, Burst: 100, PerSymbol: true})
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		used := func() int64 { return v.Report().Limits[0].Weight }
		for i, age := range []time.Duration{0, 5, 10, 15, 45, 90, 301} {
			v.buy(alice, "BTCUSDT", fmt.Sprint(i)).is(t, 200, 0)
			time.Sleep(age * time.Second)
			before := used()
			v.as(alice, "DELETE", "/api/v3/order", "symbol=BTCUSDT&origClientOrderId="+fmt.Sprint(i)).is(t, 200, 0)
			require.Equal(t, []int64{8, 6, 5, 4, 2, 1, 0}[i], used()-before, "after %d s", age)
		}
		before := used()
		v.batch(alice, 5, "BTCUSDT").is(t, 200, 0)
		require.EqualValues(t, 3, used()-before, "half of five, rounded up")
		v.as(alice, "PUT", "/api/v3/order/amend/keepPriority", "symbol=BTCUSDT&orderId=8&newQty=0.5").is(t, 200, 0)
		require.EqualValues(t, 7, used()-before)
		v.as(alice, "PUT", "/api/v3/order/amend/keepPriority", "symbol=BTCUSDT&orderId=8&newQty=0.6").is(t, 400, -2038)
		time.Sleep(10 * time.Second)
		v.as(alice, "DELETE", "/api/v3/openOrders", "symbol=BTCUSDT").is(t, 200, 0)
		require.EqualValues(t, 7+5*5, used()-before)
		v.as(alice, "DELETE", "/api/v3/openOrders", "symbol=BTCUSDT").is(t, 400, -2011)
	})
}

func TestALimitOfOneSymbolTellsNoOtherToWait(t *testing.T) {
	c := two(Limit{Kind: Orders, Quota: 1, Per: time.Hour, PerSymbol: true})
	c.Ban.Grace = 0
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		v.buy(alice, "BTCUSDT", "1").is(t, 200, 0)
		v.buy(alice, "BTCUSDT", "2").is(t, 429, -1015)
		v.buy(alice, "ETHUSDT", "1").is(t, 200, 0)
		v.buy(alice, "BTCUSDT", "3").is(t, 418, -1003)
	})
}

func TestOneConnectionTooManyIsClosedAtOnce(t *testing.T) {
	inFakeTime(t, two(Limit{Kind: Connections, Quota: 2, Per: time.Minute}), func(t *testing.T, v *venue) {
		for range 2 {
			v.get("/api/v3/ping").is(t, 200, 0)
			v.get("/api/v3/ping").is(t, 200, 0)
			v.client.CloseIdleConnections()
		}
		_, err := v.do("GET", "/api/v3/ping", "")
		require.Error(t, err)
		require.Equal(t, map[Violation]int64{NewConnection: 1}, v.Report().Counts)
		time.Sleep(time.Minute)
		v.get("/api/v3/ping").is(t, 200, 0)
		require.EqualValues(t, 3, v.Report().Limits[0].Weight)
	})
}

func TestALimitSaysWhatItCannotBe(t *testing.T) {
	for text, want := range map[string]string{
		"weight=1/1s,symbol":  "not told apart by symbol",
		"matching=1/1s,batch": "no batches",
	} {
		_, err := ParseLimit(text)
		require.ErrorContains(t, err, want)
	}
	l, err := ParseLimit("actions=10/10s,budget,symbol,batch")
	require.NoError(t, err)
	require.Equal(t, Limit{Kind: Actions, Quota: 10, Per: 10 * time.Second, Policy: Budget, PerSymbol: true, WholeBatch: true}, l)
	require.Equal(t, "actions=10/10s,budget,symbol,batch", l.String())
	_, err = New(Config{Accounts: []Account{alice, {Name: "alice", Key: "k", Secret: "s"}}})
	require.ErrorContains(t, err, `another of the name "alice"`)
}
