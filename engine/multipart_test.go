package engine_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// parts serves a form of parts: it notes the fields and files of every request.
func parts(seen *[]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		reader, err := r.MultipartReader()
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		text := r.Header.Get("Transfer-Encoding")
		for {
			part, err := reader.NextPart()
			if err != nil {
				break
			}
			content, _ := io.ReadAll(part)
			text += part.FormName() + "|" + part.FileName() + "|" + part.Header.Get("Content-Type") + "|" + string(content) + "\n"
		}
		*seen = append(*seen, text)
		io.WriteString(w, "{}")
	}
}

// closeCounter counts what is closed.
type closeCounter struct {
	io.Reader
	closed *atomic.Int32
}

func (c closeCounter) Close() error {
	c.closed.Add(1)
	return nil
}

func TestAFormOfPartsIsSentFromMemoryOrWhileItsFilesAreRead(t *testing.T) {
	for _, streamed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var seen []string
			var opened, closed atomic.Int32
			eng := newServer(t, parts(&seen)).newEngine(t, engine.Config{})
			seeker := strings.NewReader("seeker")
			seeker.Seek(2, io.SeekStart)
			request := &engine.Request{
				Method: "POST", Path: "/", Upload: engine.Upload{Stream: streamed},
				Body: engine.Multipart{
					Fields: engine.Values{"b": []int{1, 2}, "a": "x=y&z \"é"},
					Files: []engine.File{
						{Field: "one", Content: "text"},
						{Field: "two", Name: "q\"\r\n.png", ContentType: "image/png", Content: []byte{'b'}},
						{Field: "three", Content: seeker},
						{Field: "four", Content: func() (io.Reader, error) {
							opened.Add(1)
							return closeCounter{strings.NewReader("opened"), &closed}, nil
						}},
					},
				},
			}
			for range 2 {
				_, err := eng.Do(t.Context(), request)
				require.NoError(t, err)
			}
			want := "a|||x=y&z \"é\nb|||1\nb|||2\n" +
				"one|one|application/octet-stream|text\ntwo|q\"%0D%0A.png|image/png|b\n" +
				"three|three|application/octet-stream|eker\nfour|four|application/octet-stream|opened\n"
			require.Equal(t, want, seen[0])
			if !streamed {
				require.Equal(t, want, seen[1], "a seeker is put back")
			}
			require.EqualValues(t, 2, opened.Load())
			require.EqualValues(t, 2, closed.Load())
		})
	}
}

func TestAFormOfPartsIsSentAgainOnlyIfItsFilesCanBeReadAgain(t *testing.T) {
	for name, c := range map[string]struct {
		content any
		times   int
	}{
		"a seeker":       {strings.NewReader(strings.Repeat("x", 1<<20)), 2},
		"a plain reader": {io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20))), 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var seen []string
				times := 0
				serve := parts(&seen)
				eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
					serve(w, r)
					if times++; times == 1 {
						panic(http.ErrAbortHandler)
					}
				}).newEngine(t, engine.Config{})
				_, err := eng.Do(t.Context(), &engine.Request{
					Method: "PUT", Path: "/", Upload: engine.Upload{Stream: true},
					Body: engine.Multipart{Files: []engine.File{{Field: "a", Content: c.content}}},
				})
				require.Equal(t, c.times == 2, err == nil, "%v", err)
				require.Len(t, seen, c.times)
				require.Equal(t, seen[0], seen[len(seen)-1])
			})
		})
	}
}

func TestAFormOfPartsThatIsNoneIsRefused(t *testing.T) {
	eng := newEngine(t, engine.Config{})
	file := func(f engine.File) engine.Multipart { return engine.Multipart{Files: []engine.File{f}} }
	for want, body := range map[string]any{
		"Files[0]: its Field is empty":                      file(engine.File{Content: "a"}),
		"Files[0]: its Content is none of":                  file(engine.File{Field: "a", Content: 7}),
		"Files[0]: its ContentType has a control character": file(engine.File{Field: "a", ContentType: "a\r\nX: b", Content: ""}),
		"Files[0]: gone":                                    file(engine.File{Field: "a", Content: func() (io.Reader, error) { return nil, errors.New("gone") }}),
		"Files[0]: its Content returned no reader":          file(engine.File{Field: "a", Content: func() (io.Reader, error) { return nil, nil }}),
		`parameter "n": `:                                   engine.Multipart{Fields: engine.Values{"n": struct{}{}}},
		"give the Multipart itself":                         &engine.Multipart{},
	} {
		_, err := eng.Do(t.Context(), &engine.Request{Method: "POST", URL: "http://server.test/", Body: body})
		require.ErrorIs(t, err, engine.ErrInvalidRequest)
		require.ErrorContains(t, err, want)
	}
	_, err := eng.Do(t.Context(), &engine.Request{
		Method: "POST", URL: "http://server.test/", Body: engine.Multipart{}, Header: http.Header{"content-type": {"multipart/form-data"}},
	})
	require.ErrorContains(t, err, "Content-Type of its own")
}

func TestAnAnswerIsSavedWholeOrNotAtAll(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "300000")
			w.Write(make([]byte, 100_000))
			if r.URL.Path == "/cut" {
				panic(http.ErrAbortHandler)
			}
			time.Sleep(time.Second)
			w.Write(make([]byte, 200_000))
		}).newEngine(t, engine.Config{})
		path := filepath.Join(folder, "file")
		for _, stream := range []bool{true, false} {
			require.NoError(t, os.WriteFile(path, []byte("before"), 0o600))
			if stream {
				cut, err := eng.Do(t.Context(), &engine.Request{Path: "/cut", Stream: true})
				require.NoError(t, err)
				require.ErrorIs(t, cut.SaveTo(path, nil), io.ErrUnexpectedEOF)
				require.Equal(t, []string{path}, filesIn(t, folder), "nothing is left of it")
				kept, _ := os.ReadFile(path)
				require.Equal(t, "before", string(kept))
			}
			response, err := eng.Do(t.Context(), &engine.Request{Path: "/", Stream: stream})
			require.NoError(t, err)
			var told []int64
			require.NoError(t, response.SaveTo(path, func(written, total int64) {
				require.EqualValues(t, 300_000, total)
				told = append(told, written)
			}))
			require.EqualValues(t, 300_000, told[len(told)-1])
			saved, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, make([]byte, 300_000), saved)
			require.Equal(t, []string{path}, filesIn(t, folder))
		}
		response, err := eng.Do(t.Context(), &engine.Request{Path: "/", Stream: true})
		require.NoError(t, err)
		require.ErrorIs(t, response.SaveTo(filepath.Join(folder, "no", "such"), nil), os.ErrNotExist)
		synctest.Wait()
		require.Zero(t, eng.Stats().Pools[0].Leased, "its stream is closed all the same")
	})
}

func filesIn(t *testing.T, folder string) []string {
	names, err := filepath.Glob(filepath.Join(folder, "*"))
	require.NoError(t, err)
	return names
}
