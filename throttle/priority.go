package throttle

// Priority orders waiting requests: the higher leaves first. Any integer is
// allowed; the named ones are steps that leave room between them.
type Priority int

// The customary classes of a trading client, most urgent first.
const (
	Urgent     Priority = 400 // cancels
	High       Priority = 300 // orders
	Account    Priority = 200 // account and position queries
	Normal     Priority = 0   // the zero value: market data and everything else
	Background Priority = -100
)
