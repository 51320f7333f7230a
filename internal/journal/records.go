package journal

import (
	"encoding/binary"
	"time"

	"github.com/sluice-engine/sluice/throttle"
)

// kind is the first byte of a record. What follows are varints, and texts with their
// length before them.
type kind byte

const (
	// run begins a journal: the boot that the machine's clock runs for, and what that
	// clock showed, in ns, at instant zero of the ledger.
	kindRun kind = iota + 1
	// meter gives a meter a number, until another gets it: number, instant, limit,
	// account, key, egress, and the terms; at last what the limit's meters are told apart by,
	// which older journals do not say.
	kindMeter
	// grant is a permit: its flight, and for each meter that it is charged to number
	// and weight.
	kindGrant
	// answered, unsent, lost and closed are what became of it: flight, instant; of an
	// answer also number and weight of each meter whose cost was another.
	kindAnswered
	kindUnsent
	kindLost
	kindClosed
	// spent is what others spent, or gave back: instant, number, weight.
	kindSpent
	// log is what was answered: number, and pairs of instant and weight.
	kindLog
	// level is that of a leaky counter: number, instant, level.
	kindLevel
	// budget is all that is spent of one: instant, number, total, and 1 for a guess.
	kindBudget
	// full says that one meter counted as full: number, instant.
	kindFull
	// gone is what a permit that was given up holds of a meter: fate, number, instant,
	// weight.
	kindGone
	// filled says that every window counted as full: instant, and 1 if what was in flight
	// then was not known, else 0.
	kindFilled
	// unknown says that they will have to: something was lost, and no ledger has been
	// told yet.
	kindUnknown
	// paused and resumed are about a scope: instant, origin, name, account,
	// egress, and until when.
	kindPaused
	kindResumed
	// nonce is how far the nonces of a key may have been used: lane, number.
	kindNonce
	// told is what the window that lasted is known to count: instant, number, weight.
	kindTold
)

// µs returns an instant in microseconds, rounded up.
func µs(at time.Duration) int64 {
	d := int64(at / time.Microsecond)
	if at%time.Microsecond > 0 {
		d++
	}
	return d
}

func appendInstant(b []byte, at time.Duration) []byte { return binary.AppendVarint(b, µs(at)) }

func appendText(b []byte, text string) []byte {
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

func appendRun(b []byte, boot string, zero time.Duration) []byte {
	b = appendText(append(b, byte(kindRun)), boot)
	return binary.AppendVarint(b, int64(zero))
}

func appendMeter(b []byte, number uint32, at time.Duration, limit string, parts throttle.Parts, t throttle.Terms) []byte {
	b = binary.AppendUvarint(append(b, byte(kindMeter)), uint64(number))
	b = appendInstant(b, at)
	for _, text := range []string{limit, parts.Account, parts.Key, parts.Egress} {
		b = appendText(b, text)
	}
	b = append(b, byte(t.Window))
	for _, n := range []int64{int64(t.Keep), t.Rate, int64(t.Drain), int64(t.MaxDelay), int64(t.CloseDelay)} {
		b = binary.AppendVarint(b, n)
	}
	return append(b, byte(t.By))
}

func appendCharge(b []byte, number uint32, weight int64) []byte {
	b = binary.AppendUvarint(b, uint64(number))
	return binary.AppendVarint(b, weight)
}

func appendScope(b []byte, k kind, at time.Duration, s throttle.Scope) []byte {
	b = appendInstant(append(b, byte(k)), at)
	for _, text := range []string{s.Origin, s.Name, s.Account, s.Egress} {
		b = appendText(b, text)
	}
	return b
}

func appendNonce(b []byte, lane string, floor uint64) []byte {
	return binary.AppendUvarint(appendText(append(b, byte(kindNonce)), lane), floor)
}
