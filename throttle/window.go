package throttle

import "time"

// window is the arithmetic of one quota: how much of it may be granted now,
// and when more. `now` never decreases from call to call.
//
// Every window counts a request from its grant to its answer as in flight, for
// it may arrive, and be counted by the server, at any instant between them.
type window interface {
	// room is the weight that may be granted now; it may be negative. While
	// nothing else happens it never falls with time, but for a limit that is
	// shared with others, who may be spending from it.
	room(now time.Duration) int64
	// when returns the first instant from now on at which room would be w, if
	// flying were the weight in flight and nothing else happened, or never.
	when(now time.Duration, w, flying int64) time.Duration
	// inFlight is the weight granted and not settled.
	inFlight() int64

	// grant puts w in flight. The caller has asked room, or must grant anyway.
	grant(now time.Duration, w int64)
	// abort takes back w that never left.
	abort(w int64)
	// settle turns w in flight into w answered, and returns the first instant
	// at which that alone can make room or make `when` earlier.
	settle(w int64, a answer) time.Duration

	// burden counts w that others spent, as if it had been answered now.
	burden(now time.Duration, w int64)
	// relieve takes back up to w of what was answered.
	relieve(now time.Duration, w int64)
	// sync takes note that the server counted used: in the window that holds
	// the server time start, or, if that is zero, in the present one. It never
	// makes room.
	sync(now time.Duration, used int64, start time.Duration)
	// fill takes all the room there is, as if it were answered now.
	fill(now time.Duration)

	// begin makes a zero window a new one under terms.
	begin(t *terms)
	// idle reports whether a new window would grant the same, from now on, as one that
	// has nothing in flight.
	idle(now time.Duration) idleness

	// resize goes over to new terms of the same kind.
	resize(now time.Duration, d *terms)
}

// answer is what an answer tells about when its request arrived.
type answer struct {
	at    time.Duration // after this the request cannot arrive
	real  bool          // it did arrive; not so if a lost request's time is merely up
	sent  time.Duration // the request was not sent before that instant
	by    time.Duration // server time by which it had arrived; valid if dated
	dated bool
}

// terms are what a window of any kind needs to know of its limit, with share,
// margin and clock rate already in them.
type terms struct {
	quota      int64         // capacity of Leaky, less one step if it falls in steps
	per        time.Duration // as the server measures it
	hold       time.Duration // a span of our clock that lasts at least per on the server's
	short      time.Duration // a span of our clock that lasts at most per on the server's
	rttFloor   time.Duration
	grid       grid          // of a Fixed one: per is at least its longest window
	top        int64         // capacity of a Leaky one as the server has it
	step       int64         // of a Leaky one: what it falls by in every tick, rounded up; zero if it falls all the time
	rate       int64         // of a Leaky one: what it falls by in every drain
	drain      time.Duration // of a Leaky one: a span of our clock
	maxDelay   time.Duration
	closeDelay time.Duration
	shared     bool    // others are known to spend from the same quota
	others     float64 // the part of the quota others are expected to spend at first
	clock      *serverClock
}

func newWindow(kind Window, t *terms) window {
	_, m := newPiece(kind, 0)
	m.window.begin(t)
	return m.window
}
