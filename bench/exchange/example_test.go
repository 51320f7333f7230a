package exchange_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/sluice-engine/sluice/bench/exchange"
)

// The client sends three requests where two are allowed, and the report tells.
func ExampleNew() {
	ex, err := exchange.New(exchange.Config{
		Limits: []exchange.Limit{{Kind: exchange.Weight, Quota: 2, Per: time.Hour, Policy: exchange.Sliding}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ex.Close()
	url, err := ex.Start("127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 3 {
		resp, err := client.Get(url + "/api/v3/ping")
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(resp.StatusCode, resp.Header.Get("X-MBX-USED-WEIGHT-1H"))
	}
	fmt.Println("violations:", ex.Violations())
	// Output:
	// 200 1
	// 200 2
	// 429 2
	// violations: 1
}

// A counter needs no server and no clock: a simulation gives it the time.
func ExampleNewCounter() {
	kraken, err := exchange.NewCounter(exchange.Limit{Quota: 20, Per: 20 * time.Second, Policy: exchange.Decaying})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(kraken.Admit(500*time.Millisecond, 20))
	fmt.Println(kraken.Admit(600*time.Millisecond, 2))
	fmt.Println(kraken.Admit(2*time.Second, 2))
	// Output:
	// true 0s
	// false 1.4s
	// true 0s
}
