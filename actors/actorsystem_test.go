package actors

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// What every actor system has is looked up in it by name: two that shared any of it
// would find each other's actors, and end together.
func TestActorSystemsAreCopiedFromOneAndShareNoActor(t *testing.T) {
	one, other := newActorSystem(), newActorSystem()
	require.NotSame(t, one.ProcessRegistry, other.ProcessRegistry)
	require.NotSame(t, one.ProcessRegistry.LocalPIDs, other.ProcessRegistry.LocalPIDs)
	require.NotSame(t, one.Root, other.Root)
	require.NotSame(t, one.Guardians, other.Guardians)
	require.NotSame(t, one.EventStream, other.EventStream)
	require.NotSame(t, one.DeadLetter, other.DeadLetter)
	require.NotSame(t, one.Extensions, other.Extensions)

	pid, err := one.Root.SpawnNamed(actor.PropsFromFunc(func(actor.Context) {}), "request/1")
	require.NoError(t, err)
	_, there := one.ProcessRegistry.GetLocal(pid.Id)
	require.True(t, there)
	_, elsewhere := other.ProcessRegistry.GetLocal(pid.Id)
	require.False(t, elsewhere)
	require.NoError(t, one.Root.StopFuture(pid).Wait())
	require.Same(t, one, one.Root.ActorSystem())
}
