package targets_test

import (
	"fmt"

	"github.com/sluice-engine/sluice/bench/targets"
)

func Example() {
	read, err := targets.Parse("orders.json", []byte(`{
		"base": "https://api.example.com",
		"chains": [{"steps": [
			{"url": "/orders", "body": {"symbol": "{{symbol}}"}, "save": [{"name": "id", "json": "order.id"}]},
			{"method": "DELETE", "url": "/orders/{{id}}"}
		]}]}`), targets.Auto, targets.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	read.Plan.Data, err = targets.ParseData("symbols.csv", []byte("symbol\nBTC\nETH\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	prepared, err := read.Plan.Prepare()
	if err != nil {
		fmt.Println(err)
		return
	}
	var session targets.Session
	prepared.Begin(&session, 1) // the second arrival, and so the second row
	for {
		request, more, err := session.Next()
		if err != nil || !more {
			break
		}
		fmt.Println(request.Method, request.URL, string(request.Body))
		_ = session.Answered(200, nil, []byte(`{"order": {"id": "a/7"}}`))
	}
	// Output:
	// POST https://api.example.com/orders {"symbol":"ETH"}
	// DELETE https://api.example.com/orders/a%2F7
}
