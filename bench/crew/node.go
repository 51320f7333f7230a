package crew

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Security is how machines know one another.
type Security struct {
	// Token is what all machines of a crew know, at least 16 characters; empty is for
	// loopback addresses only. It is never sent.
	Token string
	// Server and Client encrypt what is sent; both nil leave it readable to whoever can
	// listen, but with a Token nobody can change it, repeat it or speak for another.
	Server, Client *tls.Config
}

const leastToken = 16

// Validate says what is wrong with s for a machine that listens on host.
func (s Security) Validate(host string) error {
	var errs []error
	if s.Token == "" && !loopback(host) {
		errs = append(errs, fmt.Errorf("listening on %q needs a token, or anybody could send requests from this machine: set --token or SLUICE_TOKEN, or listen on 127.0.0.1", host))
	}
	if s.Token != "" && len(s.Token) < leastToken {
		errs = append(errs, fmt.Errorf("the token has %d characters, fewer than %d can be guessed: take the output of 'openssl rand -hex 16'", len(s.Token), leastToken))
	}
	if (s.Server == nil) != (s.Client == nil) {
		errs = append(errs, errors.New("TLS needs a certificate and a certificate authority on every machine, for each both dials and listens"))
	}
	return errors.Join(errs...)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// node is an actor system that those who know the token can reach. Its actors are told of
// what becomes of their connections by connectionLost and dialFailed.
type node struct {
	system  *actor.ActorSystem
	remote  *remote.Remote
	address string
	life    context.Context
	end     context.CancelFunc
	gate    *gate
	events  *eventstream.Subscription

	// open is held for reading while sending, and for writing by close alone: the library
	// cannot stand a send after its end, and whoever sends holds no other lock.
	open   sync.RWMutex
	closed bool

	mu      sync.Mutex
	watcher *actor.PID
	dialled map[string]error // by address: how connecting the socket ended
	failed  map[string]bool  // by address: the last attempt did, and the watcher was told
}

// connectionLost tells an actor of the node that the connection by which it sends to address
// ended. What was sent and not acknowledged may be lost. The next letter connects anew.
type connectionLost struct{ address string }

// dialFailed tells an actor of the node that there is no connection to address, and what was
// sent is lost. The error wraps ErrRefused, or errGone, or neither.
type dialFailed struct {
	address string
	err     error
}

// turnedAway tells an actor of the node that somebody was not let in.
type turnedAway struct {
	address string
	err     error
}

// errGone means that nobody listens there: the process has ended.
var errGone = errors.New("nobody listens there")

// openNode starts a system that listens on host and port; 0 means any.
func openNode(host string, port int, security Security, doors ...string) (*node, error) {
	if err := security.Validate(host); err != nil {
		return nil, err
	}
	inspector := &inspector{doors: map[string]struct{}{}}
	for _, id := range doors {
		inspector.doors[id] = struct{}{}
	}
	n := &node{gate: newGate(security.Token, inspector.inspect), dialled: map[string]error{}, failed: map[string]bool{}}
	n.gate.away = func(address string, err error) { n.tell(turnedAway{address, err}) }
	n.life, n.end = context.WithCancel(context.Background())
	n.system = actor.NewActorSystem(
		// The library logs whole messages.
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }),
		actor.WithDeadLetterThrottleInterval(5*time.Millisecond),
	)
	n.remote = remote.NewRemote(n.system, n.config(host, port, security))
	if err := start(n.remote); err != nil {
		n.end()
		return nil, err
	}
	n.address = n.system.Address()
	inspector.address = n.address
	n.events = n.system.EventStream.Subscribe(func(event any) {
		if lost, ok := event.(*remote.EndpointTerminatedEvent); ok {
			n.ended(lost.Address)
		}
	})
	return n, nil
}

// start makes an error of the panic by which the library says that it cannot listen.
func start(r *remote.Remote) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("cannot listen: %v", p)
		}
	}()
	r.Start()
	return nil
}

func (n *node) config(host string, port int, security Security) *remote.Config {
	server, client := insecure.NewCredentials(), insecure.NewCredentials()
	if security.Server != nil {
		server, client = credentials.NewTLS(security.Server), credentials.NewTLS(security.Client)
	}
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
		host = "[" + host + "]" // the library puts host and port together as they are
	}
	cfg := remote.Configure(host, port,
		remote.WithServerOptions(
			grpc.Creds(server),
			grpc.StreamInterceptor(n.gate.admit), grpc.UnaryInterceptor(refuseCalls),
			grpc.MaxRecvMsgSize(mostRecord), grpc.MaxConcurrentStreams(8), grpc.ConnectionTimeout(handshakeTime),
			grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: 10 * time.Second, Time: 10 * time.Second, Timeout: 5 * time.Second}),
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second}),
		),
		remote.WithDialOptions(
			grpc.WithTransportCredentials(client),
			grpc.WithStreamInterceptor(n.connect),
			grpc.WithContextDialer(n.dial),
			grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(mostRecord)),
		),
		remote.WithEndpointWriterBatchSize(lettersAtATime),
		remote.WithEndpointWriterQueueSize(64), // what it begins with: the default takes 16 MB
	)
	cfg.MaxRetryCount = 1 // a member tries again with its next letter, and says so
	return cfg
}

// dial connects. Proxies of the environment are for requests to servers, not for this.
func (n *node) dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: handshakeTime}).DialContext(ctx, "tcp", address)
	if errors.Is(err, syscall.ECONNREFUSED) {
		err = fmt.Errorf("%w: %w", errGone, err)
	}
	n.mu.Lock()
	n.dialled[address] = err
	n.mu.Unlock()
	return conn, err
}

// connect is the client's interceptor: it opens a stream through the other side's gate. The
// watcher is told of a failure at once: the library says so two seconds later.
func (n *node) connect(_ context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	address := cc.Target()
	stream, err := n.gate.open(n.life, func(ctx context.Context) (grpc.ClientStream, error) {
		return streamer(ctx, desc, cc, method, opts...)
	})
	n.mu.Lock()
	if cause := n.dialled[address]; err != nil && cause != nil {
		err = cause // the library's own words bury it
	}
	delete(n.dialled, address)
	watcher := n.watcher
	n.failed[address] = err != nil
	n.mu.Unlock()
	if err != nil && watcher != nil {
		n.system.Root.Send(watcher, dialFailed{address, plainly(err)})
	}
	return stream, err
}

// plainly takes gRPC's frame off an error that it carried.
func plainly(err error) error {
	s, ok := status.FromError(err)
	if !ok || errors.Is(err, ErrRefused) {
		return err
	}
	text := s.Message()
	if quoted, found := strings.CutPrefix(text, "connection error: desc = "); found {
		if inner, err := strconv.Unquote(quoted); err == nil {
			text = inner
		}
	}
	if strings.Contains(text, "server preface") {
		text += ": what listens there is no sluice of this kind, or asks for TLS"
	}
	return errors.New(text)
}

// ended tells the watcher that a connection ended, unless it never was one.
func (n *node) ended(address string) {
	n.mu.Lock()
	watcher := n.watcher
	failed := n.failed[address]
	delete(n.failed, address)
	n.mu.Unlock()
	if watcher != nil && !failed {
		n.system.Root.Send(watcher, connectionLost{address})
	}
}

// spawn starts the node's actor, which takes letters under the name id.
func (n *node) spawn(id string, a actor.Actor) (*actor.PID, error) {
	pid, err := n.system.Root.SpawnNamed(actor.PropsFromProducer(func() actor.Actor { return a }), id)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	n.watcher = pid
	n.mu.Unlock()
	return pid, nil
}

// send writes to the actor named id at address. It never waits; what cannot be sent is lost,
// and the watcher is told.
func (n *node) send(address, id string, l letter) {
	l.Version = Version
	text, err := json.Marshal(l)
	if err != nil {
		return // nothing in a letter can fail to be JSON
	}
	n.open.RLock()
	defer n.open.RUnlock()
	if !n.closed {
		n.system.Root.Send(actor.NewPID(address, id), wrapperspb.Bytes(text))
	}
}

// tell sends the node's actor a message of its own process.
func (n *node) tell(m any) {
	n.mu.Lock()
	watcher := n.watcher
	n.mu.Unlock()
	if watcher != nil {
		n.system.Root.Send(watcher, m)
	}
}

// close ends all connections. No actor of the node is told anything more.
func (n *node) close() {
	n.open.Lock()
	n.closed = true
	n.open.Unlock()
	n.mu.Lock()
	n.watcher = nil
	n.mu.Unlock()
	n.end() // the streams that this node opened end, and what writes to them
	// Without grace: the library's grace waits for up to ten seconds, and can send on a
	// channel that it has closed.
	n.remote.Shutdown(false)
}

// split takes host:port apart.
func split(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("%q is no host:port", address)
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("%q: the port is no number of 0 to 65535", address)
	}
	return host, port, nil
}
