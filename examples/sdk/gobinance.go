package main

import (
	"context"
	"net/http"

	binance "github.com/adshao/go-binance/v2"
)

// goBinance is github.com/adshao/go-binance with another transport.
func goBinance(trip http.RoundTripper, url, key, secret string) buy {
	client := binance.NewClient(key, secret)
	client.BaseURL = url
	client.HTTPClient = &http.Client{Transport: trip}
	return func(ctx context.Context, id string) error {
		own := *client // each answer is noted in the client, and nothing guards that
		_, err := own.NewCreateOrderService().Symbol("BTCUSDT").Side(binance.SideTypeBuy).Type(binance.OrderTypeLimit).
			TimeInForce(binance.TimeInForceTypeGTC).Quantity("0.01").Price("50000").NewClientOrderID(id).Do(ctx)
		return err
	}
}
