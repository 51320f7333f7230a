package memory

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"iter"
)

// A frame is one record on its way: its length as a varint, its bytes, and their
// CRC-32C, the least significant byte first.

// MostRecord is the most bytes that a record may have.
const MostRecord = 1 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendFrame appends a record as a frame.
func AppendFrame(to, record []byte) []byte {
	to = binary.AppendUvarint(to, uint64(len(record)))
	to = append(to, record...)
	return binary.LittleEndian.AppendUint32(to, crc32.Checksum(record, castagnoli))
}

// Frames yields the records of whole frames. A frame that is not whole, or not what
// was written, ends it with an error of ErrCorrupt.
func Frames(from []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for at := 0; at < len(from); {
			record, n := frame(from[at:])
			if n == 0 {
				yield(nil, fmt.Errorf("%w: at byte %d of %d", ErrCorrupt, at, len(from)))
				return
			}
			if !yield(record, nil) {
				return
			}
			at += n
		}
	}
}

// frame returns the first record and the length of its frame; zero means that there
// is none.
func frame(from []byte) (record []byte, n int) {
	size, head := binary.Uvarint(from)
	if head <= 0 || size > MostRecord || len(from)-head-4 < int(size) {
		return nil, 0
	}
	n = head + int(size)
	record = from[head:n]
	if binary.LittleEndian.Uint32(from[n:]) != crc32.Checksum(record, castagnoli) {
		return nil, 0
	}
	return record, n + 4
}
