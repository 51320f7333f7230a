package bot

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/bench/exchange/memnet"
	"github.com/sluice-engine/sluice/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// trade has the bot place orders at an exchange in memory, all at once, and returns the
// referee's book. Windows, delays and bans pass in the bubble's time.
func trade(t *testing.T, orders int, adjust func(*engine.Config)) exchange.Report {
	way, err := exchange.ParseDelay("uniform:5ms-50ms") // to the exchange, and back
	require.NoError(t, err)
	venue, err := exchange.New(exchange.Config{Skew: 2 * time.Second, Delay: way, ReturnDelay: way})
	require.NoError(t, err)
	listener := memnet.Listen()
	go venue.Serve(listener)
	defer venue.Close()

	config := Config("http://exchange.test", exchange.DemoKey, exchange.DemoSecret)
	config.Dial.DialContext = listener.DialContext
	adjust(&config)
	eng, err := engine.New(config)
	require.NoError(t, err)
	defer eng.Close()
	var all sync.WaitGroup
	for n := range orders {
		all.Go(func() { _, _ = Buy(t.Context(), eng, "BTCUSDT", fmt.Sprint("bot-", n), 1000) })
	}
	all.Wait()
	return venue.Report()
}

func TestTheBotIsNeverRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := trade(t, 1200, func(*engine.Config) {})
		require.EqualValues(t, 1200, book.Orders)
		require.Zero(t, book.Violations(), "%v", book) // the book says which, and when
		t.Log(book.Headline())
	})
}

func TestALimitThatIsWrittenDownWrongIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := trade(t, 300, func(config *engine.Config) { config.Limits[1].Quota = 150 })
		require.NotZero(t, book.Counts[exchange.OverLimit])
	})
}
