package messages

import (
	"math/big"
	"reflect"
	"strconv"
	"strings"
)

// decimal writes a number of a type of the language's or of math/big's, with all
// its digits and no exponent. ok is false for everything else. What has no end of
// digits, or is no number, is written so that isDecimal tells.
func decimal(value any) (text string, ok bool) {
	switch v := value.(type) {
	case int:
		return strconv.Itoa(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case *big.Float:
		if v != nil { // its String would keep ten digits
			return v.Text('f', -1), true
		}
	case big.Float:
		return v.Text('f', -1), true
	case *big.Rat:
		if v != nil {
			return decimalOfRat(v), true
		}
	case big.Rat:
		return decimalOfRat(&v), true
	case big.Int:
		return v.String(), true
	case *big.Int:
		if v != nil {
			return v.String(), true
		}
	}
	return "", false
}

func decimalOfRat(v *big.Rat) string {
	if digits, exact := v.FloatPrec(); exact {
		return v.FloatString(digits)
	}
	return v.String() // "1/3"
}

// decimalOfKind writes a number by what it is made of, whatever its type is
// called. A float32 has the digits that tell it from other float32s.
func decimalOfKind(rv reflect.Value) (text string, ok bool) {
	switch {
	case rv.CanInt():
		return strconv.FormatInt(rv.Int(), 10), true
	case rv.CanUint():
		return strconv.FormatUint(rv.Uint(), 10), true
	case rv.CanFloat():
		return strconv.FormatFloat(rv.Float(), 'f', -1, rv.Type().Bits()), true
	}
	return "", false
}

// isDecimal reports whether what decimal wrote is a number with an end: neither
// "NaN" nor "+Inf" nor "1/3".
func isDecimal(text string) bool { return strings.IndexAny(text, "NI/") < 0 }
