package exchange

// Outcomes are of requests that were executed and whose clients were not told: a fault answered
// otherwise, or not at all.
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
// Invariant: known has the last effects that were executed, at most so many, those in the ring;
// true says that the client does not know.
type outcomes struct {
	Outcomes
	known map[effect]bool
	ring  []effect
	next  int
	most  int
}

func newOutcomes() *outcomes { return &outcomes{known: map[effect]bool{}, most: keptIDs} }

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
	o.known[done] = false
}

// hidden says that the client is not told what a call did.
func (o *outcomes) hidden(c *call) {
	o.Unknown += max(1, int64(len(c.effects)))
	for _, done := range c.effects {
		if _, is := o.known[done]; is {
			o.known[done] = true
		}
	}
}

// repeated says whether what a call asks for was done before. A client that knows so has no
// reason to ask again.
func (o *outcomes) repeated(c *call, scope, id string) bool {
	done := c.effect(scope, id)
	unknown, before := o.known[done]
	switch {
	case unknown:
		o.Repeated++
		o.known[done] = false
		c.effects = append(c.effects, done) // it may be hidden again
	case before:
		c.duplicate = id
	}
	return before
}

// asked says that the client is told about an effect.
func (o *outcomes) asked(c *call, scope, id string) {
	done := c.effect(scope, id)
	if o.known[done] {
		o.Asked++
		o.known[done] = false
	}
}

// repeatedOrder says that an order came again. Whether the exchange refuses it or executes it
// twice does not depend on what the client knew.
func (o *outcomes) repeatedOrder(c *call, again *order) {
	done := c.effect(again.Symbol, again.ClientOrderID)
	if o.known[done] {
		o.Repeated++
		o.known[done] = false
	}
}
