package main

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// store is somebody else's server of files. Its first two answers break off in the middle.
type store struct {
	content []byte
	ranges  bool   // it serves parts of the file
	version string // of the file

	asked  atomic.Int64
	served atomic.Int64 // bytes
}

func newStore(size int, ranges bool) *store {
	content := make([]byte, size)
	source := rand.NewChaCha8([32]byte{})
	_, _ = source.Read(content)
	return &store{content: content, ranges: ranges, version: `"1"`}
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	left := len(s.content)
	if s.asked.Add(1) <= 2 {
		left = len(s.content)/3 + 1
	}
	writer := &breaking{ResponseWriter: w, left: left, served: &s.served}
	if !s.ranges {
		w.Header().Set("Content-Length", strconv.Itoa(len(s.content)))
		_, _ = strings.NewReader(string(s.content)).WriteTo(writer)
		return
	}
	w.Header().Set("ETag", s.version)
	http.ServeContent(writer, r, "klines.zip", time.Time{}, bytes.NewReader(s.content))
}

// breaking breaks the connection behind so many bytes.
type breaking struct {
	http.ResponseWriter
	left   int
	served *atomic.Int64
}

func (b *breaking) Write(p []byte) (int, error) {
	cut := min(len(p), b.left)
	n, err := b.ResponseWriter.Write(p[:cut])
	b.left -= n
	b.served.Add(int64(n))
	if err == nil && b.left == 0 && cut < len(p) {
		_ = http.NewResponseController(b.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}
