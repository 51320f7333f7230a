package crew

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func encoded(t require.TestingT, l letter) []byte {
	text, err := json.Marshal(l)
	require.NoError(t, err)
	return text
}

func TestALetterOfAnotherVersionIsNoLetter(t *testing.T) {
	l := letter{Version: Version + 1, Run: "a", Probe: &probe{}}
	_, err := decodeLetter(encoded(t, l))
	require.ErrorIs(t, err, errLetter)
	require.ErrorContains(t, err, "version 2, this is version 1")
}

func TestALetterSaysOneThing(t *testing.T) {
	for _, l := range []letter{
		{Version: Version, Run: "a"},
		{Version: Version, Probe: &probe{}},
		{Version: Version, Run: "a", Probe: &probe{}, Stop: &stop{}},
	} {
		_, err := decodeLetter(encoded(t, l))
		require.ErrorIs(t, err, errLetter)
	}
}

func FuzzNoLetterPanics(f *testing.F) {
	for _, l := range []letter{
		{Version: Version, Run: "a", Enlist: &enlist{Coordinator: "x", Lease: 1, Workers: 2}},
		{Version: Version, Run: "a", Part: &part{Data: []byte("x")}},
		{Version: Version, Run: "a", Reading: &reading{Clock: 1}},
		{Version: Version, Run: "a", Snapshot: &live{}},
	} {
		f.Add(encoded(f, l))
	}
	f.Add([]byte(`{"v":1,"run":"a","part":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := decodeLetter(text)
		if err == nil {
			again, err := decodeLetter(encoded(t, l))
			require.NoError(t, err)
			require.Equal(t, l.Run, again.Run)
		}
	})
}

func TestWhatComesFromElsewhereDoesNotCommandATerminal(t *testing.T) {
	require.Equal(t, "a [2Jb c", printable("a\x1b[2Jb\nc"))
	require.Equal(t, "ä", printable("ä"))
	require.Less(t, len(printable(strings.Repeat("ä", 1000))), 520)
}
