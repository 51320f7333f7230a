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
		p = new(path)
		p.charges = p.sole[:]
	case 2:
		two := new(struct {
			path
			charges [2]charge
		})
		p = &two.path
		p.charges = two.charges[:]
	default:
		p = &path{charges: make([]charge, len(r.tolls))}
	}
	return p, nil
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

func pieceWith[W any, P interface {
	*W
	window
}](charges int) (p *path, m *meter) {
	switch charges {
	case 0:
		alone := new(struct {
			meter  meter
			window W
		})
		alone.meter.window = P(&alone.window)
		return nil, &alone.meter
	case 1:
		one := new(struct {
			path   path
			window W
		})
		p, one.path.rarest.window = &one.path, P(&one.window)
		p.charges = p.sole[:]
	default:
		two := new(struct {
			path    path
			window  W
			charges [mostInPiece]charge
		})
		p, two.path.rarest.window = &two.path, P(&two.window)
		p.charges = two.charges[:charges]
	}
	return p, &p.rarest
}
