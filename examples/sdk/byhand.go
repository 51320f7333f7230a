package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"time"
)

// byHand is a client of one function, as the documentation of an exchange shows it:
// net/http, and the signature at the end of the query.
func byHand(trip http.RoundTripper, url, key, secret string) buy {
	client := &http.Client{Transport: trip}
	return func(ctx context.Context, id string) error {
		query := fmt.Sprintf("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=50000&newClientOrderId=%s&timestamp=%d",
			id, time.Now().UnixMilli())
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(query))
		query += "&signature=" + hex.EncodeToString(mac.Sum(nil))
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/v3/order?"+query, nil)
		if err != nil {
			return err
		}
		r.Header.Set("X-MBX-APIKEY", key)
		resp, err := client.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			text, _ := io.ReadAll(resp.Body)
			return fmt.Errorf("%s: %s", resp.Status, text)
		}
		return nil
	}
}
