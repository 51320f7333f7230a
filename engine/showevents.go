package engine

import (
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/sluice-engine/sluice/messages"
)

// What a server says in its events may be secret, and so may its ids: of them the type alone is
// printed, and the length of the data.

// String tells the type and the length of the data.
func (e Event) String() string {
	return fmt.Sprintf("event %q of %d bytes, by connection %d", e.Type, len(e.Data), e.Connection)
}

// Format prints what String returns for every verb and flag.
func (e Event) Format(f fmt.State, _ rune) { show(f, e.String()) }

// LogValue returns what String does.
func (e Event) LogValue() slog.Value { return slog.StringValue(e.String()) }

// MarshalJSON writes what String returns: an event is no message to store, its Data is.
func (e Event) MarshalJSON() ([]byte, error) { return json.Marshal(e.String()) }

// String tells the times, and what is set besides.
func (s Subscription) String() string {
	text := fmt.Sprintf("subscription, idle for %v at most, pausing for %v to %v", s.Idle, s.Pause, s.LongestPause)
	if s.Once {
		text += ", once"
	}
	return text
}

// Format prints what String returns for every verb and flag.
func (s Subscription) Format(f fmt.State, _ rune) { show(f, s.String()) }

// LogValue returns what String does.
func (s Subscription) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON writes what String returns.
func (s Subscription) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// String tells the connection, the pause and the error.
func (i Interruption) String() string {
	return fmt.Sprintf("connection %d ended, and another follows in %v: %v", i.Connection, i.Pause, messages.Discreet(i.Err))
}

// Format prints what String returns for every verb and flag.
func (i Interruption) Format(f fmt.State, _ rune) { show(f, i.String()) }

// LogValue returns what String does.
func (i Interruption) LogValue() slog.Value { return slog.StringValue(i.String()) }

// MarshalJSON writes what String returns.
func (i Interruption) MarshalJSON() ([]byte, error) { return json.Marshal(i.String()) }
