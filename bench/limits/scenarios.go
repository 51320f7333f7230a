package limits

import (
	"fmt"
	"slices"
	"time"
)

// scenarios lists all, in the order of the tables.
func scenarios() []scenario {
	var all []scenario
	all = append(all, slidingScenarios()...)
	all = append(all, alignedScenarios()...)
	all = append(all, leakyScenarios()...)
	all = append(all, urgentScenario(), heavyScenario(), sharedScenario(), lostScenario())
	return all
}

// slidingScenarios vary what an answer tells and how long the window is.
func slidingScenarios() []scenario {
	ten := rule{counting: Sliding, quota: 10, per: time.Second}
	make := func(name, tells string, r rule, windows int, least float64, change func(*setup)) scenario {
		return scenario{
			name: name, tells: tells, windows: windows, runs: gridRuns, clients: Clients(),
			goal: goal{utilisation: least},
			setup: func(windows int) *setup {
				s := endless(r, Uniform, windows)
				change(s)
				return s
			},
		}
	}
	return []scenario{
		make("sliding-10", "10 a second, 5 to 50 ms each way, timestamps in answers", ten, 300, 0.96, func(*setup) {}),
		make("sliding-10-undated", "the same without timestamps", ten, 300, 0.947, func(s *setup) { s.stamp = 0 }),
		make("sliding-10-floor", "the same without timestamps, but with a known least round trip of 10 ms", ten, 300, 0.955,
			func(s *setup) { s.stamp, s.rttFloor = 0, 10*time.Millisecond }),
		make("sliding-100", "100 in 10 s, timestamps in answers",
			rule{counting: Sliding, quota: 100, per: 10 * time.Second}, 60, 0.995, func(*setup) {}),
		make("sliding-1200", "1200 a minute, timestamps in answers",
			rule{counting: Sliding, quota: 1200, per: time.Minute}, 20, 0.9985, func(*setup) {}),
	}
}

// alignedScenarios vary how well the server's clock is known.
func alignedScenarios() []scenario {
	var all []scenario
	for _, clockError := range []time.Duration{time.Millisecond, 100 * time.Millisecond, 400 * time.Millisecond} {
		all = append(all, scenario{
			name:    fmt.Sprintf("fixed-10-clock-%v", clockError),
			tells:   fmt.Sprintf("10 in each second of the server's clock, which is known to ±%v, 5 to 50 ms each way", clockError),
			windows: 300, runs: gridRuns, clients: []Client{Sluice}, goal: goal{utilisation: 0.9999},
			setup: func(windows int) *setup {
				s := endless(rule{counting: Fixed, quota: 10, per: time.Second}, Uniform, windows)
				s.clockError = clockError
				return s
			},
		})
	}
	return all
}

// leakyScenarios have buckets as small as a round trip allows, and Kraken's.
func leakyScenarios() []scenario {
	var all []scenario
	add := func(name, tells string, r rule, n Network, windows int, least float64) {
		clients := Clients()
		if r.quota == 1 {
			clients = without(clients, Reference) // 95 % of 1 is nothing: it waits for ever
		}
		all = append(all, scenario{
			name: name, tells: tells, windows: windows, runs: gridRuns, clients: clients, goal: goal{utilisation: least},
			setup: func(windows int) *setup { return endless(r, n, windows) },
		})
	}
	small := rule{counting: Token, quota: 10, per: time.Second, burst: 2}
	add("token-burst-2-uniform", "a bucket of 2, refilled with 10 a second, 5 to 50 ms each way", small, Uniform, 300, 0.999)
	add("token-burst-2-lognormal", "the same with heavy tails", small, Lognormal, 300, 0.997)
	add("decaying-20", "a counter up to 20 that falls by 1 a second, 5 to 50 ms each way",
		rule{counting: Decaying, quota: 1, per: time.Second, burst: 20}, Uniform, 1000, 0.999)
	return all
}

func without(clients []Client, unwanted Client) []Client {
	return slices.DeleteFunc(clients, func(c Client) bool { return c == unwanted })
}

// urgentScenario is an order that wants to leave while bulk work takes all.
func urgentScenario() scenario {
	return scenario{
		name:    "urgent-beside-bulk",
		tells:   "1200 in each minute of the server's clock, bulk work without end, a tenth urgent; bulk work is paced",
		windows: 40, runs: gridRuns, clients: Clients(),
		goal: goal{utilisation: 0.998, flow: "urgent", mean: time.Millisecond, most: 50 * time.Millisecond},
		setup: func(windows int) *setup {
			s := endless(rule{counting: Fixed, quota: 1200, per: time.Minute}, Uniform, windows)
			s.flows = append(s.flows, flow{name: "urgent", charges: []charge{{0, 1}}, priority: 10, gap: 500 * time.Millisecond})
			s.options = pacedOptions()
			return s
		},
	}
}

// heavyScenario is a request of weight 40 among many light ones. All charge a
// shared pool and each an endpoint's own limit. Whatever the order, the
// endpoints together take 34.5 of the pool's 20 a second, so that a limiter that
// does not spread them is out of quota for 25.2 s of every minute.
func heavyScenario() scenario {
	return scenario{
		name:    "heavy-among-light",
		tells:   "1200 weight a minute, shared by two endpoints that always have 30 waiting (weights 1 and 2), one of weight 40 every 10 s and a rare one; 10 a second for each",
		windows: 30, runs: gridRuns, clients: Clients(),
		goal: goal{utilisation: 0.98, flow: "heavy", p99: 25 * time.Second},
		setup: func(windows int) *setup {
			s := endless(rule{counting: Sliding, quota: 1200, per: time.Minute}, Uniform, windows)
			s.flows = nil
			for i, f := range []flow{
				{name: "light", charges: []charge{{0, 1}}, backlog: heavyBacklog},
				{name: "light-2", charges: []charge{{0, 2}}, backlog: heavyBacklog},
				{name: "heavy", charges: []charge{{0, 40}}, gap: 10 * time.Second, steady: true},
				{name: "rare", charges: []charge{{0, 1}}, gap: 2 * time.Second},
			} {
				s.rules = append(s.rules, rule{id: "endpoint " + f.name, counting: Sliding, quota: 10, per: time.Second})
				f.charges = append(f.charges, charge{i + 1, 1})
				s.flows = append(s.flows, f)
			}
			return s
		},
	}
}

const heavyBacklog = 30

const sharedKey = "shared-key"

// sharedScenario is somebody else who spends from the same limit unasked.
func sharedScenario() scenario {
	return scenario{
		name:    sharedKey,
		tells:   "1200 in each minute of the server's clock; somebody else, unlimited, wants a tenth; answers say how much is used",
		windows: 40, runs: gridRuns, clients: Clients(),
		goal: goal{utilisation: 0.995},
		setup: func(windows int) *setup {
			s := endless(rule{counting: Fixed, quota: 1200, per: time.Minute}, Uniform, windows)
			s.flows = append(s.flows, flow{name: "others", charges: []charge{{0, 1}}, gap: 500 * time.Millisecond, foreign: true})
			s.headers = true
			s.shared = 0.1
			s.options = pacedOptions()
			return s
		},
	}
}

// lostScenario is a network that loses requests, loses answers, and brings
// requests long after they were given up.
func lostScenario() scenario {
	return scenario{
		name:    "lost-answers",
		tells:   "10 a second, sliding; of 100 requests one never arrives, one is never answered and one arrives up to 6 s after the 2 s timeout",
		windows: 600, runs: gridRuns, clients: Clients(),
		goal: goal{utilisation: 0.75},
		setup: func(windows int) *setup {
			s := endless(rule{counting: Sliding, quota: 10, per: time.Second}, Uniform, windows)
			s.losses = losses{out: 0.01, home: 0.01, late: 0.01, timeout: 2 * time.Second, latest: 6 * time.Second}
			s.maxDelay = 6100 * time.Millisecond
			return s
		},
	}
}
