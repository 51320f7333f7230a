//go:build unix

package memory

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// platter is what of a directory is on the disk: of a file what it held when it was synced
// last, and the names that there were when the directory was. It is the least that a power
// cut leaves.
type platter struct {
	t     *testing.T
	dir   string
	held  []contents
	names map[string]os.FileInfo
	fails error // what the directory answers
}

type contents struct {
	of   os.FileInfo
	text []byte
}

func newPlatter(t *testing.T) *platter {
	p := &platter{t: t, dir: t.TempDir(), names: map[string]os.FileInfo{}}
	was := syncFile
	syncFile = p.sync
	t.Cleanup(func() { syncFile = was })
	return p
}

func (p *platter) path() string { return filepath.Join(p.dir, "memory") }

func (p *platter) sync(f *os.File) error {
	about, err := f.Stat()
	require.NoError(p.t, err)
	if !about.IsDir() {
		text := make([]byte, about.Size())
		_, err := f.ReadAt(text, 0)
		require.NoError(p.t, err)
		p.held = append(p.held, contents{about, text})
		return nil
	}
	if p.fails != nil {
		return p.fails
	}
	clear(p.names)
	entries, err := os.ReadDir(p.dir)
	require.NoError(p.t, err)
	for _, e := range entries {
		p.names[e.Name()], err = e.Info()
		require.NoError(p.t, err)
	}
	return nil
}

// cutPower leaves in the directory what is on the disk.
func (p *platter) cutPower() {
	entries, err := os.ReadDir(p.dir)
	require.NoError(p.t, err)
	for _, e := range entries {
		require.NoError(p.t, os.Remove(filepath.Join(p.dir, e.Name())))
	}
	for name, about := range p.names {
		var text []byte
		for _, c := range p.held {
			if os.SameFile(c.of, about) {
				text = c.text
			}
		}
		require.NoError(p.t, os.WriteFile(filepath.Join(p.dir, name), text, 0o600))
	}
}

func TestAfterAPowerCutWhatWasNotClosedIsNotBelieved(t *testing.T) {
	for _, c := range []struct {
		name  string
		lives int // closed before
		anew  int // how often it is written anew
	}{{"at the first start", 0, 1}, {"at a later start", 2, 1}, {"while it is written anew", 1, 5}} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlatter(t)
			for range c.lives {
				s, held := opened(t, p.path(), "a")
				require.False(t, held.Torn)
				require.NoError(t, s.Replace(held.Records))
				require.NoError(t, s.Close())
			}
			s, held := opened(t, p.path(), "a")
			require.False(t, held.Torn)
			for range c.anew {
				require.NoError(t, s.Replace(held.Records))
			}
			require.NoError(t, s.Append(AppendFrame(nil, []byte("an order that was sent"))))
			kill(s)
			p.cutPower()
			s, held = opened(t, p.path(), "b")
			defer release(s)
			require.True(t, held.Torn)
		})
	}
}

func TestAfterAPowerCutWhatWasClosedIsBelieved(t *testing.T) {
	p := newPlatter(t)
	s, _ := opened(t, p.path(), "a")
	for _, text := range []string{"one", "two"} { // the name leads to one file, and then to another
		require.NoError(t, s.Replace(AppendFrame(nil, []byte(text))))
	}
	require.NoError(t, s.Append(AppendFrame(nil, []byte("four"))))
	require.NoError(t, s.Close())
	p.cutPower()
	s, held := opened(t, p.path(), "b")
	defer release(s)
	require.False(t, held.Torn)
	require.Equal(t, []string{"two", "four"}, recordsOf(t, held))
}

func TestADirectoryThatCannotBeSyncedIsNoErrorAndOneThatFailsIs(t *testing.T) {
	for _, c := range []struct{ says, want error }{
		{&os.PathError{Op: "sync", Err: syscall.EINVAL}, nil},
		{&os.PathError{Op: "sync", Err: syscall.ENOTSUP}, nil},
		{&os.PathError{Op: "sync", Err: syscall.EIO}, syscall.EIO},
	} {
		p := newPlatter(t)
		p.fails = c.says
		s, _ := opened(t, p.path(), "a")
		err := s.Replace(nil)
		require.True(t, errors.Is(err, c.want), "%v", err)
		if c.want == nil {
			require.NoError(t, s.Append(AppendFrame(nil, []byte("one"))))
		}
		require.NoError(t, s.Close())
	}
}
