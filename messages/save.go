package messages

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// SaveTo writes the body to a file, whatever the status: look at Err first, or it may
// be the page that says why there is none.
//
//	if err := response.Err(); err != nil {
//		return err
//	}
//	return response.SaveTo("klines.zip", nil)
//
// The file is there whole or not at all: it is written beside its place, under another
// name, and takes the place of what was there at the end. A stream is read, and closed
// whatever happens; without Request.Stream the body comes from memory, and has been
// bounded by Responses.MaxBody. A path that is empty, or that of a directory, is an
// error before anything is read.
//
// progress, which may be nil, is called on the same goroutine with the bytes written so
// far and with how many there will be, -1 if nobody said: when 64 KiB more have been
// written or 100 ms have passed, and at the end. A panic in it is a *PanicError, and
// leaves no file.
func (r *Response) SaveTo(path string, progress func(written, total int64)) (err error) {
	body, total := r.reader()
	defer func() {
		if panicked := closed(body); err == nil {
			err = panicked
		}
	}()
	if err := writable(path); err != nil {
		return fmt.Errorf("save %q: %w", path, err)
	}
	beside := path + "." + rand.Text() + ".part"
	file, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	renamed := false
	defer func() { // the caller's code runs in there, and may end this goroutine
		_ = file.Close() // a second time, mostly
		if !renamed {
			_ = os.Remove(beside) // the first failure is the one to be told
		}
	}()
	err = copied(file, body, &counter{tell: progress, total: total, toldAt: time.Now()})
	if end := file.Close(); err == nil {
		err = end
	}
	if err == nil {
		err = os.Rename(beside, path)
		renamed = err == nil
	}
	if err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	return nil
}

// closed closes a stream, which a post-processor may have wrapped. That it cannot be
// closed is of no interest to whoever has all of it.
func closed(body io.Closer) (err error) {
	defer recoverInto(&err)
	_ = body.Close()
	return nil
}

// recoverInto makes a panic in code of the caller's an error. It is deferred.
func recoverInto(err *error) {
	if v := recover(); v != nil {
		*err = panicError(Finishing, v)
	}
}

// writable returns why no file can be put at a path.
func writable(path string) error {
	if path == "" {
		return errors.New("the path is empty")
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return errors.New("there is a directory of that name: the path is that of the file")
	case errors.Is(err, os.ErrNotExist) && os.IsPathSeparator(path[len(path)-1]):
		return errors.New("the path ends as a directory's: name the file")
	}
	if info, err := os.Stat(filepath.Dir(path)); err == nil && !info.IsDir() {
		return fmt.Errorf("%s is no directory", filepath.Dir(path))
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

// copied writes a body to a file.
func copied(file io.Writer, body io.Reader, count *counter) (err error) {
	defer recoverInto(&err)
	if _, err = io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(file, count)}, struct{ io.Reader }{body}, make([]byte, 32<<10)); err == nil && (count.toldOf < count.written || count.written == 0) {
		count.say()
	}
	return err
}

// How much is written, and how long it takes, between two words of progress.
const (
	progressBytes = 64 << 10
	progressTime  = 100 * time.Millisecond
)

// counter tells of what is written, now and then.
type counter struct {
	tell                   func(written, total int64) // may be nil
	written, total, toldOf int64
	toldAt                 time.Time
}

// Write is part of io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	c.written += int64(len(p))
	if c.tell != nil && (c.written-c.toldOf >= progressBytes || time.Since(c.toldAt) >= progressTime) {
		c.say()
	}
	return len(p), nil
}

func (c *counter) say() {
	c.toldOf, c.toldAt = c.written, time.Now()
	if c.tell != nil {
		c.tell(c.written, c.total)
	}
}
