package actors

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/throttle"
)

// nobody is told things and forgets them.
type nobody struct{}

func (nobody) Tell(any) {}

// BenchmarkThrottler is a permit asked for, granted and settled through the
// actor's mailbox, under two linked limits.
func BenchmarkThrottler(b *testing.B) {
	s, err := Start(Config{
		Limits: []throttle.Limit{
			{ID: "route", Quota: 1e9, Per: time.Second, Linked: []throttle.Link{{ID: "all", Weight: 1}}},
			{ID: "all", Quota: 1e9, Per: time.Second},
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(b, err)
	defer func() {
		s.Close()
		require.NoError(b, s.Wait(context.Background()))
	}()
	t := &ticket.Ticket{Asked: ticket.Asked{Owner: nobody{}, Pool: nobody{}}}
	b.ReportAllocs()
	for b.Loop() {
		t.Reopen()
		t.Permit.Limit = "route"
		s.throttler.Tell(ticket.AcquirePermit{Ticket: t})
		if t.Permit.State() != throttle.Granted {
			b.Fatal("no room")
		}
		s.throttler.Tell(ticket.SettlePermit{Ticket: t})
	}
}

// BenchmarkStart is a System started and ended: what the actors cost before the
// first request.
func BenchmarkStart(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		s, err := Start(Config{Logger: slog.New(slog.DiscardHandler)})
		require.NoError(b, err)
		s.Close()
		require.NoError(b, s.Wait(context.Background()))
	}
}
