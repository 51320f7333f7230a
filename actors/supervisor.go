package actors

import (
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluice-engine/sluice/messages"
)

// supervisor starts throttler, timesync and pools, restarts them when they
// fail, and ends them in the order in which they need each other.
type supervisor struct {
	system *System

	throttler *actor.PID
	timesync  *actor.PID            // nil without a source of time, and once it has ended
	pools     map[string]*actor.PID // every live pool, by its id
	opened    int                   // pools ever opened: no id is used twice
	closing   bool
	ending    bool // nobody uses the system any longer
}

// What the supervisor is told by nobody but the system and itself.
type (
	closeAll    struct{}
	endAll      struct{}
	poolParting struct {
		origin messages.Origin
		door   *poolDoor // shut
	}
	restartDue struct {
		child  *actor.PID
		parent actor.Supervisor
	}
)

// startSupervisor returns when throttler and timesync can be told things.
func startSupervisor(s *System) {
	s.supervisor = newAddress()
	s.actors.Root.Spawn(s.supervisor.props(
		func() actor.Actor { return &supervisor{system: s, pools: make(map[string]*actor.PID)} },
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
	case messages.OpenPool:
		v.openPool(ctx, m)
	case poolParting:
		v.publish(m.origin, m.door, nil)
	case restartDue:
		m.parent.RestartChildren(m.child)
	case closeAll:
		v.close()
	case endAll:
		v.ending = true
		v.end(ctx)
	case *actor.Terminated:
		v.forget(m.Who)
		v.end(ctx)
	}
}

func (v *supervisor) start(ctx actor.Context) {
	s := v.system
	s.throttler = newAddress()
	v.throttler = v.spawn(ctx, "throttler", s.throttler.props(newThrottler(s)))
	if s.config.Sample != nil {
		s.timesync = newAddress()
		v.timesync = v.spawn(ctx, "timesync", s.timesync.props(newTimesync(s)))
	}
}

func (v *supervisor) spawn(ctx actor.Context, name string, props *actor.Props) *actor.PID {
	pid, err := ctx.SpawnNamed(props, name)
	if err != nil {
		panic(err) // two children of one name: a mistake in this file
	}
	return pid
}

// openPool answers with the pool of an origin, and publishes a new one for the
// requests that follow: they need not ask.
func (v *supervisor) openPool(ctx actor.Context, m messages.OpenPool) {
	if v.closing {
		m.Owner.Tell(messages.PoolOpened{Err: messages.ErrClosed})
		return
	}
	door := (*v.system.pools.Load())[m.Origin]
	if door == nil || door.isShut() {
		door = &poolDoor{address: newAddress()}
		v.opened++
		name := fmt.Sprintf("pool/%d/%s", v.opened, m.Origin)
		pid := v.spawn(ctx, name, door.props(newPool(v.system, m.Origin, door)))
		v.pools[pid.Id] = pid
		v.publish(m.Origin, nil, door)
	}
	m.Owner.Tell(messages.PoolOpened{Pool: door})
}

// publish replaces a door, or takes it away, unless there is another by now.
func (v *supervisor) publish(origin messages.Origin, old, door *poolDoor) {
	doors := maps.Clone(*v.system.pools.Load())
	if doors == nil {
		doors = make(map[messages.Origin]*poolDoor)
	}
	switch {
	case door != nil:
		doors[origin] = door
	case doors[origin] == old:
		delete(doors, origin)
	}
	v.system.pools.Store(&doors)
}

// close tells everyone to answer who waits. The throttler stays, for permits
// are still to be settled.
func (v *supervisor) close() {
	v.closing = true
	v.system.throttler.Tell(messages.CloseThrottler{})
	if v.timesync != nil {
		v.system.timesync.Tell(messages.CloseTimesync{})
	}
	for _, pid := range v.pools {
		v.system.actors.Root.Send(pid, messages.ClosePool{})
	}
}

func (v *supervisor) forget(child *actor.PID) {
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
		v.ending = false
		ctx.Stop(ctx.Self())
		v.system.end()
	}
}

// HandleFailure restarts a failed child: at once the first time, then with a
// growing pause. Its messages wait meanwhile.
func (v *supervisor) HandleFailure(_ *actor.ActorSystem, parent actor.Supervisor, child *actor.PID, stats *actor.RestartStatistics, reason, _ any) {
	stats.Fail()
	failures := stats.NumberOfFailures(10 * time.Second)
	v.system.config.Logger.Error("actor failed, restarting it",
		slog.String("actor", child.Id), slog.Any("reason", reason), slog.Int("failures", failures),
		slog.String("stack", string(debug.Stack())))
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
