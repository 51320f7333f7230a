package actors

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/pool"
	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
)

// parkedOne is who a submitted request is told to.
type parkedOne struct {
	asked    *messages.Request
	ended    atomic.Int64
	response *messages.Response
	err      error
}

func (p *parkedOne) Request() *messages.Request { return p.asked }
func (p *parkedOne) DefaultLimitID() string     { return messages.Unlimited }
func (p *parkedOne) Withdraw() bool             { return false }
func (p *parkedOne) Standby() request.Standby   { return nil }
func (p *parkedOne) Ended(response *messages.Response, _ *request.Stream, err error, _ bool) {
	p.response, p.err = response, err
	p.ended.Add(1)
}

// Throttler and pool fail again and again while requests are parked, carried, handed over,
// cancelled and late: each ends once, and nothing stays with either.
func TestRequestsOutliveTheFailuresOfThrottlerAndPool(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			draw := rand.New(rand.NewPCG(seed, 3))
			o := &origin{answer: 100 * time.Millisecond}
			s := start(t, o, Config{
				CreditReturned: func() {},
				Limits:         []throttle.Limit{{ID: "calls", Quota: 3, Per: time.Second}},
				Pool:           pool.Config{MaxConns: 2, MaxWaiters: 1000, IdleTimeout: time.Minute, MaxTotal: 1 + draw.IntN(2)},
			})
			ctx, cancel := context.WithCancel(t.Context())
			var all []*parkedOne
			var ways []*request.Parked
			for range 90 {
				one := &parkedOne{asked: &messages.Request{Method: "POST", Path: "/", LimitID: []string{"calls", messages.Unlimited}[draw.IntN(2)], Priority: messages.Priority(draw.IntN(3))}}
				var until time.Time
				if draw.IntN(3) == 0 {
					until = time.Now().Add(time.Duration(draw.IntN(10_000)) * time.Millisecond)
				}
				under := t.Context()
				if draw.IntN(3) == 0 {
					under = ctx
				}
				all = append(all, one)
				terms := &request.Terms{Deadline: until, LimitID: messages.Unlimited}
				switch way := draw.IntN(3); {
				case way == 1:
					go func() {
						response, stream, err := s.Carry(under, one.asked, terms)
						one.Ended(response, stream, err, true)
					}()
				case way == 2:
					go func() {
						response, err := s.HandOver(under, one.asked, terms)
						one.Ended(response, nil, err, true)
					}()
				default:
					p := s.Park(under, one, until, messages.Unlimited, nil)
					p.Begin()
					ways = append(ways, p)
				}
				switch draw.IntN(6) {
				case 0:
					failThrottler(s)
				case 1:
					if door := s.enterPool(s.config.Request.Base.Origin, ""); door != nil {
						door.Tell(protocol.DescribePool{Owner: breaking{}})
						door.Leave()
					}
				case 2:
					if len(ways) == 0 {
						continue
					}
					go ways[draw.IntN(len(ways))].Cancel()
				case 3:
					time.Sleep(time.Duration(draw.IntN(300)) * time.Millisecond)
				}
			}
			failThrottler(s)
			cancel()
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			require.Positive(t, s.Totals().Restarts)
			done := 0
			for _, one := range all {
				require.EqualValues(t, 1, one.ended.Load(), "ends once")
				require.True(t, (one.response == nil) != (one.err == nil))
				if one.err == nil {
					done++
					continue
				}
				require.True(t, errors.Is(one.err, context.Canceled) || errors.Is(one.err, context.DeadlineExceeded) || errors.Is(one.err, throttle.ErrDeadline), "%v", one.err)
			}
			require.LessOrEqual(t, done, len(o.arrivals))
			require.LessOrEqual(t, len(o.arrivals), len(all))
			for _, scope := range s.Limits().Scopes {
				require.Zero(t, scope.InFlight)
			}
			require.Empty(t, s.Limits().Queued)
		})
	}
}
