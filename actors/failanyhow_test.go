package actors

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

// wrathful panics where it is to tell of a request that failed.
type wrathful struct{ slog.Handler }

func (wrathful) Enabled(context.Context, slog.Level) bool { return true }

func (wrathful) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "request failed" {
		panic("the end panics")
	}
	return nil
}

func (w wrathful) WithAttrs([]slog.Attr) slog.Handler { return w }
func (w wrathful) WithGroup(string) slog.Handler      { return w }

func TestARequestEndsThoughItsEndPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, &origin{}, Config{Logger: slog.New(wrathful{})})
		_, err := s.Do(t.Context(), &messages.Request{Path: "/", LimitID: "nowhere"}, time.Now().Add(time.Hour))
		var panicked *messages.PanicError
		require.ErrorAs(t, err, &panicked)
		var failed *messages.Error
		require.ErrorAs(t, err, &failed)
		require.Equal(t, messages.SentNo, failed.Sent)
	})
}
