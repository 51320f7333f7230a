package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/sluice-engine/sluice/engine"
)

// download saves the answer to a request as path. What was cut off it leaves in path.part,
// with the version of the file in path.etag, and goes on behind it when it is called again.
func download(ctx context.Context, eng *engine.Engine, req *engine.Request, path string, progress func(written, total int64)) error {
	part, version := path+".part", path+".etag"
	response, err := eng.Do(ctx, behind(req, part, version))
	if err != nil {
		return err
	}
	defer response.Stream.Close()
	from := int64(0)
	var flags int
	switch etag := response.Header.Get("ETag"); {
	case response.StatusCode == http.StatusPartialContent:
		if from, flags, err = size(part), os.O_APPEND, nil; !strings.HasPrefix(response.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", from)) {
			return errors.Join(errors.New("the server has sent another part than it was asked for"), os.Remove(part))
		}
	case response.StatusCode != http.StatusOK:
		if response.StatusCode == http.StatusRequestedRangeNotSatisfiable {
			_ = os.Remove(part) // and begin anew
		}
		return statusError(response)
	case etag == "" || strings.HasPrefix(etag, "W/") || response.Header.Get("Accept-Ranges") != "bytes":
		return response.SaveTo(path, progress) // whole or not at all: it could not be gone on with
	default: // the first time, or it is another file now
		if err := os.WriteFile(version, []byte(etag), 0o666); err != nil {
			return err
		}
		flags = os.O_TRUNC
	}
	if err := write(part, flags, response, from, progress); err != nil {
		return err
	}
	return errors.Join(os.Rename(part, path), os.Remove(version))
}

// behind is the request for what is missing in part.
func behind(req *engine.Request, part, version string) *engine.Request {
	rest := *req
	rest.Header = req.Header.Clone()
	if rest.Header == nil {
		rest.Header = http.Header{}
	}
	rest.Header.Set("Accept-Encoding", "identity") // places in the file are counted in its own bytes
	if etag, err := os.ReadFile(version); err == nil && size(part) > 0 {
		rest.Header.Set("Range", fmt.Sprintf("bytes=%d-", size(part)))
		rest.Header.Set("If-Range", string(etag)) // the whole file, if it is another now
	}
	return &rest
}

// write adds what comes to a file.
func write(part string, flags int, response *engine.Response, from int64, progress func(written, total int64)) error {
	file, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|flags, 0o666)
	if err != nil {
		return err
	}
	total := int64(-1)
	if length := response.Header.Get("Content-Length"); length != "" {
		if _, err := fmt.Sscan(length, &total); err == nil {
			total += from
		}
	}
	_, err = io.Copy(file, &watched{response.Stream, from, total, progress})
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}

// watched tells of what is read.
type watched struct {
	io.Reader
	read, total int64
	tell        func(read, total int64)
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.read += int64(n)
	w.tell(w.read, w.total)
	return n, err
}

func statusError(response *engine.Response) error {
	if err := response.Err(); err != nil {
		return err
	}
	return &engine.StatusError{Answer: response.Answer()}
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
