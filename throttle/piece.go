package throttle

// What a decision about one of many meters touches is in no cache, and each part of it
// that is found by way of another is waited for anew. So a path, what it is charged, the
// meter that is its own and that meter's window are one piece of memory, as far as they
// are made together.

// newPath makes a path with room for what its route charges, and for the meter of its
// rarest toll, unless that meter is there already.
func (l *Ledger) newPath(r *route, of *Parts) (p *path, room *meter) {
	if r.rarest >= 0 && len(r.tolls) <= mostInPiece {
		if rarest := r.tolls[r.rarest].rule; l.meterAt(rarest, *of) == nil {
			return newPiece(rarest.Window, len(r.tolls))
		}
	}
	switch len(r.tolls) {
	case 1:
		one := new(struct {
			path
			charges [1]charge
		})
		one.path.charges = one.charges[:]
		return &one.path, nil
	case 2:
		two := new(struct {
			path
			charges [2]charge
		})
		two.path.charges = two.charges[:]
		return &two.path, nil
	}
	return &path{charges: make([]charge, len(r.tolls))}, nil
}

// mostInPiece is how many charges fit into a piece of memory with their path. Hardly any
// route has more.
const mostInPiece = 2

// newPiece makes a path with so many charges and a meter with its window, which begins
// later; for no charges the meter alone.
func newPiece(kind Window, charges int) (*path, *meter) {
	switch kind {
	case Fixed:
		return pieceWith[fixed](charges)
	case FixedFromFirst:
		return pieceWith[fromFirst](charges)
	case Leaky:
		return pieceWith[leaky](charges)
	case Concurrency:
		return pieceWith[concurrency](charges)
	case Lifetime:
		return pieceWith[lifetime](charges)
	}
	return pieceWith[sliding](charges)
}

// metered is a meter with its window.
type metered[W any] struct {
	meter  meter
	window W
}

func pieceWith[W any, P interface {
	*W
	window
}](charges int) (p *path, m *meter) {
	var with *metered[W]
	switch charges {
	case 0:
		with = new(metered[W])
	case 1:
		one := new(struct {
			path    path
			charges [1]charge
			metered[W]
		})
		p, with = &one.path, &one.metered
		p.charges = one.charges[:]
	default:
		two := new(struct {
			path    path
			charges [mostInPiece]charge
			metered[W]
		})
		p, with = &two.path, &two.metered
		p.charges = two.charges[:charges]
	}
	with.meter.window = P(&with.window)
	return p, &with.meter
}
