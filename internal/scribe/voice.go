package scribe

import (
	"context"
	"log/slog"
)

// voice is the slog.Handler that actors log with. What With and WithGroup add to
// it is told to the caller's handler by the goroutine that writes.
type voice struct {
	scribe *Scribe
	parent *voice // nil for the first
	attrs  []slog.Attr
	group  string // instead of attrs

	made slog.Handler // owned by the goroutine that writes: the caller's, with all of this
}

// Enabled is part of slog.Handler.
func (v *voice) Enabled(_ context.Context, level slog.Level) bool { return v.scribe.wants(level) }

// Handle is part of slog.Handler.
func (v *voice) Handle(ctx context.Context, record slog.Record) error {
	v.scribe.say(line{context.WithoutCancel(ctx), v, record.Clone()})
	return nil
}

// WithAttrs is part of slog.Handler.
func (v *voice) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return v
	}
	return &voice{scribe: v.scribe, parent: v, attrs: attrs}
}

// WithGroup is part of slog.Handler.
func (v *voice) WithGroup(name string) slog.Handler {
	if name == "" {
		return v
	}
	return &voice{scribe: v.scribe, parent: v, group: name}
}

// handler is the caller's own, with what was added to the voice.
func (v *voice) handler() slog.Handler {
	switch {
	case v.made != nil:
	case v.parent == nil:
		v.made = v.scribe.to
	case v.group != "":
		v.made = v.parent.handler().WithGroup(v.group)
	default:
		v.made = v.parent.handler().WithAttrs(v.attrs)
	}
	return v.made
}
