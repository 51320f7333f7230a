package exchange

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Sign returns the lower-case hexadecimal HMAC-SHA256 of a payload, Binance's
// signature of query||body.
func Sign(secret, payload string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(payload))
	return hex.EncodeToString(mac.Sum(nil))
}

// signedPayload cuts the signature off. It must be the last parameter of the
// body, or of the query; what is signed is then query||body as sent, without
// it and with no separator between them. The reason tells what is wrong.
func signedPayload(query, body string) (payload, signature, reason string) {
	if head, sig, ok := cutSignature(body); ok {
		return query + head, sig, ""
	}
	if head, sig, ok := cutSignature(query); ok {
		return head + body, sig, ""
	}
	if strings.Contains("&"+query, "&signature=") || strings.Contains("&"+body, "&signature=") {
		return "", "", "signature is not the last parameter"
	}
	return "", "", "no signature"
}

func cutSignature(params string) (head, signature string, ok bool) {
	head, last := "", params
	if i := strings.LastIndexByte(params, '&'); i >= 0 {
		head, last = params[:i], params[i+1:]
	}
	signature, ok = strings.CutPrefix(last, "signature=")
	return head, signature, ok
}

// verify returns why the signature is not that of query||body, or "".
func verify(secret, query, body string) (reason string) {
	payload, signature, reason := signedPayload(query, body)
	switch {
	case reason != "":
		return reason
	case !percentEncoded(payload):
		return "parameters are not percent-encoded"
	case !hmac.Equal([]byte(Sign(secret, payload)), []byte(strings.ToLower(signature))):
		return "signature does not match query||body as sent"
	}
	return ""
}

// verifyParams returns why the signature is not that of the other parameters, sorted by
// name, as a WebSocket frame carries them, or "".
func verifyParams(secret string, params url.Values) (reason string) {
	var lines []string
	for name := range params {
		if name != "signature" {
			lines = append(lines, name+"="+params.Get(name))
		}
	}
	slices.Sort(lines)
	switch signature := params.Get("signature"); {
	case signature == "":
		return "no signature"
	case !hmac.Equal([]byte(Sign(secret, strings.Join(lines, "&"))), []byte(strings.ToLower(signature))):
		return "signature does not match the parameters sorted by name"
	}
	return ""
}

func percentEncoded(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

const (
	defaultRecvWindow = 5_000  // ms
	maxRecvWindow     = 60_000 // ms
	aheadTolerance    = 1_000  // ms
)

// timestampFault says on which side of the window a request lies.
type timestampFault uint8

const (
	inTime timestampFault = iota
	ahead
	behind
)

// checkTimestamp applies Binance's rule, all in milliseconds: timestamp <
// serverTime+1000 and serverTime-timestamp ≤ recvWindow.
func checkTimestamp(timestamp, serverTime int64, recvWindow float64) timestampFault {
	switch {
	case timestamp >= serverTime+aheadTolerance:
		return ahead
	case float64(serverTime-timestamp) > recvWindow:
		return behind
	}
	return inTime
}

// parseRecvWindow takes milliseconds with up to three decimals.
func parseRecvWindow(text string) (float64, *apiError) {
	if text == "" {
		return defaultRecvWindow, nil
	}
	whole, decimals, _ := strings.Cut(text, ".")
	window, err := strconv.ParseFloat(text, 64)
	if err != nil || !digits(whole) || decimals != "" && !digits(decimals) || len(decimals) > 3 {
		return 0, illegalParameter("recvWindow")
	}
	if window > maxRecvWindow {
		return 0, badRequest(-1131, "recvWindow must be less than 60000.")
	}
	return window, nil
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func describeTimestamp(timestamp, serverTime int64, recvWindow float64) string {
	return fmt.Sprintf("timestamp %+d ms from the server's time, recvWindow %g ms", timestamp-serverTime, recvWindow)
}
