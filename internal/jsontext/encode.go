package jsontext

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Marshal encodes a value; no number of it has an exponent.
func Marshal(value any) ([]byte, error) {
	document, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return plain(document), nil
}

// plain writes the numbers of a valid document without exponents. Mostly there is
// nothing to do, and the document is returned as it is.
func plain(document []byte) []byte {
	var out []byte // nil as long as nothing had to be changed
	copied := 0
	for at := 0; at < len(document); at++ {
		switch c := document[at]; {
		case c == '"':
			at = endOfString(document, at) - 1
		case c == '-' || '0' <= c && c <= '9':
			end, scientific := at, false
			for end < len(document) && strings.IndexByte("+-.0123456789eE", document[end]) >= 0 {
				scientific = scientific || document[end]|0x20 == 'e'
				end++
			}
			if scientific {
				out = append(append(out, document[copied:at]...), Plain(string(document[at:end]))...)
				copied = end
			}
			at = end - 1
		}
	}
	if copied == 0 {
		return document
	}
	return append(out, document[copied:]...)
}

// mostZeros is how many zeros a number may need without its exponent: more than
// any float64 does.
const mostZeros = 400

// Plain returns a number of JSON's without its exponent: "1.5e-8" is
// "0.000000015". One that would need more than 400 zeros is left alone, and so is
// what is no number.
func Plain(number string) string {
	e := strings.IndexAny(number, "eE")
	if e < 0 {
		return number
	}
	exponent, err := strconv.Atoi(number[e+1:])
	if err != nil || exponent > mostZeros || exponent < -mostZeros {
		return number
	}
	sign, digits := "", number[:e]
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	whole, fraction, _ := strings.Cut(digits, ".")
	if strings.Trim(whole+fraction, "0123456789") != "" {
		return number
	}
	point := len(whole) + exponent // where the point stands among all digits
	digits = whole + fraction
	switch {
	case point <= 0:
		digits, point = strings.Repeat("0", 1-point)+digits, 1
	case point > len(digits):
		digits += strings.Repeat("0", point-len(digits))
	}
	whole, fraction = strings.TrimLeft(digits[:point], "0"), strings.TrimRight(digits[point:], "0")
	if whole == "" {
		whole = "0"
	}
	if fraction == "" {
		return sign + whole
	}
	return sign + whole + "." + fraction
}
