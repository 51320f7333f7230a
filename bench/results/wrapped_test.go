package results

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
)

// wrapped compresses and labels any bytes as those of a histogram.
func wrapped(plain []byte) []byte {
	out := bytes.NewBuffer(make([]byte, headOfCompressed))
	deflate(out, plain)
	binary.BigEndian.PutUint32(out.Bytes(), cookieOfCompressed)
	binary.BigEndian.PutUint32(out.Bytes()[4:], uint32(out.Len()-headOfCompressed))
	return base64.StdEncoding.AppendEncode(nil, out.Bytes())
}
