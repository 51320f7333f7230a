package gauge

// Mirrored returns which of n clients each slice of a round belongs to: every
// client once, then every client again in reverse. The round's number rotates
// the first half, so that n rounds give every client every position equally
// often; with three clients they are all the orders there are.
func Mirrored(round, n int) []int {
	slices := make([]int, 2*n)
	for i := range n {
		client := (round + i) % n
		slices[i], slices[2*n-1-i] = client, client
	}
	return slices
}
