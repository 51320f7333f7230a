// Package report tells what a run measured: as text for people, and as JSON, CSV,
// HdrHistogram's log, Go's benchmark format and Prometheus's for other programs.
//
// # JSON
//
// Names stay what they are within a format's number. Those that end in _s are seconds, in _us
// microseconds, in _per_s numbers a second, in _bytes bytes; all others count. What was not
// measured is null.
//
//	format       "sluice-report/1"
//	verdict      word (VALID, INVALID, INCOMPLETE), valid, whole, reasons, notes,
//	             no_request_succeeded (though there were some), objectives_failed, objectives (objective, held, measured)
//	run          id, name, started, model (open, closed), client, connections, callers, planned,
//	             think_s, length_s, warmup_s, elapsed_s, issued_s (for how long requests
//	             were issued: without the drain; 0 if unknown), reason, poisson, seed, speed, stages (from_per_s, to_per_s, for_s), machines
//	environment  host, system, cpu, cpus, procs, go, commit, load, modules, governor
//	requests     of the main part: over_s, offered, sent, completed, failed, unfinished,
//	             never_sent, offered_per_s, sent_per_s, completed_per_s
//	all          all operations together, as one of operations without a name
//	operations   name, count, failed, statuses, errors, samples (the first message of each kind
//	             of error that has one), in_bytes, out_bytes, repeats (of a request, by the
//	             client itself), stages_s, and
//	             response, service, lag, wait, success, connect: each with count, min_us,
//	             mean_us, p50_us, p90_us, p99_us, p99_9_us, max_us
//	warmup       as all, of the warm-up; missing if there was none
//	intervals    second_s, length_s, phase (warmup, main), offered, sent, completed, count,
//	             failed, response, service, lag, and gauges: in_flight, waiting, connections,
//	             cpu_s, heap_bytes, gc_s, gcs, limits (id, used, quota, queued, refusals)
//
// Offered, sent and completed of an interval count by their own instants; count, failed and the
// latencies by the instant due. Those of requests are of what was due in the main part,
// whenever it was sent and ended; but sent_per_s and completed_per_s of an open run count what
// was sent, and what ended, while the schedule went on: a backlog that was worked off
// afterwards is no rate that was held.
package report
