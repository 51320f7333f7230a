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
	switch size := uintptr(n); {
	case size <= roomIn512:
		return withRoom[[roomIn512]byte](n)
	case size <= roomIn576:
		return withRoom[[roomIn576]byte](n)
	case size <= roomIn704:
		return withRoom[[roomIn704]byte](n)
	case size <= roomIn896:
		return withRoom[[roomIn896]byte](n)
	case size <= roomIn1K:
		return withRoom[[roomIn1K]byte](n)
	case size <= roomIn2K:
		return withRoom[[roomIn2K]byte](n)
	}
	return new(messages.Response), make([]byte, n)
}

// withRoom requires that R is an array of at least n bytes.
func withRoom[R any](n int) (*messages.Response, []byte) {
	a := new(roomed[R])
	return &a.response, unsafe.Slice((*byte)(unsafe.Pointer(&a.room)), n)
}

// textAndRoom copies b to the beginning of whole. Nobody writes to the text: the room ends where
// its own bytes do, and begins behind it.
func textAndRoom(b, whole []byte) (text string, room []byte) {
	n := copy(whole, b)
	return unsafe.String(unsafe.SliceData(whole), n), whole[n:]
}
