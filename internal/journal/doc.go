// Package journal writes down what a ledger does into a memory, as it happens, and
// reads it again after a restart.
//
//	journal.go   Journal, which is told what happens: a throttle.Recorder
//	open.go      the beginning: what the memory had, and a journal that goes on from it
//	compact.go   what matters still in place of all that was
//	post.go      a memory that takes its time: requests leave once it has them
//	nonces.go    how far nonces may have been used
//	records.go   the records: their kinds and their bytes
//	reader.go    the bytes of one record
//	replay.go    records, one after the other, into what they come to
//
// Every grant is a record before its request can leave, and so is how far nonces are
// used. What becomes of a permit is one right after it is known: of a permit without
// one nothing is known but that it was in flight when the process ended. Instants are
// those of the ledger, in microseconds, rounded up: what was answered counts as if it
// had been a little later.
package journal
