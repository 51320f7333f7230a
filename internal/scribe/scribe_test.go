package scribe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/slogtest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// text is a handler that writes lines of text, without their time.
func text(to *bytes.Buffer, level slog.Leveler) slog.Handler {
	return slog.NewTextHandler(to, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
}

// handlerFunc is a handler of everything.
type handlerFunc func(slog.Record)

func (f handlerFunc) Enabled(context.Context, slog.Level) bool { return true }
func (f handlerFunc) Handle(_ context.Context, r slog.Record) error {
	f(r)
	return nil
}
func (f handlerFunc) WithAttrs([]slog.Attr) slog.Handler { return f }
func (f handlerFunc) WithGroup(string) slog.Handler      { return f }

func TestLinesAreWrittenInOrderAndWhollyBeforeCloseReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := New(slog.New(text(&out, slog.LevelInfo)))
		logger := s.Logger()
		for i := range 500 {
			logger.Info("line", "n", i)
		}
		s.Close(time.Second)
		s.Close(time.Second)
		logger.Info("too late")
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		require.Len(t, lines, 500)
		for i, line := range lines {
			require.Equal(t, fmt.Sprintf("level=INFO msg=line n=%d", i), line)
		}
	})
}

func TestWhatASlogHandlerOwesIsKept(t *testing.T) {
	var out bytes.Buffer
	s := New(slog.New(slog.NewJSONHandler(&out, nil)))
	require.NoError(t, slogtest.TestHandler(s.Logger().Handler(), func() []map[string]any {
		s.Close(time.Minute)
		var all []map[string]any
		for line := range strings.Lines(out.String()) {
			var one map[string]any
			require.NoError(t, json.Unmarshal([]byte(line), &one))
			all = append(all, one)
		}
		return all
	}))
}

func TestNobodyWaitsForAHandlerThatBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unblock := make(chan struct{})
		var written []string
		s := New(slog.New(handlerFunc(func(r slog.Record) {
			if r.Message == "first" {
				<-unblock
			}
			written = append(written, r.Message)
			r.Attrs(func(a slog.Attr) bool {
				written = append(written, a.String())
				return true
			})
		})))
		logger := s.Logger()
		logger.Info("first")
		synctest.Wait()
		for range mostLines + 7 {
			logger.Info("more")
		}
		close(unblock)
		synctest.Wait()
		require.Equal(t, []string{"first", "more", "lines_dropped=7", "more"}, written[:4])
		require.Len(t, written, 1+mostLines+1)
		s.Close(time.Second)
	})
}

func TestCloseWaitsNoLongerThanItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unblock, written := make(chan struct{}), 0
		s := New(slog.New(handlerFunc(func(slog.Record) { <-unblock; written++ })))
		s.Logger().Info("first")
		s.Logger().Info("second")
		start := time.Now()
		s.Close(3 * time.Second)
		require.Equal(t, 3*time.Second, time.Since(start))
		close(unblock)
		synctest.Wait()
		require.Equal(t, 1, written, "the rest was given up")
	})
}

func TestAHandlerThatPanicsOrEndsItsGoroutineCostsOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var written []string
		s := New(slog.New(handlerFunc(func(r slog.Record) {
			switch r.Message {
			case "panics":
				panic("boom")
			case "ends":
				runtime.Goexit()
			}
			written = append(written, r.Message)
			r.Attrs(func(a slog.Attr) bool {
				written = append(written, a.String())
				return true
			})
		})))
		logger := s.Logger()
		for _, message := range []string{"a", "panics", "b", "ends", "ends", "c"} {
			logger.Info(message)
		}
		s.Close(time.Second)
		require.Equal(t, []string{"a", "b", "lines_dropped=1", "c", "lines_dropped=2"}, written)
	})
}

// fickle is a value whose LogValue is nobody's to run on an actor's turn.
type fickle func()

func (f fickle) LogValue() slog.Value { f(); return slog.StringValue("resolved") }

func TestValuesAreResolvedWhereTheyCanHurtNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := New(slog.New(text(&out, slog.LevelInfo)))
		unblock := make(chan struct{})
		s.Logger().Info("blocks", "value", fickle(func() { <-unblock }))
		s.Logger().Info("panics", "value", fickle(func() { panic("boom") }))
		s.Logger().With("always", fickle(func() { runtime.Goexit() })).Info("ends")
		s.Logger().Info("last")
		close(unblock)
		s.Close(time.Second)
		require.Contains(t, out.String(), "msg=blocks value=resolved\n")
		require.Contains(t, out.String(), "msg=panics value=")
		require.Contains(t, out.String(), "msg=last lines_dropped=1\n")
	})
}

func TestALevelThatIsNotWantedCostsNoLineForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		var level slog.LevelVar
		s := New(slog.New(text(&out, &level)))
		logger := s.Logger()
		require.True(t, logger.Enabled(t.Context(), slog.LevelDebug), "nobody has asked")
		logger.Debug("unwanted")
		synctest.Wait()
		require.False(t, logger.Enabled(t.Context(), slog.LevelDebug))
		require.True(t, logger.Enabled(t.Context(), slog.LevelInfo))
		level.Set(slog.LevelDebug)
		time.Sleep(time.Second)
		logger.Debug("wanted")
		synctest.Wait()
		require.True(t, logger.Enabled(t.Context(), slog.LevelDebug))
		s.Close(time.Second)
		require.Equal(t, "level=DEBUG msg=wanted\n", out.String())
	})
}

func TestALoggerThatDiscardsStartsNothing(t *testing.T) {
	for _, logger := range []*slog.Logger{nil, slog.New(slog.DiscardHandler)} {
		s := New(logger)
		require.False(t, s.Logger().Enabled(t.Context(), slog.LevelError))
		s.Logger().Error("nothing")
		require.False(t, s.writing)
		s.Close(time.Hour)
	}
}

func TestManyMayLogAtOnce(t *testing.T) {
	var written atomic.Int64
	var said sync.WaitGroup
	s := New(slog.New(handlerFunc(func(r slog.Record) {
		written.Add(1)
		r.Attrs(func(a slog.Attr) bool {
			if a.Key == "lines_dropped" {
				written.Add(a.Value.Int64())
			}
			return true
		})
	})))
	for range 8 {
		said.Go(func() {
			for range 1000 {
				s.Logger().With("a", 1).Info("x")
			}
		})
	}
	said.Wait()
	s.Close(time.Minute)
	require.Equal(t, int64(8000), written.Load()+s.dropped)
}
