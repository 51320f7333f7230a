package loan

import (
	"bytes"
	"runtime"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestMemoryIsLentAgainOnlyOnceItsLoanHasEnded(t *testing.T) {
	first, loan := Take(20_000)
	second, _ := Take(20_000)
	require.NotSame(t, unsafe.SliceData(first), unsafe.SliceData(second))
	loan.End()
	again := taken(t, 20_000, first)
	require.Equal(t, 20_000, cap(again))
}

// taken takes until it is given the memory of want: a sync.Pool may forget.
func taken(t *testing.T, n int, want []byte) []byte {
	for range 100 {
		body, loan := Take(n)
		if unsafe.SliceData(body) == unsafe.SliceData(want) {
			return body
		}
		if len(loan.block.bytes) == cap(want) {
			continue
		}
	}
	if raceEnabled {
		t.Skip("the race detector has a sync.Pool forget at random")
	}
	t.Fatal("memory that was given back is not lent again")
	return nil
}

// A second End, by whichever copy and however late, must not lend one memory twice.
func TestALoanEndsOnce(t *testing.T) {
	for range 50 {
		body, loan := Take(50_000)
		copied := loan
		loan.End()
		copied.End()
		one, first := Take(50_000)
		loan.End() // long over, though the memory is lent again
		two, _ := Take(50_000)
		require.NotSame(t, unsafe.SliceData(one), unsafe.SliceData(two))
		_, _ = body, first
	}
}

func TestWhatIsKeptIsNeverLentAgain(t *testing.T) {
	PoisonEnded(true)
	defer PoisonEnded(false)
	body, loan := Take(Least)
	clear(body)
	copied := loan
	copied.Keep()
	loan.End()
	require.Equal(t, make([]byte, Least), body)
	for range 100 {
		other, _ := Take(Least)
		require.NotSame(t, unsafe.SliceData(body), unsafe.SliceData(other))
	}

	ended, over := Take(Least)
	over.End()
	over.Keep() // comes too late, and must not spoil whoever has the memory now
	require.Equal(t, bytes.Repeat([]byte{Poison}, Least), ended)
}

func TestSmallMemoryIsNotLent(t *testing.T) {
	body, loan := Take(Least - 1)
	require.Len(t, body, Least-1)
	require.Zero(t, loan)
	loan.Keep()
	loan.End()
}

func TestALoanHasAsManyBytesAsWereAskedFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 1<<20).Draw(t, "n")
		body, loan := Take(n)
		require.Len(t, body, n)
		require.Equal(t, n, cap(body))
		for i := range body {
			body[i] = 1
		}
		if rapid.Bool().Draw(t, "ends") {
			loan.End()
		}
	})
}

// What idles is the collector's.
func TestMemoryThatWasGivenBackIsCollected(t *testing.T) {
	const size = 32 << 20
	_, loan := Take(size)
	loan.End()
	loan = Loan{}
	runtime.GC()
	runtime.GC()
	runtime.GC()
	var after runtime.MemStats
	runtime.ReadMemStats(&after)
	require.Less(t, after.HeapAlloc, uint64(size))
}

// Many take, write their own mark, look whether it stays, and end, twice.
func TestNobodyWritesToWhatIsLentToAnother(t *testing.T) {
	PoisonEnded(true)
	defer PoisonEnded(false)
	var all sync.WaitGroup
	for mark := range byte(8) {
		all.Go(func() {
			for i := range 300 {
				body, loan := Take(Least + i%3*5000)
				for at := 0; at < len(body); at += 64 {
					body[at] = mark
				}
				runtime.Gosched()
				for at := 0; at < len(body); at += 64 {
					if body[at] != mark {
						t.Error("a body has another's bytes")
						return
					}
				}
				go loan.End()
				loan.End()
			}
		})
	}
	all.Wait()
}
