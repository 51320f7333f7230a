package wire

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

// Whatever its size, there is as much room as was asked for, and not one byte that an append
// could write behind it.
func TestAResponseHasAsMuchRoomBehindItAsIsAskedFor(t *testing.T) {
	for n := 1; n <= joinedAnswer; n++ {
		r, room := newRoomed(n)
		require.Zero(t, *r)
		require.Len(t, room, n)
		require.Equal(t, n, cap(room))
		for i := range room {
			room[i] = 0xff
		}
		require.Zero(t, *r, "the room is behind the response")
	}
}

// The sizes are those that the runtime has, so that nothing of an allocation is given away.
func TestRoomsFillTheirAllocations(t *testing.T) {
	for size, is := range map[uintptr]uintptr{
		512:         unsafe.Sizeof(roomed[[roomIn512]byte]{}),
		576 - word:  unsafe.Sizeof(roomed[[roomIn576]byte]{}),
		704 - word:  unsafe.Sizeof(roomed[[roomIn704]byte]{}),
		896 - word:  unsafe.Sizeof(roomed[[roomIn896]byte]{}),
		1152 - word: unsafe.Sizeof(roomed[[roomIn1K]byte]{}),
		2048 - word: unsafe.Sizeof(roomed[[roomIn2K]byte]{}),
	} {
		require.Equal(t, size, is)
	}
}

// A small answer refers to nothing but itself: whoever keeps a line of its header keeps no
// body elsewhere.
func TestALargeBodyIsNotKeptByTheLinesOfItsHeader(t *testing.T) {
	for _, size := range []int{1, 40, 300, 1500, 3900, 5000, 20_000} {
		tape := play(fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Id: abc\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size)))
		resp, _, err := over(tape, Limits{}).Exchange(get("/"), never)
		require.NoError(t, err)
		require.Equal(t, "200 OK", resp.Status)
		id := resp.Header.Get("X-Id")
		require.Equal(t, "abc", id)
		require.Equal(t, strings.Repeat("x", size), string(resp.Body))
		begin, at := uintptr(unsafe.Pointer(resp)), uintptr(unsafe.Pointer(unsafe.StringData(id)))
		together := at > begin && at < begin+unsafe.Sizeof(messages.Response{})+2048
		if together {
			body := uintptr(unsafe.Pointer(unsafe.SliceData(resp.Body)))
			require.Less(t, body-begin, uintptr(4096), "%d bytes: the body is in the same piece of memory", size)
		}
		require.Equal(t, size <= 1500, together, size)
	}
}
