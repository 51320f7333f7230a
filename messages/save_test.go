package messages

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// unreadable is a stream of which nothing may be read, and that knows of its end.
type unreadable struct{ closed, read bool }

func (u *unreadable) Read([]byte) (int, error) { u.read = true; return 0, io.EOF }
func (u *unreadable) Close() error             { u.closed = true; return nil }

func TestAPathThatNoFileCanHaveIsToldBeforeAnythingIsRead(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for want, path := range map[string]string{
		"the path is empty":     "",
		"there is a directory":  folder,
		"ends as a directory's": filepath.Join(folder, "new") + string(os.PathSeparator),
		"is no directory":       filepath.Join(file, "inside"),
		"no such file":          filepath.Join(folder, "missing", "file"),
	} {
		stream := new(unreadable)
		err := (&Response{Stream: stream}).SaveTo(path, nil)
		require.ErrorContains(t, err, want)
		require.False(t, stream.read, path)
		require.True(t, stream.closed, path)
	}
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing was left behind")
}

// crumbs are read in pieces of a packet's size.
type crumbs struct{ io.Reader }

func (c crumbs) Read(p []byte) (int, error) { return c.Reader.Read(p[:min(len(p), 1300)]) }
func (crumbs) Close() error                 { return nil }

func TestProgressIsToldNowAndThenAndAtTheEnd(t *testing.T) {
	body := bytes.Repeat([]byte("x"), 1<<20+1)
	path := filepath.Join(t.TempDir(), "file")
	var told []int64
	err := (&Response{Stream: crumbs{bytes.NewReader(body)}}).SaveTo(path, func(written, total int64) {
		told = append(told, written)
		require.EqualValues(t, -1, total)
	})
	require.NoError(t, err)
	require.Less(t, len(told), 40, "once in 64 KiB, or in 100 ms")
	require.Greater(t, len(told), 10)
	require.EqualValues(t, len(body), told[len(told)-1])
	saved, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, body, saved)

	told = nil
	require.NoError(t, (&Response{}).SaveTo(path, func(written, _ int64) { told = append(told, written) }))
	require.Equal(t, []int64{0}, told, "of nothing, the end")
}
