package auth

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/internal/percent"
	"github.com/sluice-engine/sluice/messages"
)

// hasForm reports whether the body of a call is a form, or empty: by its
// Content-Type, and without one by not looking like JSON. What stands in any other
// body is no parameter, however much it looks like one.
func hasForm(call *messages.Call) bool {
	body := bytes.TrimLeft(call.Body, " \t\r\n")
	if len(body) == 0 {
		return true
	}
	if kind, ok := call.Header("Content-Type"); ok {
		kind, _, _ = strings.Cut(kind, ";")
		return strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded")
	}
	return strings.IndexByte(`{["`, body[0]) < 0
}

// sentHost is what the connection writes as Host: a line of the caller's wins.
func sentHost(call *messages.Call) string {
	if host, ok := call.Header("Host"); ok {
		return host
	}
	return call.Host
}

// lookup returns the decoded value of the first parameter of that name, however the
// name is spelt: a server looks for it when it has decoded it.
func lookup(params, name string) (value string, ok bool) {
	if !strings.Contains(params, name) && !strings.ContainsAny(params, escapes) && !strings.ContainsAny(name, escapes) {
		return "", false
	}
	for params != "" {
		var pair string
		pair, params, _ = strings.Cut(params, "&")
		key, value, _ := strings.Cut(pair, "=")
		if spells(key, name) {
			return decoded(value), true
		}
	}
	return "", false
}

// escapes are what an encoded text begins an escape with.
const escapes = "%+"

// spells reports whether an encoded text stands for a name, which may be written encoded itself.
func spells(encoded, name string) bool { return encoded == name || decoded(encoded) == decoded(name) }

func decoded(text string) string {
	if !strings.ContainsAny(text, escapes) {
		return text
	}
	return string(percent.AppendDecoded(nil, text))
}

// mayHave spares the copy of a long body that has no parameter of a name.
func mayHave(body []byte, name string) bool {
	return bytes.Contains(body, []byte(name)) || bytes.IndexByte(body, '%') >= 0 || strings.ContainsAny(name, escapes)
}

// sorted joins parameters in the order of their names, "name=value" with "&"
// between, nothing encoded.
func sorted(params map[string]string) string {
	var b strings.Builder
	for i, name := range slices.Sorted(maps.Keys(params)) {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(name)
		b.WriteByte('=')
		b.WriteString(params[name])
	}
	return b.String()
}
