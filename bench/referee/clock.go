package referee

import "time"

// clock is the server's: at the start of the world it is ahead of the client's by
// offset, and it gains ppm microseconds in every second.
type clock struct {
	start  time.Time
	offset time.Duration
	ppm    int64
}

// read returns the server's Unix time at an instant of the world, which is the
// client's time since the start.
func (c clock) read(at time.Duration) time.Duration {
	// Divided before it is multiplied: a world may last for days.
	gained := at/1_000_000*time.Duration(c.ppm) + at%1_000_000*time.Duration(c.ppm)/1_000_000
	return time.Duration(c.start.UnixNano()) + c.offset + at + gained
}

// date returns what a Date header says at an instant of the world.
func (c clock) date(at time.Duration) time.Time { return time.Unix(0, int64(c.read(at))).UTC() }
