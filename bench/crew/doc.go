// Package crew makes one run on many machines: a coordinator deals a schedule out to workers,
// has them begin at one instant of its own clock, and gathers what they measured.
//
// It stands on proto.actor's remote. The layers, from the wire up:
//
//	gate       who may speak: a challenge, and a code of authenticity on every record
//	node       an actor system that others can reach through the gate
//	letters    what is said, each with the version of the protocol
//	courier    letters that must arrive, in parts: once each, in order, over any reconnect
//	worker     one machine's actor, which serves one run after another
//	run        the coordinator's, which has a member for each worker
//
// A run of two machines, of which one is shown:
//
//	coordinator ── enlist ─────▶ worker    which run, who asks, and how long its word is good
//	coordinator ◀── enlisted ─── worker    or refused: it is busy
//	coordinator ── probe ──────▶ worker    many, and one a second until the end
//	coordinator ◀── reading ──── worker    what its clock showed
//	coordinator ══ job ════════▶ worker    by courier, in parts
//	coordinator ◀══ ready ══════ worker    or failed
//	coordinator ── begin ──────▶ worker    at an instant of the worker's clock
//	coordinator ◀══ intervals ══ worker    one a second
//	coordinator ◀══ ended ══════ worker
//	coordinator ── dismiss ────▶ worker    which is then free
//
// Every letter to a worker renews its lease. A worker that hears nothing for that long ends
// its run and is free again; a coordinator that hears nothing from a worker for as long gives
// it up, and counts what it owed.
package crew
