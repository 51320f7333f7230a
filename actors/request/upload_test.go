package request

import (
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

func TestAnAttemptThatReadsTooLateTakesNothingOfTheNextOnes(t *testing.T) {
	u := &upload{source: io.MultiReader(strings.NewReader("order")), length: -1}
	var call messages.Call
	require.NoError(t, u.open(nil, &call))
	late := call.Reader
	require.True(t, u.retire())
	_, err := late.Read(make([]byte, 9))
	require.ErrorIs(t, err, errRetired)

	require.NoError(t, u.open(nil, &call), "nothing of it was read")
	body, err := io.ReadAll(call.Reader)
	require.NoError(t, err)
	require.Equal(t, "order", string(body))
	require.False(t, u.repeats())
	require.False(t, u.retire())
	require.Error(t, u.open(nil, &call))
}

// Whether an attempt reads first or is retired first, it is one of the two.
func TestABodyIsReadByOneAttemptAlone(t *testing.T) {
	for range 200 {
		u := &upload{source: io.MultiReader(strings.NewReader("order")), length: -1}
		var call messages.Call
		require.NoError(t, u.open(nil, &call))
		var read []byte
		var both sync.WaitGroup
		both.Go(func() { read, _ = io.ReadAll(call.Reader) })
		again := u.retire()
		both.Wait()
		require.Equal(t, again, len(read) == 0)
	}
}

func TestWhatIsOpenedButCanBeReadOnceIsOneAttemptsAsWell(t *testing.T) {
	file := io.MultiReader(strings.NewReader("order"))
	u := &upload{source: func() (io.Reader, error) { return io.MultiReader(file), nil }, once: true, length: -1}
	r := &slot{Carrier: &Carrier{}, life: life{under: under{ctx: t.Context()}}}
	var call messages.Call
	require.NoError(t, u.open(r, &call))
	late := call.Reader
	require.NoError(t, u.open(r, &call))
	_, err := late.Read(make([]byte, 9))
	require.ErrorIs(t, err, errRetired)
	body, err := io.ReadAll(call.Reader)
	require.NoError(t, err)
	require.Equal(t, "order", string(body))
	require.False(t, u.retire())
	require.Error(t, u.open(r, &call))
}
