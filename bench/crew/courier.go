package crew

import (
	"errors"
	"fmt"
	"time"
)

const (
	partSize   = 192 << 10 // bytes of a part; a letter with it is below mostLetter
	partWindow = 8         // parts on their way
	partAgain  = time.Second
	mostParcel = 256 << 20 // bytes of what is sent as one
)

// part is a piece of what must arrive. Parts are counted from 0 over all that one side says
// in a run; Last ends a parcel.
type part struct {
	Seq  uint64 `json:"seq"`
	Last bool   `json:"last,omitempty"`
	Data []byte `json:"data,omitempty"`
}

// taken acknowledges all parts before Next.
type taken struct {
	Next uint64 `json:"next"`
}

// outbox is the sending half of a courier: it cuts parcels into parts and keeps each until
// it is acknowledged. It has no clock and no network.
//
// Invariant: parts[0] is the first that was not acknowledged; of those, the first sent ones
// are on their way, at most partWindow.
type outbox struct {
	first    uint64 // the count of parts[0]
	parts    []part
	sent     int
	progress time.Time // of the last acknowledgement, or of sending when nothing was on its way
}

// add queues a parcel, which must not be changed afterwards.
func (o *outbox) add(parcel []byte) error {
	if len(parcel) > mostParcel {
		return fmt.Errorf("%d MB at once, where %d MB can be sent", len(parcel)>>20, mostParcel>>20)
	}
	for {
		n := min(len(parcel), partSize)
		o.parts = append(o.parts, part{Seq: o.first + uint64(len(o.parts)), Data: parcel[:n], Last: n == len(parcel)})
		if parcel = parcel[n:]; len(parcel) == 0 {
			return nil
		}
	}
}

// due returns the parts to be sent now: those that the window has room for, or all of the
// window once more if partAgain has passed without an acknowledgement.
func (o *outbox) due(now time.Time) []part {
	if o.sent > 0 && now.Sub(o.progress) >= partAgain {
		o.sent = 0
	}
	from := o.sent
	to := min(len(o.parts), partWindow)
	if from >= to {
		return nil
	}
	if from == 0 {
		o.progress = now
	}
	o.sent = to
	return o.parts[from:to]
}

// taken forgets what was acknowledged. It ignores acknowledgements that are older than
// another, or of what was never sent.
func (o *outbox) taken(next uint64, now time.Time) {
	if next <= o.first || next > o.first+uint64(len(o.parts)) {
		return
	}
	n := int(next - o.first)
	clear(o.parts[:n]) // lets go of the data
	o.parts, o.first = o.parts[n:], next
	o.sent = max(o.sent-n, 0)
	o.progress = now
}

// empty reports whether everything was acknowledged.
func (o *outbox) empty() bool { return len(o.parts) == 0 }

var errParcel = errors.New("more was sent as one than may be")

// inbox is the receiving half.
//
// Invariant: what take has returned so far are the parcels that were added at the other
// side, in order and once each, whatever the network lost, repeated or turned around.
type inbox struct {
	next    uint64
	partial []byte
	most    int // bytes of a parcel; 0 means mostParcel
}

// take takes a part, and returns a parcel if that is its last. A part that is not the next is
// ignored: it came before, or what is missing will come again before it.
func (i *inbox) take(p part) (parcel []byte, whole bool, err error) {
	if p.Seq != i.next {
		return nil, false, nil
	}
	most := i.most
	if most == 0 {
		most = mostParcel
	}
	if len(i.partial)+len(p.Data) > most {
		return nil, false, fmt.Errorf("%w: above %d MB", errParcel, most>>20)
	}
	i.next++
	if !p.Last {
		i.partial = append(i.partial, p.Data...)
		return nil, false, nil
	}
	parcel = append(i.partial, p.Data...)
	i.partial = nil
	return parcel, true, nil
}
