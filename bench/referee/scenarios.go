package referee

import (
	"math/rand/v2"
	"time"
)

// odds are chances in 10,000.
type odds int

func (o odds) draws(rng *rand.Rand) bool { return o > 0 && rng.IntN(10_000) < int(o) }

// manners are how often a host does what to a request or a connection.
type manners struct {
	silent  odds // reads it, and never answers
	shuts   odds // reads it, and closes or resets the connection
	cuts    odds // breaks off within its answer
	proxied odds // closes, and counts it up to a second later
	stuck   odds // takes half of it or nothing, and resets
	slow    odds // says the body in pieces, over seconds

	refuses   odds // 429 or 418
	busy      odds // 503
	redirects odds // 307
	rejects   odds // 422

	lastAnswer odds // closes after the answer, and says so
	hints      odds // says when it will close, and does
	tires      odds // closes soon, and says nothing
}

// habits are how often callers do what.
type habits struct {
	cancels odds // at any stage
	hurried odds // with a timeout that may be too short
	once    odds // not idempotent
	streams odds // some of which they do not read to the end
	signed  odds
	free    odds // without a limit
	apart   odds // charged to the limit that has nothing to do with the others
	keyed   odds
	heavy   odds
	away    odds // to another host
	repeats odds // what is in doubt is repeated all the same

	dawdles bool // signing takes its time
	ranked  bool // of all priorities
}

// scenario is what a world is like.
type scenario struct {
	name  string
	about string
	// known says why the engine breaks promises here, as is known: the scenario is
	// played only if it is asked for by name.
	known string
	manners
	habits
	lag     func(*rand.Rand) time.Duration
	callers int
	conns   int // at most so many; drawn from 1 on
	rate    int64
	hosts   int
	graves  []grave // of the hosts, in order
	kinds   []kind  // all, if nil

	warm     bool // there are connections for all callers before they begin
	blind    bool // nobody can see whether a connection is silent
	timeless bool // the server's clock is not read
	replaces bool // limits are replaced at random
	byHand   bool // scopes are paused and resumed by hand
	early    bool // what is written after a limit was replaced is judged by the new one, whenever it was granted
	tardy    bool // refusals are said slowly too
	strict   bool // what is open is open until the server hears that it is not
	closes   bool // the engine is closed, or shut down, in the middle
	share    int  // it takes so much longer than others that it gets so much less; zero is one
	measured bool // there is always demand, and what is used of the quota is judged
}

// usual is what most scenarios have in common.
var usual = scenario{
	lag: jittery, callers: 96, conns: 64, hosts: 1,
	habits: habits{once: 3000, keyed: 2000, heavy: 1500, apart: 500},
}

// like returns the usual scenario with something changed.
func like(name, about string, change func(*scenario)) scenario {
	s := usual
	s.name, s.about = name, about
	change(&s)
	return s
}

var scenarios = []scenario{
	like("demand", "callers without end, and what is used of the quota", func(s *scenario) {
		s.measured, s.habits = true, habits{}
		s.rate, s.callers = 100, 128
	}),
	like("ten a second", "the same for limits that are small beside the round trip", func(s *scenario) {
		s.measured, s.habits = true, habits{}
		s.rate, s.callers, s.share = 10, 32, 4
		s.kinds = timed
	}),
	like("jitter", "1 to 80 ms both ways, and stalls of seconds", func(s *scenario) {
		s.lag, s.tires = stalling, 50
	}),
	like("lost", "answers that never come, and requests that come later", func(s *scenario) {
		s.silent, s.shuts, s.cuts, s.proxied, s.stuck = 40, 100, 100, 100, 50
		s.hurried, s.repeats = 1500, 5000
	}),
	like("quitters", "callers that give up and cancel, at every stage", func(s *scenario) {
		s.cancels, s.hurried, s.signed, s.dawdles, s.streams, s.slow = 3000, 2000, 3000, true, 1000, 300
		s.conns, s.lag = 12, stalling
	}),
	like("replaced", "limits that are lowered, raised and of another kind", func(s *scenario) {
		s.replaces, s.kinds, s.warm, s.callers = true, timed, true, 60
	}),
	like("refused", "refusals in every spelling, of requests in every stage", func(s *scenario) {
		s.refuses, s.busy, s.free, s.apart, s.hosts, s.away = 30, 15, 1000, 1500, 2, 2000
		s.slow, s.signed, s.dawdles, s.streams, s.cancels = 200, 2000, true, 500, 500
		s.callers, s.conns, s.cuts = 160, 16, 100
	}),
	like("connections", "few of them, closed at random, with and without a word", func(s *scenario) {
		s.lastAnswer, s.hints, s.tires, s.rejects = 500, 500, 500, 200
		s.conns, s.lag = 8, brisk
	}),
	like("blind", "connections that tell nobody whether they are silent", func(s *scenario) {
		s.blind, s.tires, s.lag = true, 300, brisk
	}),
	like("graves", "dead origins beside a healthy one, under one limit", func(s *scenario) {
		s.hosts, s.graves, s.away, s.hurried = 4, []grave{lives, hangs, refuses, moribund}, 3000, 1000
		s.callers = 200
	}),
	like("ranks", "priorities and deadlines", func(s *scenario) {
		s.ranked, s.hurried, s.conns = true, 4000, 16
	}),
	like("streams", "bodies that are read as they come, or not to their end", func(s *scenario) {
		s.streams, s.hurried, s.cancels, s.slow = 5000, 1000, 500, 300
	}),
	like("redirects", "redirects and signatures, by the server's clock", func(s *scenario) {
		s.redirects, s.signed, s.repeats = 2000, 5000, 3000
		s.lag, s.dawdles = stalling, true
	}),
	like("by hand", "pauses that are made and ended by hand", func(s *scenario) {
		s.byHand, s.free, s.apart, s.conns = true, 1000, 1500, 12
	}),
	like("timeless", "without the server's clock", func(s *scenario) {
		s.timeless, s.shuts, s.hurried = true, 50, 300
	}),
	like("closing", "the engine is closed while everybody is at it", func(s *scenario) {
		s.closes, s.cancels, s.streams, s.signed, s.dawdles, s.slow = true, 500, 1000, 2000, true, 300
		s.shuts, s.tires, s.conns = 50, 100, 12
		s.hosts, s.graves, s.away = 2, []grave{lives, moribund}, 1000
	}),
	like("everything", "all of it at once", func(s *scenario) {
		s.manners = manners{silent: 10, shuts: 50, cuts: 50, proxied: 30, stuck: 30, slow: 50, refuses: 8, busy: 8,
			redirects: 300, rejects: 100, lastAnswer: 100, hints: 100, tires: 100}
		s.habits = habits{cancels: 500, hurried: 500, once: 3000, streams: 500, signed: 1500, free: 300, apart: 500,
			keyed: 2000, heavy: 1500, away: 1000, repeats: 3000, dawdles: true, ranked: true}
		s.lag, s.conns, s.hosts, s.graves = stalling, 32, 3, []grave{lives, moribund, lives}
		s.replaces, s.byHand, s.kinds = true, true, timed
	}),
	like("hung up", "bodies that nobody wants any more, where open requests are counted", func(s *scenario) {
		s.streams, s.hurried, s.cancels, s.slow, s.strict, s.kinds = 5000, 1000, 500, 300, true, []kind{concurrent}
	}),
	like("replaced early", "limits that are lowered while permits wait for connections", func(s *scenario) {
		s.replaces, s.kinds, s.conns, s.early = true, timed, 4, true
	}),
	like("tardy refusals", "refusals whose bodies come seconds after their heads", func(s *scenario) {
		s.known = "where the length of a pause stands in a body alone, requests leave one by one from the least pause on until it has come"
		s.refuses, s.busy, s.slow, s.tardy, s.callers = 30, 15, 3000, true, 160
	}),
}

// played returns the kinds that a scenario is played with.
func (s *scenario) played() []kind {
	if s.kinds != nil {
		return s.kinds
	}
	all := make([]kind, kinds)
	for k := range kinds {
		all[k] = k
	}
	return all
}
