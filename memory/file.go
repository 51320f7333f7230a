package memory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// File returns a memory in a file, which is made if it is not there; its directory must exist,
// on a disk of this machine. Beside it are path.lock, which holds others off, while an engine
// runs path.new, which is to become it, and for moments path.old, which it was. Of a symbolic
// link all this is where it leads; what is there and no regular file is an error.
//
// It is believed after the end of the process, however that came. If the machine
// went down, what was written last may be missing, so that it is believed only if
// the engine had closed it before. That an engine has it is on the disk, with the name
// of the file, before the engine grants anything. Only where a directory cannot be synced, or not
// be read, may a machine that goes down soon after a start come back with the file as it
// was before. What is torn or foreign is renamed to path.bad-<time>, and every
// limit counts as full then.
//
// It takes 4 MB, or eight times what there is to remember if that is more, and as
// much again while an engine runs. It is written without a system call, as mapped memory: who
// cuts it short while an engine runs kills that engine.
func File(path string) Memory { return &file{path: path, clock: ThisMachine()} }

// FileAt is File with another clock than this machine's, for simulations.
func FileAt(path string, clock Clock) Memory { return &file{path: path, clock: clock} }

type file struct {
	path  string
	clock Clock
}

// The head of the file. Its state and its end are words of their own, each written
// in one store, so that a process that is killed leaves the old one or the new.
//
//	 0  magic and version
//	16  end: of the records, in bytes, shifted over a seal of that
//	24  state
//	32  the boot that it was opened in: length, text, and at 224 the checksum of both
const (
	magic     = "sluice memory 1\n"
	endAt     = 16
	stateAt   = 24
	bootAt    = 32
	bootSumAt = 224
	headSize  = 4096 // a page: the records begin at the next

	open     = 0x6e65706f // an engine has it, or had it when it was killed
	closed   = 0x736f6c63 // by its engine, and on the disk
	forsaken = 0x74736f6c // its engine went on without it
)

// sealEnd has 24 bits beside the end that hardly any other end has.
func sealEnd(end int) uint64 { return uint64(end)<<24 | sealOf(end) }

func sealOf(end int) uint64 { return (uint64(end) + 1) * 0x9e3779b97f4a7c15 >> 40 }

func unsealEnd(word uint64) (end int, ok bool) {
	end = int(word >> 24)
	return end, word&(1<<24-1) == sealOf(end)
}

// head returns the first page of a file, with nothing in it yet.
func (f *file) head() []byte {
	b := make([]byte, headSize)
	copy(b, magic)
	binary.LittleEndian.PutUint64(b[endAt:], sealEnd(0))
	binary.LittleEndian.PutUint32(b[stateAt:], open)
	boot := f.clock.Boot[:min(len(f.clock.Boot), bootSumAt-bootAt-1)]
	b[bootAt] = byte(len(boot))
	copy(b[bootAt+1:], boot)
	binary.LittleEndian.PutUint32(b[bootSumAt:], crc32.Checksum(b[bootAt:bootSumAt], castagnoli))
	return b
}

// Open is part of Memory.
func (f *file) Open() (Store, Held, error) {
	path, err := place(f.path)
	if err != nil {
		return nil, Held{}, fmt.Errorf("memory %s: %w", f.path, err)
	}
	f = &file{path: path, clock: f.clock}
	lock, err := lockFile(f.path + ".lock")
	if err != nil {
		return nil, Held{}, fmt.Errorf("memory %s: %w", f.path, err)
	}
	s := &store{file: f, lock: lock}
	held, err := f.read()
	if err == nil && held.Torn && held.Records == nil {
		held.Warning, err = s.aside(held.Warning)
	}
	if err != nil {
		_ = lock.Close()
		return nil, Held{}, fmt.Errorf("memory %s: %w", f.path, err)
	}
	for _, left := range []string{".new", ".old"} { // of a process that was killed
		_ = os.Remove(f.path + left)
	}
	return s, held, nil
}

var (
	errNoPath    = errors.New("the path is empty")
	errNoFile    = errors.New("it is no regular file, and would be renamed as one that is damaged")
	errManyLinks = errors.New("too many symbolic links")
)

// place returns where the file is, or is to be: symbolic links are followed, for the
// lock and the file written anew belong beside it, and not beside what leads there. It
// is an error if there is something that is no file.
func place(path string) (string, error) {
	if path == "" {
		return "", errNoPath
	}
	for range mostLinks {
		switch real, err := filepath.EvalSymlinks(path); {
		case err == nil:
			return real, regular(real)
		case !errors.Is(err, fs.ErrNotExist):
			return "", err
		}
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return "", err
		}
		path = filepath.Join(dir, filepath.Base(path))
		target, err := os.Readlink(path)
		if err != nil {
			return path, nil // it is to be made
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(dir, target)
		}
		path = target
	}
	return "", errManyLinks
}

const mostLinks = 64

func regular(path string) error {
	about, err := os.Stat(path)
	if err == nil && !about.Mode().IsRegular() {
		return errNoFile
	}
	return err
}

// read returns what the file holds. One that is torn or foreign holds nil.
func (f *file) read() (Held, error) {
	all, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return Held{Records: []byte{}}, nil
	}
	if err != nil {
		return Held{}, err
	}
	if len(all) < headSize || !bytes.HasPrefix(all, []byte(magic)) {
		return Held{Torn: true, Warning: "it is not a memory of this program's version"}, nil
	}
	end, ok := unsealEnd(binary.LittleEndian.Uint64(all[endAt:]))
	sum := binary.LittleEndian.Uint32(all[bootSumAt:])
	if !ok || end > len(all)-headSize || sum != crc32.Checksum(all[bootAt:bootSumAt], castagnoli) {
		return Held{Torn: true, Warning: "it is damaged"}, nil
	}
	return f.believe(all, all[headSize:headSize+end]), nil
}

// believe judges whether the records are all there are.
func (f *file) believe(all, records []byte) Held {
	size := min(int(all[bootAt]), bootSumAt-bootAt-1)
	boot := string(all[bootAt+1 : bootAt+1+size])
	held := Held{Records: records}
	switch state := binary.LittleEndian.Uint32(all[stateAt:]); {
	case state == closed:
	case state == open && boot != "" && boot == f.clock.Boot:
	case state == open:
		held.Torn, held.Warning = true, "the machine went down before it was closed"
	case state == forsaken:
		held.Torn, held.Warning = true, "the engine that had it could not go on writing it"
	default:
		return Held{Torn: true, Warning: "it is damaged"}
	}
	return held
}

// store is a file that an engine has open.
type store struct {
	*file
	lock *os.File
	m    *mapped // nil before the first Replace

	// spare is the file before m, if it is kept: it has its name beside m's, and is
	// written next. Two files in turn have their pages after the first round, and a page
	// is dear to come by: it is most of what ever new files would cost.
	spare *mapped
}

const (
	leastSize  = 4 << 20
	sizeFactor = 8
)

// Append is part of Store.
func (s *store) Append(records []byte) error {
	if s.m == nil {
		return errors.New("memory: nothing is appended before the first Replace")
	}
	if err := s.m.append(records); err != nil {
		return fmt.Errorf("memory %s: %w", s.path, err)
	}
	return nil
}

// Replace is part of Store.
func (s *store) Replace(records []byte) error {
	staged, err := s.Stage(records)
	if err != nil {
		return err
	}
	return staged.Commit(nil)
}

// Stage is part of InPlace.
func (s *store) Stage(records []byte) (Staged, error) {
	next, err := s.make(records)
	if err != nil {
		return nil, fmt.Errorf("memory %s: %w", s.path, err)
	}
	return &staged{s, next}, nil
}

// staged is a file that has not got its name yet.
type staged struct {
	store *store
	next  *mapped
}

// Commit is part of Staged.
func (g *staged) Commit(rest []byte) error {
	s := g.store
	err := g.next.append(rest)
	kept := false
	if err == nil {
		kept = s.m != nil && s.keepName() == nil
		err = g.takeName()
	}
	if err != nil {
		_ = os.Remove(s.path + ".old")
		g.Discard()
		return fmt.Errorf("memory %s: %w", s.path, err)
	}
	was := s.m
	s.m = g.next
	switch {
	case kept && os.Rename(s.path+".old", s.path+".new") == nil:
		s.spare = was
	case was != nil:
		was.close()
	}
	return nil
}

// takeName gives the file its name. The first of an engine has it on the disk as well: what
// it takes the place of is closed, and would be believed, or is not there, and would be taken
// for new. Those after it replace one that is open, which is torn once the machine went down.
func (g *staged) takeName() error {
	s := g.store
	if s.m != nil {
		return os.Rename(s.path+".new", s.path)
	}
	if err := g.next.sync(); err != nil {
		return err
	}
	if err := os.Rename(s.path+".new", s.path); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(s.path))
}

// syncFile has a file, or a directory, on the disk; tests look on.
var syncFile = (*os.File).Sync

// syncDirectory has the names in a directory on the disk, where that can be asked for.
func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	err = syncFile(dir)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}

// keepName gives the file a second name, so that it stays when another gets the first.
// Not every file system can.
func (s *store) keepName() error {
	_ = os.Remove(s.path + ".old")
	return os.Link(s.path, s.path+".old")
}

// Discard is part of Staged.
func (g *staged) Discard() {
	g.next.close()
	_ = os.Remove(g.store.path + ".new")
}

func (s *store) make(records []byte) (*mapped, error) {
	size := max(leastSize, headSize+sizeFactor*len(records))
	next := s.takeSpare(size)
	if next == nil {
		made, err := newMapped(s.path+".new", size)
		if err != nil {
			return nil, err
		}
		next = made
	}
	copy(next.bytes, s.head())
	if err := next.append(records); err != nil {
		next.close()
		return nil, err
	}
	return next, nil
}

// takeSpare returns the spare file with nothing in it, or nil if there is none of about
// that size. What is behind its end is of no meaning, as ever.
func (s *store) takeSpare(size int) *mapped {
	spare := s.spare
	s.spare = nil
	if spare != nil && (len(spare.bytes) < size || len(spare.bytes) > 2*size) {
		spare.close()
		return nil
	}
	if spare != nil {
		spare.empty()
	}
	return spare
}

// Forsake is part of InPlace.
func (s *store) Forsake() {
	if s.m != nil {
		s.m.setState(forsaken)
	}
}

// SetAside is part of InPlace.
func (s *store) SetAside() (string, error) {
	name := s.path + ".bad-" + time.Now().UTC().Format("20060102T150405.000000000")
	if err := os.Rename(s.path, name); err != nil {
		return "", err
	}
	return name, nil
}

func (s *store) aside(why string) (warning string, err error) {
	name, err := s.SetAside()
	return why + "; it is kept as " + filepath.Base(name), err
}

// Close is part of Store. It waits for the disk, and says only then that all is
// there, its name included.
func (s *store) Close() error {
	defer s.lock.Close()
	if s.spare != nil {
		s.spare.close()
		_ = os.Remove(s.path + ".new")
		s.spare = nil
	}
	if s.m == nil {
		return nil
	}
	err := syncDirectory(filepath.Dir(s.path))
	if err == nil {
		err = s.m.finish()
	}
	s.m.close()
	s.m = nil
	if err != nil {
		return fmt.Errorf("memory %s: %w", s.path, err)
	}
	return nil
}
