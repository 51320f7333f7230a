package exchange

// Outcomes are of requests that were executed and whose clients were not told: a fault answered
// otherwise, not at all or in part, or the client had gone before the answer was written whole.
type Outcomes struct {
	Unknown int64 `json:"unknown"` // that change something, and were executed and not answered
	// Asked is how many of them the client looked up afterwards by their id, and Repeated how
	// many it sent again with the same. What is neither was left in doubt, or had no id.
	Asked    int64 `json:"asked"`
	Repeated int64 `json:"repeated"`
}

// keptIDs is how many ids of requests that were executed are remembered.
const keptIDs = 1 << 18

// effect is something that was done once, named by an id of the client's.
type effect struct{ account, scope, id string }

// outcomes is what is known of effects: guarded by the exchange's mutex.
//
// Invariant: known has the last effects that were executed, at most so many, those in the ring.
// Open has the first call that is under way for each effect of which nobody was told yet.
type outcomes struct {
	Outcomes
	known map[effect]knowledge
	open  map[effect]*call
	ring  []effect
	next  int
	most  int
}

// knowledge is what the client knows of an effect.
type knowledge uint8

const (
	underWay knowledge = iota // its answer is
	known                     // it was told
	unknown                   // it was not
)

func newOutcomes() *outcomes {
	return &outcomes{known: map[effect]knowledge{}, open: map[effect]*call{}, most: keptIDs}
}

func (c *call) effect(scope, id string) effect {
	owner := c.client
	if c.owner != nil {
		owner = c.owner.Key
	}
	return effect{owner, scope, id}
}

// executed remembers what a call did.
func (o *outcomes) executed(c *call, scope, id string) {
	done := c.effect(scope, id)
	c.effects = append(c.effects, done)
	if _, is := o.known[done]; is {
		return
	}
	if len(o.ring) < o.most {
		o.ring = append(o.ring, done)
	} else {
		delete(o.known, o.ring[o.next])
		o.ring[o.next] = done
		o.next = (o.next + 1) % o.most
	}
	o.known[done] = underWay
	o.open[done] = c
}

// told says that the client is told what a call did.
func (o *outcomes) told(c *call) {
	for _, done := range c.effects {
		o.become(c, done, known)
	}
}

// hidden says that the client is not told what a call did. What it was told meanwhile, it knows.
func (o *outcomes) hidden(c *call) {
	if c.changed {
		o.Unknown += max(1, int64(len(c.effects)))
		o.Repeated += int64(len(c.repeats))
	}
	for _, done := range c.effects {
		if o.known[done] == known {
			o.become(c, done, known)
		} else {
			o.become(c, done, unknown)
		}
	}
}

// become says what is known of an effect now that a call is settled.
func (o *outcomes) become(c *call, done effect, is knowledge) {
	if o.open[done] == c {
		delete(o.open, done)
	}
	if _, kept := o.known[done]; kept {
		o.known[done] = is
	}
}

// repeated says whether what a call asks for was done before. A client that knows so has no
// reason to ask again.
func (o *outcomes) repeated(c *call, scope, id string) bool {
	done := c.effect(scope, id)
	is, before := o.known[done]
	switch {
	case !before:
	case is == known:
		c.duplicate = id
	case is == unknown:
		o.Repeated++
		o.known[done], o.open[done] = underWay, c
		c.effects = append(c.effects, done) // it may be hidden again
	case o.open[done] != nil:
		first := o.open[done]
		first.repeats = append(first.repeats, c) // what it is depends on what becomes of the first
		c.effects = append(c.effects, done)
	}
	return before
}

// asked says that the client is told about an effect.
func (o *outcomes) asked(c *call, scope, id string) {
	done := c.effect(scope, id)
	if o.known[done] == unknown {
		o.Asked++
		o.known[done] = known
	}
}

// repeatedOrder says that an order came again. Whether the exchange refuses it or executes it
// twice does not depend on what the client knew.
func (o *outcomes) repeatedOrder(c *call, again *order) {
	done := c.effect(again.Symbol, again.ClientOrderID)
	if o.known[done] == unknown {
		o.Repeated++
		o.known[done] = known
	}
}
