package auth

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// NonceFloor remembers, beyond the life of the process, up to where a key's
// nonces were used. One Floor is for one key. It is called under a lock, and delays
// the request that is signed then.
type NonceFloor interface {
	// Load returns what Store was last given, and zero if it never was. It is called
	// for every nonce: what is not this process's own was stored by another, which has
	// gone on. An error means that nobody knows: no request is signed then.
	Load() (uint64, error)
	// Store remembers that every nonce up to floor may be used from now on. It
	// returns when that would survive the end of the process, and an error if it
	// would not: no request is signed then. It is called about every ten seconds while
	// the key is in use, and more often while its nonces are ahead of the clock.
	Store(floor uint64) error
}

// ErrNonceFile means that a file is no whole file of NonceFile's. It is left as
// it is, and taken for nothing: what it should say is not known, and zero would be
// too little. Look at it; without it the nonces begin at the clock.
var ErrNonceFile = errors.New("not a nonce file, or a damaged one")

// NonceFile keeps a key's nonces rising over restarts, even if the clock was set
// back in between. The file is written whole or not at all, ahead of use, up to ten
// seconds ahead of the clock: a process that is killed leaves no nonce that the next one
// would use again, and the next one begins at most so far ahead, however many there
// were. A missing file is a key that was never used. Its directory must exist. Several
// processes may take turns, request by request if they like, for the file is read for
// every nonce; those that use one key at the same time cannot keep its order with any file.
func NonceFile(path string) NonceFloor { return nonceFile(path) }

type nonceFile string

const nonceFileHead = "sluice nonce floor 1\n"

// Load is part of NonceFloor.
func (f nonceFile) Load() (uint64, error) {
	text, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("nonce file: %w", err)
	}
	floor, ok := parseNonceFile(string(text))
	if !ok {
		return 0, fmt.Errorf("nonce file %s: %w", string(f), ErrNonceFile)
	}
	return floor, nil
}

func parseNonceFile(text string) (floor uint64, ok bool) {
	digits, ok := strings.CutPrefix(text, nonceFileHead)
	if !ok {
		return 0, false
	}
	digits, _, _ = strings.Cut(digits, "\n")
	floor, err := strconv.ParseUint(digits, 10, 64)
	return floor, err == nil && text == nonceFileText(floor)
}

func nonceFileText(floor uint64) string {
	text := nonceFileHead + strconv.FormatUint(floor, 10) + "\n"
	return text + fmt.Sprintf("%08x\n", crc32.ChecksumIEEE([]byte(text)))
}

// Store is part of NonceFloor. What is there is never lowered, and never
// replaced if it is something else.
func (f nonceFile) Store(floor uint64) error {
	stored, err := f.Load()
	if err != nil || stored >= floor {
		return err
	}
	if err := f.replace(nonceFileText(floor)); err != nil {
		return fmt.Errorf("nonce file: %w", err)
	}
	return nil
}

// replace writes a new file beside the old one and gives it the name, so that
// there is a whole one at every instant.
func (f nonceFile) replace(text string) (err error) {
	dir := filepath.Dir(string(f))
	next, err := os.CreateTemp(dir, filepath.Base(string(f))+".new*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(next.Name()) // the first error counts
		}
	}()
	_, err = next.WriteString(text)
	err = errors.Join(err, next.Sync(), next.Close())
	if err != nil {
		return err
	}
	if err = os.Rename(next.Name(), string(f)); err != nil {
		return err
	}
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync() // not every system can; the name then follows when it likes
		_ = d.Close()
	}
	return nil
}
