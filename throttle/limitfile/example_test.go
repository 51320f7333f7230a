package limitfile_test

import (
	"fmt"
	"strings"

	"github.com/sluice-engine/sluice/throttle/limitfile"
)

func ExampleRead() {
	limits, err := limitfile.Read(strings.NewReader(`{"limits": [
		{"id": "weight", "quota": 6000, "per": "1m", "window": "fixed", "scope": "address"},
		{"id": "order", "links": [{"id": "weight", "weight": 1}]}
	]}`))
	fmt.Println(len(limits), err)
	fmt.Println(limits[0].ID, limits[0].Quota, limits[0].Per, limits[0].Window)
	// Output:
	// 2 <nil>
	// weight 6000 1m0s fixed
}

func ExampleReadExchangeInfo() {
	limits, err := limitfile.ReadExchangeInfo(strings.NewReader(`{"rateLimits": [
		{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
		{"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100}
	]}`))
	for _, limit := range limits {
		fmt.Println(limit.ID, limit.Quota, limit.Per, limit.Scope)
	}
	fmt.Println(err)
	// Output:
	// REQUEST_WEIGHT_1M 6000 1m0s address
	// ORDERS_10S 100 10s account
	// <nil>
}
