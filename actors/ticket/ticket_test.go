package ticket

import (
	"io"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestATicketIsAnsweredOrCancelledNeverBoth(t *testing.T) {
	for range 1000 {
		var one Ticket
		one.Reopen()
		cancelled := make(chan bool)
		go func() { cancelled <- one.Cancel() }()
		answered := one.Answer()
		require.NotEqual(t, answered, <-cancelled)
	}
}

func TestATicketQueuesUntilItHasItsPermitOrItsWaitEnds(t *testing.T) {
	for name, end := range map[string]func(*Ticket) bool{"answered": (*Ticket).Answer, "cancelled": (*Ticket).Cancel} {
		var one Ticket
		one.Reopen()
		one.Queue()
		require.True(t, one.Queues(), name)
		one.Dequeue()
		require.False(t, one.Queues(), name)
		one.Queue() // its permit was taken back
		require.True(t, one.Queues(), name)
		require.True(t, end(&one), name)
		require.False(t, one.Queues(), name)
		one.Queue()
		require.False(t, one.Queues(), "%s: a word that comes late changes nothing", name)
		require.False(t, one.Answer() || one.Cancel(), name)
	}
	for range 1000 {
		var one Ticket
		one.Reopen()
		one.Queue()
		cancelled := make(chan bool)
		go func() { cancelled <- one.Cancel() }()
		one.Dequeue()
		require.NotEqual(t, one.Answer(), <-cancelled, "whatever queue it is in by then")
	}
}

func TestATicketTellsForHowLongTheMemoryHasBeenWaitedFor(t *testing.T) {
	var one Ticket
	require.Zero(t, one.Unremembered(time.Hour), "it is not")
	turns := time.Duration(1<<32) * time.Millisecond // after which its milliseconds begin anew
	for _, granted := range []time.Duration{0, time.Microsecond, time.Hour, turns - time.Second, turns, turns + time.Hour} {
		one.AwaitMemory(granted)
		require.Positive(t, one.Unremembered(granted), "at once")
		require.InDelta(t, 2*time.Second, one.Unremembered(granted+2*time.Second), float64(time.Millisecond))
		one.Remembered()
		require.Zero(t, one.Unremembered(granted+2*time.Second))
	}
}

// Rest names the fields of Answered one by one: none may be forgotten.
func TestATicketAtRestHasNothingOfItsAnswers(t *testing.T) {
	var one Ticket
	answered := reflect.ValueOf(&one.Answered).Elem()
	for i := range answered.NumField() {
		switch field := answered.Field(i); {
		case field.Type() == reflect.TypeFor[atomic.Uint32]():
			one.AwaitMemory(time.Hour)
		case field.Kind() == reflect.Bool:
			field.SetBool(true)
		case field.Type() == reflect.TypeFor[error]():
			field.Set(reflect.ValueOf(io.EOF))
		case field.Kind() == reflect.Pointer:
			field.Set(reflect.New(field.Type().Elem()))
		case field.CanInt():
			field.SetInt(1)
		default:
			field.SetUint(1)
		}
		require.False(t, answered.Field(i).IsZero())
	}
	one.Method = "GET"
	one.Rest()
	require.True(t, answered.IsZero())
	require.Zero(t, one.Asked)
}
