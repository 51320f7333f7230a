//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package memory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// mapped is a file as memory: what is stored there is in the system's cache at once,
// and survives the process. All of it has its place on the disk beforehand, so that
// no store can find the disk full.
//
// Records come before the end that counts them in: who is killed in between leaves
// an end that knows nothing of them.
type mapped struct {
	file  *os.File
	bytes []byte
	end   int // of the records, from headSize on
}

// newMapped makes a file of zeros, in place of one that is there.
func newMapped(path string, size int) (m *mapped, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	m = &mapped{file: file}
	if err := m.resize(size); err != nil {
		m.close()
		_ = os.Remove(path)
		return nil, err
	}
	return m, nil
}

// resize makes the file larger.
func (m *mapped) resize(size int) error {
	if err := reserve(m.file, int64(len(m.bytes)), int64(size)); err != nil {
		return fmt.Errorf("no room for %d bytes: %w", size, err)
	}
	next, err := syscall.Mmap(int(m.file.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return err
	}
	if m.bytes != nil {
		_ = syscall.Munmap(m.bytes)
	}
	m.bytes = next
	return nil
}

// zeros writes zeros, where the system cannot set room aside.
func zeros(file *os.File, from, to int64) error {
	page := make([]byte, 64<<10)
	for from < to {
		n, err := file.WriteAt(page[:min(int64(len(page)), to-from)], from)
		if err != nil {
			return err
		}
		from += int64(n)
	}
	return nil
}

func (m *mapped) append(records []byte) error {
	if m.bytes == nil {
		return os.ErrClosed
	}
	at := headSize + m.end
	if at+len(records) > len(m.bytes) {
		if err := m.resize(2*len(m.bytes) + len(records)); err != nil {
			return err
		}
	}
	copy(m.bytes[at:], records)
	m.end += len(records)
	atomic.StoreUint64((*uint64)(unsafe.Pointer(&m.bytes[endAt])), littleEndian64(sealEnd(m.end)))
	return nil
}

// empty has records begin anew.
func (m *mapped) empty() { m.end = 0 }

func (m *mapped) setState(state uint32) {
	if m.bytes == nil {
		return
	}
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], state)
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&m.bytes[stateAt])), binary.NativeEndian.Uint32(b[:]))
}

func (m *mapped) state() uint32 { return binary.LittleEndian.Uint32(m.bytes[stateAt:]) }

// littleEndian64 returns what has to be stored to have v there, the least significant
// byte first.
func littleEndian64(v uint64) uint64 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	return binary.NativeEndian.Uint64(b[:])
}

func (m *mapped) sync() error { return syncFile(m.file) }

// finish has all on the disk, and then the word that it is.
func (m *mapped) finish() error {
	if m.state() == forsaken {
		return m.sync()
	}
	if err := m.sync(); err != nil {
		return err
	}
	m.setState(closed)
	return m.sync()
}

func (m *mapped) close() {
	if m.bytes != nil {
		_ = syscall.Munmap(m.bytes)
		m.bytes = nil
	}
	_ = m.file.Close()
}

// inUse says who holds a lock, as far as its file tells.
func inUse(lock *os.File) error {
	var b [20]byte
	n, _ := lock.ReadAt(b[:], 0)
	if pid, err := strconv.Atoi(string(b[:n])); err == nil {
		return fmt.Errorf("%w: process %d holds %s", ErrInUse, pid, lock.Name())
	}
	return fmt.Errorf("%w, which holds %s", ErrInUse, lock.Name())
}

// lockFile takes a lock that ends with the process.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	switch err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case err == nil:
		_ = file.Truncate(0)
		_, _ = file.WriteAt(strconv.AppendInt(nil, int64(os.Getpid()), 10), 0) // for whoever is held off, and no more
		return file, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		defer file.Close()
		return nil, inUse(file)
	default:
		_ = file.Close()
		return nil, err
	}
}
