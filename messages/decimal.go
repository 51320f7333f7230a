package messages

import (
	"math/big"
	"reflect"
	"strconv"
)

// decimal writes a number of a type of the language's or of math/big's, with all
// its digits and no exponent. ok is false for everything else, and for a fraction
// whose digits have no end.
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
	case *big.Rat:
		if v == nil {
			return "", false
		}
		if digits, exact := v.FloatPrec(); exact {
			return v.FloatString(digits), true
		}
	}
	return "", false
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
