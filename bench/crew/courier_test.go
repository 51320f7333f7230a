package crew

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A network that loses, repeats and turns around takes nothing from what arrives in the end.
func TestWhatIsSentByCourierArrivesOnceAndInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var out outbox
		var in inbox
		now := time.Unix(1, 0)
		var sent, arrived [][]byte
		var parts []part
		var acks []uint64
		deliver := func(p part) {
			parcel, whole, err := in.take(p)
			require.NoError(t, err)
			if whole {
				arrived = append(arrived, parcel)
			}
			acks = append(acks, in.next)
		}
		steps := rapid.IntRange(1, 200).Draw(t, "steps")
		for range steps {
			now = now.Add(time.Duration(rapid.IntRange(0, 700).Draw(t, "ms")) * time.Millisecond)
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				size := rapid.SampledFrom([]int{0, 1, 1000, partSize, partSize + 1, 3 * partSize}).Draw(t, "size")
				parcel := bytes.Repeat([]byte{byte(len(sent))}, size)
				require.NoError(t, out.add(parcel))
				sent = append(sent, parcel)
			case 1:
				due := out.due(now)
				require.LessOrEqual(t, len(due), partWindow)
				for _, p := range due {
					if rapid.IntRange(0, 3).Draw(t, "lost") > 0 {
						parts = append(parts, p)
					}
				}
			case 2, 3:
				if len(parts) > 0 {
					i := rapid.IntRange(0, len(parts)-1).Draw(t, "which")
					deliver(parts[i])
					if rapid.Bool().Draw(t, "gone") {
						parts = append(parts[:i], parts[i+1:]...)
					}
				}
			case 4:
				if len(acks) > 0 {
					out.taken(rapid.SampledFrom(acks).Draw(t, "ack"), now)
				}
			}
			require.LessOrEqual(t, out.sent, partWindow)
		}
		for range 10_000 { // now the network is well again
			if out.empty() {
				break
			}
			now = now.Add(partAgain)
			for _, p := range out.due(now) {
				deliver(p)
			}
			out.taken(in.next, now)
		}
		require.True(t, out.empty())
		require.Len(t, arrived, len(sent))
		for i := range sent {
			require.True(t, bytes.Equal(sent[i], arrived[i]), "parcel %d", i)
		}
	})
}

func TestAnAcknowledgementOfWhatWasNeverSentIsIgnored(t *testing.T) {
	var out outbox
	require.NoError(t, out.add([]byte("a")))
	out.taken(2, time.Unix(1, 0))
	require.False(t, out.empty())
	out.taken(1<<63, time.Unix(1, 0))
	require.False(t, out.empty())
	out.taken(1, time.Unix(1, 0))
	require.True(t, out.empty())
}

func TestAParcelThatIsTooLargeIsNeitherSentNorTaken(t *testing.T) {
	var out outbox
	require.Error(t, out.add(make([]byte, mostParcel+1)))
	require.True(t, out.empty())
	in := inbox{most: 10}
	_, _, err := in.take(part{Data: make([]byte, 8)})
	require.NoError(t, err)
	_, _, err = in.take(part{Seq: 1, Data: make([]byte, 8), Last: true})
	require.ErrorIs(t, err, errParcel)
}

func TestALetterWithAFullPartFitsIntoARecord(t *testing.T) {
	l := letter{Version: Version, Run: newID(), Worker: 1 << 30, Reply: "[fe80::1]:65535", Part: &part{Seq: 1 << 63, Data: make([]byte, partSize), Last: true}}
	text := encoded(t, l)
	require.LessOrEqual(t, len(text), mostLetter)
	require.Less(t, lettersAtATime*(mostLetter+1024), mostRecord)
	back, err := decodeLetter(text)
	require.NoError(t, err)
	require.Equal(t, l, back)
}
