package throttle

import (
	"cmp"
	"hash/maphash"
	"math/bits"
	"strings"
)

// By says by which parts of a request the meters of a limit are told apart: each
// combination of the parts it names has a quota of its own. Zero means by none: the
// limit has one meter for all. The parts are listed by go doc
// github.com/sluice-engine/sluice/throttle.ByAccount.
type By uint8

// What meters can be told apart by; several are joined with |. What names no account, or no
// egress, is charged to the meter of the default one, and not to all of them; what names no
// key is refused with ErrNoKey.
const (
	ByAccount By = 1 << iota // Permit.Account, which is Request.Account or Charge.Account
	ByKey                    // Permit.Key, which is Request.Key or Charge.Key
	ByEgress                 // Permit.Egress, which is Request.Egress or Charge.Egress

	byAll = ByAccount | ByKey | ByEgress
	// byScope is what a scope can be told apart by: whom a server stops is an account
	// or an address, and never a symbol.
	byScope = ByAccount | ByEgress
)

// String is the parts' names, as in "account+key"; "nothing" for zero.
func (by By) String() string {
	if by == 0 {
		return "nothing"
	}
	var names []string
	for i, name := range byNames {
		if by&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if by&^byAll != 0 {
		names = append(names, "unknown")
	}
	return strings.Join(names, "+")
}

var byNames = [...]string{"account", "key", "egress"}

// Parts are what a request is told apart by; each limit looks at those that its By
// names, and at no other.
type Parts struct {
	Account string // whose credentials sign it; "" is the default account
	Key     string // what it is about, such as a symbol
	Egress  string // where it leaves from; "" is the default way out
}

// apart is what tells the meters of a limit apart, in one word.
func (l *Limit) apart() By {
	if l.Keyed {
		return l.By | ByKey
	}
	return l.By
}

// By is what parts are certainly told apart by: those that are not empty.
func (p Parts) By() (by By) {
	for i, part := range []string{p.Account, p.Key, p.Egress} {
		if part != "" {
			by |= 1 << i
		}
	}
	return by
}

// of returns the parts that by looks at; the others are empty.
func (by By) of(p Parts) Parts {
	by.narrow(&p)
	return p
}

// narrow empties the parts that by does not look at.
func (by By) narrow(p *Parts) {
	if by&ByAccount == 0 {
		p.Account = ""
	}
	if by&ByKey == 0 {
		p.Key = ""
	}
	if by&ByEgress == 0 {
		p.Egress = ""
	}
}

// compare orders parts by account, then key, then egress.
func (p Parts) compare(q Parts) int {
	return cmp.Or(cmp.Compare(p.Account, q.Account), cmp.Compare(p.Key, q.Key), cmp.Compare(p.Egress, q.Egress))
}

// noParts are those of what is not told apart; it is shared, and never written to.
var noParts = &Parts{}

// are reports whether they are those of a permit.
func (p *Parts) are(of *Permit) bool {
	return p.Account == of.Account && p.Key == of.Key && p.Egress == of.Egress
}

// parts returns what p is told apart by.
func (p *Permit) parts() Parts { return Parts{p.Account, p.Key, p.Egress} }

// hasher finds paths and meters by what tells them apart: the indexes of them have a hash
// for a key, which takes 8 bytes instead of 48.
type hasher struct {
	seed maphash.Seed
	bits uint64 // of a hash that are used; all but in tests
}

func newHasher() hasher { return hasher{maphash.MakeSeed(), ^uint64(0)} }

func (h *hasher) of(p *Parts) (sum uint64) {
	if p.Account != "" {
		sum = maphash.String(h.seed, p.Account)
	}
	if p.Key != "" {
		sum = bits.RotateLeft64(sum, 23) ^ maphash.String(h.seed, p.Key)
	}
	if p.Egress != "" { // turned, so that the same name elsewhere is another
		sum = bits.RotateLeft64(sum, 23) ^ bits.RotateLeft64(maphash.String(h.seed, p.Egress), 41)
	}
	return sum & h.bits
}

// at is the hash of parts at an origin.
func (h *hasher) at(p *Parts, home *origin) uint64 {
	return (h.of(p) ^ home.number*0x9e3779b97f4a7c15) & h.bits
}
