//go:build unix

package memory

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// machine is a clock of a boot of that name.
func machine(boot string) Clock { return Clock{Boot: boot, Now: func() time.Duration { return 0 }} }

func opened(t *testing.T, path, boot string) (*store, Held) {
	t.Helper()
	s, held, err := FileAt(path, machine(boot)).Open()
	require.NoError(t, err)
	return s.(*store), held
}

// written returns a file that an engine in a boot has written and not closed.
func written(t *testing.T, boot string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "memory")
	s, held := opened(t, path, boot)
	require.Empty(t, held.Records)
	require.False(t, held.Torn, "what never was is not torn")
	require.NoError(t, s.Replace(AppendFrame(nil, []byte("one"))))
	require.NoError(t, s.Append(AppendFrame(nil, []byte("two"))))
	kill(s)
	return path
}

// kill leaves the file as the end of the process does.
func kill(s *store) {
	s.m.close()
	if s.spare != nil {
		s.spare.close()
	}
	_ = s.lock.Close()
}

func recordsOf(t *testing.T, held Held) (all []string) {
	t.Helper()
	for record, err := range Frames(held.Records) {
		require.NoError(t, err)
		all = append(all, string(record))
	}
	return all
}

func TestWhatAProcessAppendedIsThereAfterItWasKilled(t *testing.T) {
	s, held := opened(t, written(t, "a"), "a")
	defer release(s)
	require.False(t, held.Torn)
	require.Equal(t, []string{"one", "two"}, recordsOf(t, held))
}

// release gives up a file that was only looked at.
func release(s *store) { _ = s.lock.Close() }

func TestAFileThatWasNotClosedBeforeTheMachineWentDownIsTorn(t *testing.T) {
	for boot, torn := range map[string]bool{"a": false, "b": true, "": true} {
		s, held := opened(t, written(t, "a"), boot)
		require.Equal(t, torn, held.Torn, boot)
		require.Equal(t, []string{"one", "two"}, recordsOf(t, held), "what there is of it is of use all the same")
		release(s)
	}
}

func TestAFileThatWasClosedIsBelievedInAnotherBoot(t *testing.T) {
	path := written(t, "a")
	s, held := opened(t, path, "a")
	require.NoError(t, s.Replace(held.Records))
	require.NoError(t, s.Close())
	s, held = opened(t, path, "b")
	defer release(s)
	require.False(t, held.Torn)
	require.Equal(t, []string{"one", "two"}, recordsOf(t, held))
}

func TestAFileThatItsEngineWentOnWithoutIsTorn(t *testing.T) {
	path := written(t, "a")
	s, held := opened(t, path, "a")
	require.NoError(t, s.Replace(held.Records))
	s.Forsake()
	require.NoError(t, s.Close(), "to close it is not to say that all is there")
	s, held = opened(t, path, "a")
	defer release(s)
	require.True(t, held.Torn)
}

func TestASecondEngineIsRefused(t *testing.T) {
	path := written(t, "a")
	s, _ := opened(t, path, "a")
	_, _, err := FileAt(path, machine("a")).Open()
	require.ErrorIs(t, err, ErrInUse)
	require.NoError(t, s.Close())
	s, _ = opened(t, path, "a")
	require.NoError(t, s.Close())
}

func TestASymbolicLinkIsTheFileThatItLeadsTo(t *testing.T) {
	path := written(t, "a")
	links := t.TempDir()
	link, far := filepath.Join(links, "link"), filepath.Join(links, "far")
	require.NoError(t, os.Symlink(path, link))
	require.NoError(t, os.Symlink("link", far))
	s, _ := opened(t, far, "a")
	for _, name := range []string{path, link, far} {
		_, _, err := FileAt(name, machine("a")).Open()
		require.ErrorIs(t, err, ErrInUse)
	}
	require.NoError(t, s.Replace(AppendFrame(nil, []byte("three"))))
	require.NoError(t, s.Close())
	s, held := opened(t, path, "a")
	require.Equal(t, []string{"three"}, recordsOf(t, held), "the link led there still when the file was written anew")
	require.NoError(t, s.Close())
}

func TestASymbolicLinkToAFileThatIsToBeMadeIsFollowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(path, link))
	s, _ := opened(t, link, "a")
	require.NoError(t, s.Replace(AppendFrame(nil, []byte("one"))))
	require.NoError(t, s.Close())
	s, held := opened(t, path, "a")
	require.Equal(t, []string{"one"}, recordsOf(t, held))
	require.NoError(t, s.Close())
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Symlink(link, path))
	_, _, err := FileAt(link, machine("a")).Open()
	require.Error(t, err, "links in a ring")
}

func TestWhatIsNoRegularFileIsNeitherReadNorRenamed(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600)) // reading it would wait for ever
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink(os.DevNull, link)) // reading it would find a damaged file
	for _, path := range []string{pipe, link, dir} {
		_, _, err := FileAt(path, machine("a")).Open()
		require.ErrorIs(t, err, errNoFile)
	}
	_, _, err := FileAt("", machine("a")).Open()
	require.ErrorIs(t, err, errNoPath)
	all, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, all, 2, "nothing was renamed, and no lock was made")
}

func TestAForeignOrDamagedFileIsSetAside(t *testing.T) {
	spoil := map[string]func(b []byte) []byte{
		"empty":             func([]byte) []byte { return nil },
		"foreign":           func([]byte) []byte { return []byte(strings.Repeat("what else might be there\n", 1000)) },
		"another version":   func(b []byte) []byte { b[len(magic)-2]++; return b },
		"cut short":         func(b []byte) []byte { return b[:headSize+5] },
		"its end":           func(b []byte) []byte { b[endAt+3]++; return b },
		"the seal of it":    func(b []byte) []byte { b[endAt]++; return b },
		"its state":         func(b []byte) []byte { b[stateAt]++; return b },
		"the boot it names": func(b []byte) []byte { b[bootAt+1]++; return b },
	}
	for name, spoil := range spoil {
		path := written(t, "a")
		whole, err := os.ReadFile(path)
		require.NoError(t, err)
		bad := spoil(bytes.Clone(whole))
		require.NoError(t, os.WriteFile(path, bad, 0o600))
		s, held := opened(t, path, "a")
		require.True(t, held.Torn, name)
		require.Empty(t, held.Records, name)
		aside, err := filepath.Glob(path + ".bad-*")
		require.NoError(t, err)
		require.Len(t, aside, 1, name)
		require.Contains(t, held.Warning, filepath.Base(aside[0]), name)
		kept, err := os.ReadFile(aside[0])
		require.NoError(t, err)
		require.True(t, bytes.Equal(bad, kept), name)
		release(s)
	}
}

func TestAnyByteOfARecordThatChangesIsNoticed(t *testing.T) {
	path := written(t, "a")
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for i := headSize; whole[i] != 0 || whole[i+1] != 0; i++ {
		bad := bytes.Clone(whole)
		bad[i] ^= 0x10
		held := FileAt(path, machine("a")).(*file).believe(bad, bad[headSize:headSize+16])
		var failed error
		for _, err := range Frames(held.Records) {
			failed = err
		}
		require.ErrorIs(t, failed, ErrCorrupt, "byte %d", i)
	}
}

// Who is killed in the middle of an append leaves an end that counts in nothing of it.
func TestARecordThatWasBeingWrittenWhenTheProcessEndedIsNotThere(t *testing.T) {
	path := written(t, "a")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("\x05half"), headSize+16)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	s, held := opened(t, path, "a")
	defer release(s)
	require.Equal(t, []string{"one", "two"}, recordsOf(t, held))
}

func TestAProcessThatIsKilledBeforeItsFileHasItsNameLeavesTheOldOne(t *testing.T) {
	path := written(t, "a")
	s, _ := opened(t, path, "a")
	staged, err := s.Stage(AppendFrame(nil, []byte("three")))
	require.NoError(t, err)
	release(s)
	s, held := opened(t, path, "a")
	defer release(s)
	require.Equal(t, []string{"one", "two"}, recordsOf(t, held))
	require.NoFileExists(t, path+".new")
	staged.Discard()
}

func TestWhatIsStagedTakesTheRestAlong(t *testing.T) {
	path := written(t, "a")
	s, held := opened(t, path, "a")
	require.NoError(t, s.Replace(held.Records))
	staged, err := s.Stage(AppendFrame(nil, []byte("both")))
	require.NoError(t, err)
	three := AppendFrame(nil, []byte("three"))
	require.NoError(t, s.Append(three))
	require.NoError(t, staged.Commit(three))
	require.NoError(t, s.Append(AppendFrame(nil, []byte("four"))))
	kill(s)
	s, held = opened(t, path, "a")
	defer release(s)
	require.Equal(t, []string{"both", "three", "four"}, recordsOf(t, held))
}

func TestTwoFilesAreWrittenInTurn(t *testing.T) {
	path := written(t, "a")
	s, _ := opened(t, path, "a")
	about := func() os.FileInfo {
		file, err := os.Open(path)
		require.NoError(t, err)
		t.Cleanup(func() { _ = file.Close() }) // held, so that no new file looks like it
		found, err := file.Stat()
		require.NoError(t, err)
		return found
	}
	long := AppendFrame(nil, bytes.Repeat([]byte("x"), 1<<16))
	require.NoError(t, s.Replace(long))
	first := about()
	require.NoError(t, s.Replace(long))
	second := about()
	require.False(t, os.SameFile(first, second))
	require.NoFileExists(t, path+".old")
	for i := range 4 {
		require.NoError(t, s.Append(long))
		staged, err := s.Stage(AppendFrame(nil, []byte("three")))
		require.NoError(t, err)
		require.NoError(t, staged.Commit(AppendFrame(nil, []byte("four"))))
		require.True(t, os.SameFile([]os.FileInfo{first, second}[i%2], about()))
	}
	require.NoError(t, s.Close())
	require.NoFileExists(t, path+".new")
	s, held := opened(t, path, "b")
	defer release(s)
	require.False(t, held.Torn)
	require.Equal(t, []string{"three", "four"}, recordsOf(t, held), "and nothing of what was there before")
}

// Pages that were written once are there: it is their first use that is dear.
func TestAFileThatIsWrittenAnewAsksForNoNewPages(t *testing.T) {
	s, _ := opened(t, filepath.Join(t.TempDir(), "memory"), "a")
	defer func() { require.NoError(t, s.Close()) }()
	const pages, rounds = 512, 8
	frame := AppendFrame(nil, bytes.Repeat([]byte("x"), 4000))
	fill := func() {
		require.NoError(t, s.Replace(frame))
		for range pages {
			require.NoError(t, s.Append(frame))
		}
	}
	fill()
	fill()
	var before, after syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &before))
	for range rounds {
		fill()
	}
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &after))
	require.Less(t, after.Minflt-before.Minflt, int64(rounds*pages/2))
}

func TestWhatAKillLeavesBesideTheFileIsRemoved(t *testing.T) {
	path := written(t, "a")
	require.NoError(t, os.Link(path, path+".old"), "as between the two names of a file that is replaced")
	require.NoError(t, os.WriteFile(path+".new", []byte("what was there before"), 0o600))
	s, held := opened(t, path, "a")
	defer release(s)
	require.Equal(t, []string{"one", "two"}, recordsOf(t, held))
	require.NoFileExists(t, path+".old")
	require.NoFileExists(t, path+".new")
}

func TestAFileWithoutASecondNameIsReplacedByANewOne(t *testing.T) {
	path := written(t, "a")
	s, _ := opened(t, path, "a")
	defer release(s)
	require.NoError(t, os.MkdirAll(filepath.Join(path+".old", "in the way"), 0o700))
	for _, text := range []string{"three", "four", "five"} {
		require.NoError(t, s.Replace(AppendFrame(nil, []byte(text))))
	}
	require.Nil(t, s.spare)
	require.NoError(t, s.Append(AppendFrame(nil, []byte("six"))))
	kill(s)
	s, held := opened(t, path, "a")
	defer release(s)
	require.Equal(t, []string{"five", "six"}, recordsOf(t, held))
}

func TestAFileGrowsWhenItIsFull(t *testing.T) {
	path := written(t, "a")
	s, _ := opened(t, path, "a")
	require.NoError(t, s.Replace(nil))
	frame := AppendFrame(nil, bytes.Repeat([]byte("x"), 1<<16))
	for range leastSize/len(frame) + 10 {
		require.NoError(t, s.Append(frame))
	}
	kill(s)
	s, held := opened(t, path, "a")
	defer release(s)
	require.Len(t, recordsOf(t, held), leastSize/len(frame)+10)
}

func TestAFullDiskIsAnErrorAndNoCrash(t *testing.T) {
	path := written(t, "a")
	s, held := opened(t, path, "a")
	defer release(s)
	require.NoError(t, s.Replace(held.Records))
	var was syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was))
	small := was
	small.Cur = 5 << 20
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small))
	defer func() { require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was)) }()
	frame := AppendFrame(nil, bytes.Repeat([]byte("x"), 1<<16))
	var err error
	for range 2 * leastSize / len(frame) {
		if err = s.Append(frame); err != nil {
			break
		}
	}
	require.ErrorIs(t, err, syscall.EFBIG)
	_, err = s.Stage(bytes.Repeat(frame, 20))
	require.ErrorIs(t, err, syscall.EFBIG)
	require.NoFileExists(t, path+".new")
}

func FuzzFramesReadOnlyWhatWasWritten(f *testing.F) {
	f.Add([]byte{}, 0, byte(0))
	f.Add(AppendFrame(AppendFrame(nil, []byte("one")), nil), 3, byte(7))
	f.Fuzz(func(t *testing.T, b []byte, at int, flip byte) {
		var again []byte
		whole := true
		for record, err := range Frames(b) {
			if whole = err == nil; whole {
				again = AppendFrame(again, record)
			}
		}
		if whole && len(again) == len(b) {
			require.True(t, bytes.Equal(b, again))
		}
		one := AppendFrame(nil, b[:min(len(b), 1000)])
		if i := (at%len(one) + len(one)) % len(one); flip != 0 {
			one[i] ^= flip
			for record, err := range Frames(one) {
				if err == nil && len(record) == min(len(b), 1000) {
					t.Fatalf("a changed byte %d was not noticed", i)
				}
			}
		}
	})
}
