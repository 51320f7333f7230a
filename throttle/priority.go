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

// Name is "urgent", "high", "account", "normal" or "background", and empty for a number without a
// name.
func (p Priority) Name() string {
	switch p {
	case Urgent:
		return "urgent"
	case High:
		return "high"
	case Account:
		return "account"
	case Normal:
		return "normal"
	case Background:
		return "background"
	}
	return ""
}
