package actors

import (
	"log/slog"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"
	"github.com/asynkron/protoactor-go/extensions"
	cmap "github.com/orcaman/concurrent-map"
)

// silent is an actor system that keeps silent, for the library would log messages
// whole, secrets included. No actor ever lives in it: it is what the systems of all
// engines are copied from, because the library's only constructor makes a registry
// of 32,768 maps, which takes milliseconds and megabytes, and has no setting for it.
// The process pays for that once, and keeps nothing of it but the logger and the
// configuration.
var silent = sync.OnceValue(func() actor.ActorSystem {
	system := actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }),
		actor.WithDeadLetterThrottleInterval(5*time.Millisecond),
	)
	bare := *system
	bare.ProcessRegistry, bare.Root, bare.EventStream, bare.Guardians, bare.DeadLetter, bare.Extensions = nil, nil, nil, nil, nil, nil
	return bare
})

// newActorSystem returns a system of its own for one engine. Everything that the
// library hangs on a system is made here, in the library's order and by its own
// constructors, but for the registry's maps. What is left of the copy is the logger,
// the configuration, and the channel that ActorSystem.Shutdown closes: that belongs
// to all of them, so nobody calls Shutdown, which does nothing else.
func newActorSystem() *actor.ActorSystem {
	system := silent()
	system.ProcessRegistry = newRegistry(&system)
	system.Root = actor.NewRootContext(&system, actor.EmptyMessageHeader)
	system.Guardians = actor.NewGuardians(&system)
	system.EventStream = eventstream.NewEventStream()
	system.DeadLetter = actor.NewDeadLetter(&system)
	system.Extensions = extensions.NewExtensions()
	actor.SubscribeSupervision(&system)
	system.Extensions.Register(actor.NewMetrics(&system, nil))
	system.ProcessRegistry.Add(actor.NewEventStreamProcess(&system), "eventstream")
	return &system
}

// newRegistry returns a process registry of one bucket, which is 32 maps, where the
// library's has 1,024 of them. Nobody looks an actor up while requests are carried;
// docs/architecture.md says what that saves.
func newRegistry(system *actor.ActorSystem) *actor.ProcessRegistryValue {
	return &actor.ProcessRegistryValue{
		ActorSystem: system,
		Address:     "nonhost", // what the library calls a system that no other can reach
		LocalPIDs:   &actor.SliceMap{LocalPIDs: []cmap.ConcurrentMap{cmap.New()}},
	}
}
