package auth

import (
	"math"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

const most = time.Duration(math.MaxInt64)

// windowed sends all that a window decides.
func windowed(window time.Duration, rule Window) Header {
	return Header{Key: "k", Signer: shared("s", 5), Window: window, Form: HeaderForm{
		Message: []Part{Timestamp, RecvWindow, Expires}, Rule: rule,
		Headers: []Line{{"Time", []Part{Timestamp}}, {"Window", []Part{RecvWindow}}, {"Expires", []Part{Expires}}, {"Sign", []Part{Signature}}},
	}}
}

func TestAnOverlongWindowIsTakenForTheLongest(t *testing.T) {
	for _, window := range []time.Duration{most, most - 1, longest + 1, longest} {
		h, call := windowed(window, Window{Past: 5 * time.Second, Future: time.Second}), callOf("GET")
		require.NoError(t, h.Validate())
		require.NoError(t, h.Authenticate(call, at(noon)))
		require.Equal(t, strconv.FormatInt(longest.Milliseconds(), 10), header(t, call, "Window"))
		require.Equal(t, strconv.FormatInt(noon+longest.Milliseconds(), 10), header(t, call, "Expires"))

		q := HMACQuery{Key: "k", Secret: "s", Window: window, Form: QueryForm{Max: window}}
		require.NoError(t, q.Validate())
		require.NoError(t, q.Authenticate(call, at(noon)))
		ts, sent := signedWindow(t, call)
		require.EqualValues(t, noon, ts)
		require.Equal(t, longest.Milliseconds(), sent)
	}
}

func TestADeadlineShortensAnOverlongWindow(t *testing.T) {
	start, now := time.Unix(5000, 0), time.UnixMilli(noon)
	clock := serverClock{start, now, now.Add(-8 * time.Millisecond), now.Add(8 * time.Millisecond)}
	anyOld := Window{Past: most, Future: time.Second}
	for name, h := range map[string]Header{
		"the scheme's": windowed(most, Window{Past: 5 * time.Second, Future: time.Second}), "the server's": windowed(0, anyOld),
	} {
		h.Deadlines = true
		call := &messages.Call{Deadline: start.Add(3 * time.Second)}
		require.NoError(t, h.Authenticate(call, clock), name)
		require.Equal(t, strconv.Itoa(noon), header(t, call, "Time"), name)
		require.Equal(t, "2992", header(t, call, "Window"), name)
		require.Equal(t, strconv.Itoa(noon+min(2992, 5000)), header(t, call, "Expires"), name)
	}
	for name, q := range map[string]HMACQuery{
		"the scheme's": {Window: most, Form: QueryForm{Max: most}}, "the server's": {Form: QueryForm{Rule: anyOld}},
	} {
		q.Key, q.Secret, q.Deadlines = "k", "s", true
		call := &messages.Call{Deadline: start.Add(3 * time.Second)}
		require.NoError(t, q.Authenticate(call, clock), name)
		ts, window := signedWindow(t, call)
		require.EqualValues(t, noon, ts, name)
		require.EqualValues(t, 2992, window, name)
	}
}

func TestAWindowThatADeadlineEndsIsNoneThatTheServerRefuses(t *testing.T) {
	start, now := time.Unix(5000, 0), time.UnixMilli(noon)
	q := HMACQuery{Key: "k", Secret: "s", Deadlines: true, Form: QueryForm{Rule: Window{Past: most, Future: time.Second}}}
	call := &messages.Call{Deadline: start.Add(time.Hour)}
	require.NoError(t, q.Authenticate(call, serverClock{start, now, now, now}))
	_, window := signedWindow(t, call)
	require.EqualValues(t, 60_000, window, "Form.Max")
}

func TestAnOverlongDelayIsALongOne(t *testing.T) {
	rule, now := Window{Past: 5 * time.Second, Future: time.Second}, time.UnixMilli(noon)
	for _, delay := range []time.Duration{time.Hour, longest, most} {
		ts, proven := rule.Timestamp(now, now, now, delay, time.Millisecond)
		require.False(t, proven, delay)
		require.EqualValues(t, noon+999, ts, delay)
	}
	ts, proven := Window{Past: most, Future: most}.Timestamp(now, now, now, time.Second, time.Nanosecond)
	require.True(t, proven)
	require.Equal(t, now.UnixNano(), ts)
}

func TestAnOverlongBoundIsOneThatKnowsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := windowed(0, Window{Past: 5 * time.Second, Future: time.Second})
		known, unknown := callOf("GET"), callOf("GET")
		require.NoError(t, h.Authenticate(known, LocalClock(NoBound)))
		require.NoError(t, h.Authenticate(unknown, LocalClock(most)))
		require.Equal(t, header(t, known, "Time"), header(t, unknown, "Time"))
	})
}

func TestADeadlineBeyondAllTimeIsNotTooLate(t *testing.T) {
	start, now := time.Now(), time.UnixMilli(noon)
	for _, years := range []int{99, 101, 300, 1000} {
		for _, clock := range []Clock{at(noon), serverClock{start, now, now, now}} {
			h, call := windowed(time.Minute, Window{Past: 5 * time.Second, Future: time.Second}), callOf("GET")
			h.Deadlines, call.Deadline = true, start.AddDate(years, 0, 0)
			require.NoError(t, h.Authenticate(call, clock), years)
			require.Equal(t, "60000", header(t, call, "Window"))
			require.Equal(t, strconv.Itoa(noon+60_000), header(t, call, "Expires"))
		}
	}
}
