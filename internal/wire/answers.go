package wire

import (
	"unsafe"

	"github.com/sluice-engine/sluice/messages"
)

// roomed is a response with room behind it, for the lines and the body of a small answer: one
// allocation instead of two. Whoever keeps a header line keeps the response too, so it must not
// refer to a body elsewhere.
type roomed[R any] struct {
	response messages.Response
	room     R
}

// What an allocation of so many bytes has room for behind a response. These are sizes that the
// runtime allocates as they are; in those above 512 bytes it has a word of its own.
const (
	beside    = unsafe.Sizeof(messages.Response{})
	word      = unsafe.Sizeof(uintptr(0))
	roomIn512 = 512 - beside
	roomIn576 = 576 - word - beside
	roomIn704 = 704 - word - beside
	roomIn896 = 896 - word - beside
	roomIn1K  = 1152 - word - beside
	roomIn2K  = 2048 - word - beside
)

// newRoomed returns a response and n bytes of room. More than there is room for stands elsewhere.
func newRoomed(n int) (*messages.Response, []byte) {
	var r *messages.Response
	var room []byte
	switch size := uintptr(n); {
	case size <= roomIn512:
		a := new(roomed[[roomIn512]byte])
		r, room = &a.response, a.room[:n:n]
	case size <= roomIn576:
		a := new(roomed[[roomIn576]byte])
		r, room = &a.response, a.room[:n:n]
	case size <= roomIn704:
		a := new(roomed[[roomIn704]byte])
		r, room = &a.response, a.room[:n:n]
	case size <= roomIn896:
		a := new(roomed[[roomIn896]byte])
		r, room = &a.response, a.room[:n:n]
	case size <= roomIn1K:
		a := new(roomed[[roomIn1K]byte])
		r, room = &a.response, a.room[:n:n]
	case size <= roomIn2K:
		a := new(roomed[[roomIn2K]byte])
		r, room = &a.response, a.room[:n:n]
	default:
		r, room = new(messages.Response), make([]byte, n)
	}
	return r, room
}

// textAndRoom copies b to the beginning of whole. Nobody writes to the text: the room ends where
// its own bytes do, and begins behind it.
func textAndRoom(b, whole []byte) (text string, room []byte) {
	n := copy(whole, b)
	return unsafe.String(unsafe.SliceData(whole), n), whole[n:]
}
