// Package telemetry measures what it costs an engine to be observed: the CPU of a request
// with metrics, with traces, and with neither, in slices of mirrored order against an
// engine without observers, and beside hooks that call the SDK and do nothing else; and with
// the live page, in longer ones.
package telemetry
