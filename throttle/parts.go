package throttle

// By says by which parts of a request the meters of a limit are told apart: each
// combination of the parts it names has a quota of its own. Zero means by none: the
// limit has one meter for all.
type By uint8

// What meters can be told apart by; several are joined with |.
const (
	ByAccount By = 1 << iota // Permit.Account
	ByKey                    // Permit.Key
	ByEgress                 // Permit.Egress

	byAll = ByAccount | ByKey | ByEgress
)

// Parts are what a request is told apart by; each limit looks at those that its By
// names, and at no other.
type Parts struct {
	Account string // whose credentials sign it; "" is the default account
	Key     string // what it is about, such as a symbol
	Egress  string // where it leaves from; "" is the default way out
}
