package load

import (
	"encoding/binary"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// timerFile is a timer of the kernel's that the network poller waits for, as it waits for
// sockets: it wakes the process to the microsecond, and holds no thread meanwhile. The same
// read has a deadline, which is a timer of Go's: while all processors are busy the poller is
// looked at rarely, and Go's timers at every switch.
type timerFile struct {
	file *os.File
	raw  int
	out  [8]byte
}

func newFineTimer() fineTimer {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil
	}
	file := os.NewFile(uintptr(fd), "timer")
	if file.SetReadDeadline(time.Time{}) != nil { // the poller does not take it
		file.Close()
		return nil
	}
	return &timerFile{file: file, raw: fd}
}

func (t *timerFile) sleep(d time.Duration) bool {
	at := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(d, 1)))}
	if unix.TimerfdSettime(t.raw, 0, &at, nil) != nil || t.file.SetReadDeadline(time.Now().Add(d)) != nil {
		return false
	}
	_, err := t.file.Read(t.out[:])
	if err != nil {
		return os.IsTimeout(err)
	}
	return binary.NativeEndian.Uint64(t.out[:]) > 0
}

func (t *timerFile) close() { t.file.Close() }

// simulated says that this goroutine's clock is not the system's: testing/synctest's begins
// in the year 2000, and stands still while the kernel's timers run.
func simulated() bool {
	var now syscall.Timeval
	if syscall.Gettimeofday(&now) != nil {
		return false
	}
	return time.Since(time.Unix(now.Unix())).Abs() > time.Hour
}
