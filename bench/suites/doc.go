// Package suites runs other projects' own tests through engine.RoundTripper, and
// net/http's as well.
//
// Their tests are not changed. A copy of each module is built twice: as it is, which
// is the baseline, and with net/http overlaid so that the requests of every
// http.Transport make their journey through an engine (see package carrier). The
// second binary runs with answers streamed and with answers read whole, and every
// verdict is held against the baseline's. A difference needs a line in Reasons.
//
// Modules come from the module proxy that the environment names, in versions that
// are pinned here. Nothing of theirs is kept but in a cache folder.
package suites
