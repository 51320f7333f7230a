package slo

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// histograms are those that a duration may be asked of. The first is the usual one.
var histograms = []string{"response", "service", "lag", "wait", "success", "connect"}

// kinds are those of errors, as load counts them; one with a status that is no success is
// "status 503". A kind that never is would hold whatever the run is like.
var kinds = []string{
	"timeout", "refused", "reset", "closed", "dns", "tls", "limit", "connection", "cancelled", "template", "request", "too large", "system", "unfinished", "other",
}

// isKind reports whether errors can be of a kind.
func isKind(kind string) bool {
	status, ok := strings.CutPrefix(kind, "status ")
	if !ok {
		return slices.Contains(kinds, kind)
	}
	code, err := strconv.Atoi(status)
	return err == nil && code >= 100 && code <= 999 && len(status) == 3
}

// longest is where histograms end: a duration beyond it is counted as one of it, so an
// objective from there on could not be judged.
const longest = time.Hour

// Parse reads an objective. The spaces around its parts do not count.
//
//	p99<5ms  p99.9<1s  p(99)<5  med<1ms  max<1s  min>1ms  mean<2ms  avg<2
//	service.p50<=1ms  lag.p99<2ms  wait.max<1s  success.p99<5ms  connect.p99<50ms
//	errors<0.1%  errors<1  errors.timeout<0.1%  errors.status 503<1
//	achieved>99%  rate>500/s  unfinished<1  neversent<1
//	GET /ticker:p99<5ms
//
// A duration without a name of a histogram is of the response time, from the intended
// instant to the end, errors included. A bound without a unit is in milliseconds, which is
// how k6 writes its thresholds; durations end below an hour. errors is a share if the bound
// has a percent sign, and otherwise a whole number; the kind behind its dot is as reports
// have it. achieved is the share of what was due that was sent before the schedule's end,
// rate is how many ended in each second of it, with an error or without; unfinished and
// neversent count what the drain did not see the end of. These four are of the whole run.
//
// The operation before the last colon is named as reports have it. The warm-up is left out
// of every figure. The error is one line.
func Parse(text string) (Objective, error) {
	text = strings.TrimSpace(text)
	o := Objective{text: text}
	at := strings.LastIndexAny(text, "<>")
	if at < 0 {
		return Objective{}, mistake(text, "no comparison; want a figure, one of < <= > >=, and a bound, as in p99<5ms")
	}
	left, right := text[:at], text[at+1:]
	o.compare = text[at : at+1]
	if rest, ok := strings.CutPrefix(right, "="); ok {
		o.compare, right = o.compare+"=", rest
	}
	name := strings.TrimSpace(left)
	if colon := strings.LastIndex(left, ":"); colon >= 0 {
		o.operation, name = strings.TrimSpace(left[:colon]), strings.TrimSpace(left[colon+1:])
		if o.operation == "" {
			return Objective{}, mistake(text, "no operation before the colon")
		}
	}
	right = strings.TrimSpace(right)
	if err := o.readFigure(name, strings.HasSuffix(right, "%")); err != nil {
		return Objective{}, err
	}
	if o.operation != "" && o.figure.isOfTheWholeRun() {
		return Objective{}, mistake(text, "%s is of the whole run, not of one operation; leave %q out", name, o.operation)
	}
	if err := o.readBound(right); err != nil {
		return Objective{}, err
	}
	return o, nil
}

func (o *Objective) readFigure(name string, percent bool) error {
	switch name {
	case "errors":
		o.figure = errorCount
	case "achieved":
		o.figure = achieved
	case "rate":
		o.figure = rate
	case "unfinished":
		o.figure = unfinished
	case "neversent":
		o.figure = neverSent
	}
	if kind, ok := strings.CutPrefix(name, "errors."); ok {
		if kind == "" {
			return mistake(o.text, "no kind of errors after the dot")
		}
		if !isKind(kind) {
			return mistake(o.text, "%q is no kind of errors; there are %s, and status 503 and its like", kind, strings.Join(kinds, ", "))
		}
		o.figure, o.kind = errorCount, kind
	}
	if o.figure == errorCount && percent {
		o.figure = errorShare
	}
	if o.figure != none {
		return nil
	}
	return o.readDuration(name)
}

// readDuration reads what a duration is of, such as "p99" or "service.max".
func (o *Objective) readDuration(name string) error {
	o.histogram = histograms[0]
	if before, after, ok := strings.Cut(name, "."); ok && slices.Contains(histograms, before) {
		o.histogram, name = before, after
	}
	switch name {
	case "max":
		o.figure = largest
		return nil
	case "min":
		o.figure = smallest
		return nil
	case "mean", "avg":
		o.figure = mean
		return nil
	case "med":
		name = "p50"
	}
	digits, ok := strings.CutPrefix(name, "p")
	if inside, found := strings.CutPrefix(digits, "("); found {
		digits, found = strings.CutSuffix(inside, ")")
		ok = ok && found
	}
	share, err := hundredth(strings.TrimSpace(digits))
	switch {
	case !ok || err != nil:
		return mistake(o.text, "%q is no figure; there are p99, med, max, min and mean (alone or after %s.), errors, achieved, rate, unfinished and neversent",
			name, strings.Join(histograms, "., "))
	case share <= 0 || share > 1:
		return mistake(o.text, "%q is no percentile; want one above 0 and up to 100, such as p99.9", name)
	}
	o.figure, o.quantile = quantile, share
	return nil
}

func (o *Objective) readBound(text string) (err error) {
	switch {
	case text == "":
		return mistake(o.text, "no bound")
	case o.figure.isDuration():
		o.bound, err = durationBound(text)
	case o.figure.isShare():
		o.bound, err = shareBound(text)
	case o.figure == rate:
		o.bound, err = rateBound(text)
	default:
		o.bound, err = number(text)
		if err == nil && (o.bound != math.Trunc(o.bound) || o.bound > 1<<53) {
			return mistake(o.text, "the bound %q is no whole number; a share needs a percent sign, as in errors<0.1%%", text)
		}
	}
	switch {
	case err != nil:
		return mistake(o.text, "the bound %q is no %s", text, o.boundName())
	case o.bound < 0 || math.Signbit(o.bound):
		return mistake(o.text, "the bound %q is below zero", text)
	case o.figure.isDuration() && o.bound >= float64(longest):
		return mistake(o.text, "the bound %q is not below an hour, which is as far as durations are told apart", text)
	case o.figure.isShare() && o.bound > 1:
		return mistake(o.text, "the bound %q is more than 100 %%", text)
	case o.compare == "<" && o.bound == 0, o.compare == ">" && o.bound == 1 && o.figure.isShare():
		return mistake(o.text, "nothing is %s %s, so it could never hold", o.compare, text)
	}
	return nil
}

// boundName is what the bound should have been.
func (o *Objective) boundName() string {
	switch {
	case o.figure.isDuration():
		return "duration, such as 5ms, or 5 for as many milliseconds"
	case o.figure.isShare():
		return "share, such as 99%"
	case o.figure == rate:
		return "rate, such as 500/s"
	}
	return "whole number"
}

// durationBound reads 5ms, or 5 for as many milliseconds, in nanoseconds.
func durationBound(text string) (float64, error) {
	if ms, err := number(text); err == nil {
		return ms * float64(time.Millisecond), nil
	}
	d, err := time.ParseDuration(text)
	return float64(d), err
}

// shareBound reads 0.1%.
func shareBound(text string) (float64, error) {
	digits, ok := strings.CutSuffix(text, "%")
	if !ok {
		return 0, strconv.ErrSyntax
	}
	return hundredth(strings.TrimSpace(digits))
}

// hundredth reads a percentage as the share nearest to it: dividing by 100 would round twice,
// and 994 of 1000 would not be 99.4 %.
func hundredth(text string) (float64, error) {
	if strings.Trim(text, "-0123456789.") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseFloat(text+"e-2", 64)
}

// rateBound reads 500/s, 30000/m, 5/100ms, or 500 for as many a second.
func rateBound(text string) (float64, error) {
	before, after, slash := strings.Cut(text, "/")
	n, err := number(strings.TrimSpace(before))
	if err != nil || !slash {
		return n, err
	}
	after = strings.TrimSpace(after)
	per, err := time.ParseDuration(after)
	if err != nil {
		per, err = time.ParseDuration("1" + after)
	}
	if err == nil && per <= 0 {
		err = strconv.ErrRange
	}
	if err != nil {
		return 0, err
	}
	each := n / per.Seconds()
	if math.IsInf(each, 0) {
		return 0, strconv.ErrRange
	}
	return each, nil
}

// number reads decimal digits: no sign of plus, no hexadecimal, infinite or undefined ones.
func number(text string) (float64, error) {
	if strings.Trim(text, "-0123456789.eE") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseFloat(text, 64)
}
