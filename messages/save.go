package messages

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strconv"
)

// SaveTo writes the body to a file, which is there whole or not at all: it is
// written beside its place, under another name, and takes the place of what was
// there at the end. A stream is read, and closed whatever happens; without
// Request.Stream the body comes from memory, and has been bounded by
// Responses.MaxBody.
//
// progress, which may be nil, is called on the same goroutine after each piece with
// the bytes written so far and with how many there will be, -1 if nobody said.
func (r *Response) SaveTo(path string, progress func(written, total int64)) (err error) {
	body, total := r.reader()
	defer body.Close()
	beside := path + "." + rand.Text() + ".part"
	file, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	_, err = io.Copy(&counting{file, progress, 0, total}, body)
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(beside, path)
	}
	if err != nil {
		_ = os.Remove(beside) // the first failure is the one to be told
		return fmt.Errorf("save %s: %w", path, err)
	}
	return nil
}

// reader returns the body, and its length or -1.
func (r *Response) reader() (io.ReadCloser, int64) {
	if r.Stream == nil {
		return io.NopCloser(bytes.NewReader(r.Body)), int64(len(r.Body))
	}
	length, err := strconv.ParseInt(r.Header.Get("Content-Length"), 10, 64)
	if err != nil || r.Uncompressed {
		return r.Stream, -1
	}
	return r.Stream, length
}

// counting tells of what is written.
type counting struct {
	io.Writer
	progress       func(written, total int64)
	written, total int64
}

// Write is part of io.Writer.
func (c *counting) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	if c.written += int64(n); c.progress != nil {
		c.progress(c.written, c.total)
	}
	return n, err
}
