package exchange

import (
	"fmt"
	"net/http"
	"time"
)

// apiError is an answer in Binance's error shape.
type apiError struct {
	Code int    `json:"code"`
	Msg  string `json:"msg"`

	status int
	retry  time.Duration // for Retry-After; zero sends none
}

func badRequest(code int, format string, args ...any) *apiError {
	return &apiError{status: http.StatusBadRequest, Code: code, Msg: fmt.Sprintf(format, args...)}
}

func illegalParameter(name string) *apiError {
	return badRequest(-1100, "Illegal characters found in parameter '%s'.", name)
}

func missingParameter(name string) *apiError {
	return badRequest(-1102, "Mandatory parameter '%s' was not sent, was empty/null, or malformed.", name)
}

func unauthorised(code int, msg string) *apiError {
	return &apiError{status: http.StatusUnauthorized, Code: code, Msg: msg}
}

func tooMuchWeight(l Limit, retry time.Duration) *apiError {
	n, unit := l.interval()
	what := "request weight"
	if l.Kind == Raw {
		what = "requests"
	}
	return &apiError{
		status: http.StatusTooManyRequests, Code: -1003, retry: retry,
		Msg: fmt.Sprintf("Too much request weight used; current limit is %d %s per %d %s.", l.Quota, what, n, unit),
	}
}

// tooMuchOfAnAccount is the refusal of a limit that accounts have.
func tooMuchOfAnAccount(l Limit, retry time.Duration) *apiError {
	n, unit := l.interval()
	refusal := &apiError{status: http.StatusTooManyRequests, Code: -1015, retry: retry}
	switch {
	case l.Kind == AccountWeight:
		refusal.Code = -1003
		refusal.Msg = fmt.Sprintf("Too much request weight used; current limit of an account is %d per %d %s.", l.Quota, n, unit)
	case l.Policy == Budget:
		refusal.Msg = fmt.Sprintf("The budget is spent; one more is let in every %d %s.", n, unit)
	case l.Kind == Matching:
		refusal.Msg = "Orders are changed too hastily."
	default:
		refusal.Msg = fmt.Sprintf("Too many new orders; current limit is %d %s per %d %s.", l.Quota, l.Kind, n, unit)
	}
	return refusal
}

func bannedUntil(until time.Time, retry time.Duration) *apiError {
	return &apiError{
		status: http.StatusTeapot, Code: -1003, retry: retry,
		Msg: fmt.Sprintf("Way too much request weight used; IP banned until %d.", until.UnixMilli()),
	}
}

func waitLonger(retry time.Duration) *apiError {
	return &apiError{
		status: http.StatusTooManyRequests, Code: -1003, retry: retry,
		Msg: "Too many requests; wait as long as Retry-After says.",
	}
}
