// Package quotient divides whole numbers the way that time needs it: rounded
// towards one side, whatever the sign. Go's own division rounds towards zero,
// and so towards both.
package quotient

// Floor returns the greatest whole number that is at most a/b. b must be above
// zero.
func Floor[T ~int64](a, b T) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return int64(q)
}

// Ceil returns the least whole number that is at least a/b. b must be above zero.
func Ceil[T ~int64](a, b T) int64 {
	q := a / b
	if a%b > 0 {
		q++
	}
	return int64(q)
}
