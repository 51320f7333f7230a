package feedback

// mostCounters is how many headers are looked up together with Age and Date.
const mostCounters = 3

// counters are headers that tell what is used, each of one limit, and nothing else.
// Nearly every answer of an exchange has them, and says nothing besides: so they are found
// in one pass, where the answer's Header can do that.
type counters struct {
	limits []string                 // ids, no more than mostCounters
	names  [mostCounters + 2]string // of their headers, and at the end Age and Date
}

// multiple is a Header that finds several lines in one pass.
type multiple interface {
	// Lookup returns what Get does for each of the names, and "" for an empty one. It
	// does not keep the pointer.
	Lookup(names *[mostCounters + 2]string) (values [mostCounters + 2]string)
}

// countersOf returns what reads the usage that headers describe by their Used alone.
func countersOf(usage []HeaderUsage) *counters {
	c := &counters{names: [...]string{mostCounters: "Age", "Date"}}
	for i, h := range usage {
		c.limits, c.names[i] = append(c.limits, h.Limit), h.Used
	}
	return c
}

// read returns the usage that an answer tells.
func (c *counters) read(a *Answer) []Usage {
	if h, ok := a.Header.(multiple); ok {
		told := h.Lookup(&c.names)
		return c.usage(a, &told)
	}
	var told [len(c.names)]string
	for i, name := range c.names {
		if name != "" {
			told[i] = a.Header.Get(name)
		}
	}
	return c.usage(a, &told)
}

// usage is what the values of the headers tell.
func (c *counters) usage(a *Answer, told *[mostCounters + 2]string) []Usage {
	var used [mostCounters]int64
	found := 0
	for i := range c.limits {
		if used[i] = count(told[i]); used[i] >= 0 {
			found++
		}
	}
	if found == 0 {
		return nil
	}
	at := dated(told[mostCounters], told[mostCounters+1])
	all := make([]Usage, found)
	next := 0
	for i, limit := range c.limits {
		if used[i] < 0 {
			continue
		}
		u := &all[next] // written field by field where it stays: a copy would wait for all of them
		u.Limit, u.Key, u.Used, u.Remaining, u.At = limit, a.Key, used[i], -1, at
		next++
	}
	return all
}
