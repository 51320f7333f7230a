package peers

// Case is one load under which the clients are compared.
type Case struct {
	Name     string
	Callers  int // how many wait for an answer at the same time
	Requests int // in one slice
}

// Cases returns the loads of the comparison: many callers, and one alone.
// A slice lasts about a tenth of a second: short against most disturbances of a
// shared machine, long against the cost of waking the callers.
func Cases() []Case {
	return []Case{
		{Name: "get-64", Callers: 64, Requests: 2000},
		{Name: "get-1", Callers: 1, Requests: 500},
	}
}

// order returns which of n clients each slice of a round belongs to: every
// client once, then every client again in reverse. The round's number rotates
// the first half, so that n rounds give every client every position equally
// often; with three clients they are all the orders there are.
func order(round, n int) []int {
	slices := make([]int, 2*n)
	for i := range n {
		client := (round + i) % n
		slices[i], slices[2*n-1-i] = client, client
	}
	return slices
}
