package scale

// The sizes of bodies.
const (
	kb = 1 << 10
	mb = 1 << 20
)

const (
	microsecond = 1.0 // what costs are told in
	millisecond = 1000 * microsecond
)

// Curves returns all curves, with their bars: what each figure should be.
func Curves() []Curve {
	all := waitingCurves()
	all = append(all, requestCurves()...)
	all = append(all, bodyCurves()...)
	return append(all, standingCurves()...)
}

func waitingCurves() []Curve {
	return []Curve{
		{
			Name: "ledger-keys", Title: "Keys that wait, in the ledger alone", Grows: "keys, each waiting at a limit of its own",
			Unit: "grant", Against: "1 key", Base: 1,
			Points: []int{100, 1000, 10_000, 100_000}, Quick: []int{100},
			Bars: []Bar{{X: 100_000, Of: Cost, Most: 1 * microsecond}},
			open: openLedgerKeys,
		},
		{
			Name: "keys", Title: "Keys that wait, through the engine", Grows: "callers, each waiting at the limit of a key of its own",
			Unit: "request", Against: "as many callers at one key, at the same rate",
			Points: []int{100, 1000, 10_000, 100_000}, Quick: []int{100},
			Bars: []Bar{
				{X: 100_000, Of: More, Most: 2 * microsecond},
				{X: 100_000, Of: Rate, Least: 0.99},
			},
			server: true, takes: keysTake, open: openWaitingKeys,
		},
		{
			Name: "heavy", Title: "A heavy request at a full window, in the ledger alone", Grows: "weight of the request",
			Unit: "try", Against: "a weight of 1", Base: 1,
			Points: []int{100, 10_000, 30_000}, Quick: []int{100},
			open: openHeavy,
		},
	}
}

func requestCurves() []Curve {
	return []Curve{
		{
			Name: "limits", Title: "Limits in the table", Grows: "limits, of which a request charges two",
			Unit: "request", Against: "10 limits", Base: 10,
			Points: []int{1000, 10_000, 100_000}, Quick: []int{1000},
			Bars:   []Bar{{X: 100_000, Of: Ratio, Most: 1.03}},
			server: true, open: openLimits,
		},
		{
			Name: "callers", Title: "Callers on 64 connections", Grows: "callers",
			Unit: "request", Against: "64 callers", Base: few,
			Points: []int{512, 4000, 10_000, 32_000}, Quick: []int{512},
			Bars: []Bar{
				{X: 10_000, Of: Throughput, Least: 0.88},
				{X: 32_000, Of: Ratio, Most: 1.5},
			},
			server: true, open: openCallers,
		},
		{
			Name: "connections", Title: "Connections, a caller on each", Grows: "connections",
			Unit: "request", Against: "64 connections, and over fasthttp's own growth", Base: few,
			Points: []int{256, 1024}, Quick: []int{128},
			Bars:   []Bar{{X: 1024, Of: Ratio, Most: 1.05}},
			server: true, peer: true, open: openConnections,
		},
		{
			Name: "origins", Title: "Origins, asked in turn", Grows: "origins",
			Unit: "request", Against: "1 origin", Base: 1,
			Points: []int{10, 100, 1000}, Quick: []int{10},
			Bars:   []Bar{{X: 1000, Of: Ratio, Most: 1.25}},
			server: true, open: openOrigins,
		},
	}
}

func bodyCurves() []Curve {
	sizes, quick := []int{64 * kb, 256 * kb, mb, 8 * mb}, []int{64 * kb}
	received := Curve{
		Name: "received", Title: "Bodies received", Grows: "bytes of the answer's body",
		Unit: "request", Against: "bare fasthttp", Points: sizes, Quick: quick,
		sizes: true, server: true, open: openReceived,
	}
	sent := received
	sent.Name, sent.Title, sent.Grows, sent.open = "sent", "Bodies sent", "bytes of the request's body", openSent
	for _, x := range sizes {
		bars := []Bar{{X: x, Of: Ratio, Most: 1.05}, {X: x, Of: PerByte, Most: 1.1}}
		received.Bars = append(received.Bars, bars...)
		sent.Bars = append(sent.Bars, bars...)
	}
	read := Curve{
		Name: "feedback", Title: "Answers read for what they say of limits", Grows: "bytes of the answer's body",
		Unit: "request", Against: "the same, without a reader for the exchange",
		Points: []int{len(smallest), 4 * kb, 60 * kb}, Quick: []int{len(smallest)},
		Bars: []Bar{
			{X: 4 * kb, Of: Ratio, Most: 1.04},
			{X: 60 * kb, Of: Ratio, Most: 1.08},
		},
		sizes: true, server: true, open: openFeedback,
	}
	return []Curve{read, received, sent}
}

func standingCurves() []Curve {
	waiting := []Bar{{X: 10_000, Of: Cost, Most: 4.5 * kb}}
	return []Curve{
		{
			Name: "new", Title: "New and Close", Grows: "limits in the table",
			Unit: "engine", Against: "1 limit", Base: 1,
			Points: []int{10, 1000, 10_000, 100_000}, Quick: []int{10},
			Bars: []Bar{
				{X: 1, Of: Cost, Most: 0.5 * millisecond},
				{X: 1, Of: Allocated, Most: 300 * kb},
				{X: 100_000, Of: Cost, Most: 150 * millisecond},
			},
			open: openNew,
		},
		{
			Name: "idle-keys", Title: "Memory of a key that was not used for ten windows", Grows: "keys",
			Unit: "key", Against: "1,000 keys", Base: 1000,
			Points: []int{10_000, 100_000}, Quick: []int{2000},
			Bars:   []Bar{{X: 100_000, Of: Cost, Most: 300}},
			memory: true, fresh: true, open: openIdleKeys,
		},
		{
			Name: "used-keys", Title: "Memory of a key that was used a moment ago", Grows: "keys",
			Unit: "key", Against: "1,000 keys", Base: 1000,
			Points: []int{10_000, 100_000}, Quick: []int{2000},
			memory: true, fresh: true, open: openUsedKeys,
		},
		{
			Name: "waiting", Title: "Memory of a caller waiting in Do for a limit", Grows: "callers",
			Unit: "caller", Against: "100 callers", Base: 100,
			Points: []int{1000, 10_000}, Quick: []int{500},
			Bars: waiting, memory: true, fresh: true, open: openWaiting,
		},
		{
			Name: "pending", Title: "Memory of a caller waiting in Do for a connection", Grows: "callers",
			Unit: "caller", Against: "1,000 callers", Base: 1000, // fewer share what 64 dials hold
			Points: []int{10_000}, Quick: []int{2000},
			Bars: waiting, memory: true, fresh: true, open: openPending,
		},
	}
}
