package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ccxt is a client in the shape of ccxt's, whose Go version is many megabytes: sign
// lays out a whole request for a path of one of the exchange's interfaces, and fetch
// sends it. As ccxt's Binance does, it puts time, window and signature into the query
// of a GET or DELETE, and into the form of anything else.
type ccxt struct {
	url, apiKey, secret string
	recvWindow          int64 // ms
	http                *http.Client
}

// ccxtShaped is a ccxt with another transport.
func ccxtShaped(trip http.RoundTripper, url, key, secret string) buy {
	exchange := &ccxt{url: url, apiKey: key, secret: secret, recvWindow: 10_000}
	exchange.http = &http.Client{Transport: trip}
	return func(ctx context.Context, id string) error {
		_, err := exchange.request(ctx, "order", "private", http.MethodPost, map[string]string{
			"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
			"quantity": "0.01", "price": "50000", "newClientOrderId": id,
		})
		return err
	}
}

// signed is a request as sign lays it out.
type signed struct {
	url, method, body string
	headers           map[string]string
}

func (e *ccxt) request(ctx context.Context, path, api, method string, params map[string]string) (string, error) {
	return e.fetch(ctx, e.sign(path, api, method, params))
}

// sign lays out a request; what is "private" is signed.
func (e *ccxt) sign(path, api, method string, params map[string]string) signed {
	s := signed{url: e.url + "/api/v3/" + path, method: method, headers: map[string]string{}}
	query := url.Values{}
	for name, value := range params {
		query.Set(name, value)
	}
	if api != "private" {
		s.url += "?" + query.Encode()
		return s
	}
	query.Set("timestamp", strconv.FormatInt(time.Now().UnixMilli(), 10))
	query.Set("recvWindow", strconv.FormatInt(e.recvWindow, 10))
	payload := query.Encode()
	mac := hmac.New(sha256.New, []byte(e.secret))
	mac.Write([]byte(payload))
	payload += "&signature=" + hex.EncodeToString(mac.Sum(nil))
	s.headers["X-MBX-APIKEY"] = e.apiKey
	if method == http.MethodGet || method == http.MethodDelete {
		s.url += "?" + payload
	} else {
		s.body, s.headers["Content-Type"] = payload, "application/x-www-form-urlencoded"
	}
	return s
}

// fetch sends a request, and makes an error of any answer but one of success.
func (e *ccxt) fetch(ctx context.Context, s signed) (string, error) {
	r, err := http.NewRequestWithContext(ctx, s.method, s.url, strings.NewReader(s.body))
	if err != nil {
		return "", err
	}
	for name, value := range s.headers {
		r.Header.Set(name, value)
	}
	resp, err := e.http.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return string(answer), err
}
