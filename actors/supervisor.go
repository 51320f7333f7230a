package actors

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluice-engine/sluice/actors/pool"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// supervisor starts throttler, timesync and pools, restarts them when they
// fail, and ends them in the order in which they need each other.
type supervisor struct {
	system *System

	throttler *actor.PID                   // nil once it has ended
	timesync  *actor.PID                   // nil without a source of time, and once it has ended
	pools     map[string]*pool.Door        // the door of every live pool, by the id of its actor
	survivors map[string]protocol.Survivor // of every live child, by its id
	opened    int                          // pools ever opened: no id is used twice
	closing   bool
	ending    bool // nobody uses the system any longer
}

// child is an actor that the supervisor starts.
type child interface {
	protocol.Survivor
	Incarnate() actor.Actor
}

// restartDue is the supervisor's own alarm.
type restartDue struct {
	child  *actor.PID
	parent actor.Supervisor
}

// startSupervisor returns when throttler and timesync can be told things: an
// idle actor is run by whoever spawns it.
func startSupervisor(s *System) {
	s.actors.Root.Spawn(s.supervisor.Props(
		func() actor.Actor {
			return &supervisor{system: s, pools: make(map[string]*pool.Door), survivors: make(map[string]protocol.Survivor)}
		},
		actor.WithGuardian(resumeFailed{}),
	))
}

// resumeFailed keeps the supervisor's struct: it has no state that a panic in
// one of its few handlers could tear.
type resumeFailed struct{}

// HandleFailure is part of actor.SupervisorStrategy.
func (resumeFailed) HandleFailure(_ *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, _, _ any) {
	supervisor.ResumeChildren(child)
}

// Receive is part of actor.Actor.
func (v *supervisor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		v.start(ctx)
	case protocol.OpenPool:
		m.Owner.Tell(protocol.PoolOpened{Err: v.openPool(ctx, m.Origin, m.Egress)})
	case protocol.PoolUnused:
		v.retire(m)
	case restartDue:
		m.parent.RestartChildren(m.child)
	case protocol.CloseSystem:
		v.close()
	case protocol.EndSystem:
		v.ending = true
		v.end(ctx)
	case *actor.Terminated:
		v.forget(m.Who)
		v.end(ctx)
	case *actor.Stopping, *actor.Stopped:
	default:
		v.system.config.Logger.Error("supervisor was told a word it does not know", "word", fmt.Sprintf("%T", m))
	}
}

func (v *supervisor) start(ctx actor.Context) {
	s := v.system
	v.throttler = v.spawn(ctx, "throttler", s.throttler.Props, s.newThrottler)
	if s.config.Sample != nil {
		v.timesync = v.spawn(ctx, "timesync", s.timesync.Props, s.newTimesync)
	}
}

// spawn starts a child at its address.
func (v *supervisor) spawn(ctx actor.Context, name string, at func(actor.Producer, ...actor.PropsOption) *actor.Props, c child) *actor.PID {
	pid, err := ctx.SpawnNamed(at(c.Incarnate), name)
	if err != nil {
		panic(err) // two children of one name: a mistake in this file
	}
	v.survivors[pid.Id] = c
	return pid
}

// openPool sees to it that an origin has a pool by an exit, and publishes a new one for
// the requests that follow: they need not ask.
func (v *supervisor) openPool(ctx actor.Context, origin messages.Origin, egress string) error {
	if v.closing {
		return messages.ErrClosed
	}
	by := v.system.exits.of(egress)
	if by == nil {
		return messages.ErrUnknownEgress
	}
	if by.pools.of(origin) != nil {
		return nil // two requests asked at the same time
	}
	door := pool.NewDoor()
	v.opened++
	name := fmt.Sprintf("pool/%d/%s", v.opened, origin)
	pid := v.spawn(ctx, name, door.Props, pool.New(v.system.poolNeeds(origin, by, door)))
	v.pools[pid.Id] = door
	by.pools.publish(origin, door)
	return nil
}

// retire ends a pool that has been of no use for long, unless a request refers
// to it. Slots between two lives do not count: they are told to leave first.
func (v *supervisor) retire(m protocol.PoolUnused) {
	pools := v.system.exits.of(m.Egress).pools
	door := pools.of(m.Origin)
	if door == nil || protocol.Door(door) != m.Door {
		return // it parts already
	}
	v.system.requests.LeavePool(m.Door)
	if door.Shut() {
		pools.publish(m.Origin, nil)
		door.Tell(protocol.PartPool{})
	}
}

// close tells everyone to answer who waits. The throttler stays, for permits
// are still to be settled.
func (v *supervisor) close() {
	v.closing = true
	v.system.throttler.Tell(protocol.CloseThrottler{})
	if v.timesync != nil {
		v.system.timesync.Tell(protocol.CloseTimesync{})
	}
	for _, door := range v.pools { // those that part included
		door.Tell(protocol.ClosePool{})
	}
}

func (v *supervisor) forget(child *actor.PID) {
	delete(v.survivors, child.Id)
	switch {
	case v.throttler.Equal(child):
		v.throttler = nil
	case v.timesync != nil && v.timesync.Equal(child):
		v.timesync = nil
	default:
		delete(v.pools, child.Id)
	}
}

// end stops the throttler once nobody is left who could settle a permit, then
// itself.
func (v *supervisor) end(ctx actor.Context) {
	switch {
	case !v.closing || !v.ending || len(v.pools) > 0 || v.timesync != nil:
	case v.throttler != nil:
		ctx.Poison(v.throttler) // behind the last settlements
	default:
		v.ending = false // end once
		ctx.Stop(ctx.Self())
		v.system.end()
	}
}

// HandleFailure restarts a failed child: at once the first time, then with a
// growing pause. Its messages wait meanwhile. What survives of it is told first
// which message it failed on: nobody runs it now.
func (v *supervisor) HandleFailure(_ *actor.ActorSystem, parent actor.Supervisor, child *actor.PID, stats *actor.RestartStatistics, reason, message any) {
	if survivor := v.survivors[child.Id]; survivor != nil {
		survivor.Failed(message)
	}
	stats.Fail()
	v.system.restarts.Add(1)
	failures := stats.NumberOfFailures(10 * time.Second)
	v.system.config.Logger.Error("actor failed, restarting it",
		slog.String("actor", child.Id), slog.Any("reason", reason), slog.String("word", fmt.Sprintf("%T", message)),
		slog.Int("failures", failures), slog.String("stack", string(debug.Stack())))
	if failures <= 1 {
		parent.RestartChildren(child)
		return
	}
	time.AfterFunc(restartPause(failures), func() { v.system.supervisor.Tell(restartDue{child, parent}) })
}

// restartPause is 10 ms for the second failure within 10 s, doubling to 1 s.
func restartPause(failures int) time.Duration {
	return min(time.Second, 10*time.Millisecond<<min(failures-2, 10))
}
