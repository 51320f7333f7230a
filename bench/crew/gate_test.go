package crew

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// tube is one end of a stream in memory, which notes what was sent.
type tube struct {
	out, in chan []byte
	sent    *[][]byte
	mu      *sync.Mutex
}

func tubes() (a, b *tube) {
	there, back := make(chan []byte, 16), make(chan []byte, 16)
	sent, mu := new([][]byte), new(sync.Mutex)
	return &tube{there, back, sent, mu}, &tube{back, there, sent, mu}
}

func (t *tube) SendMsg(m any) error {
	raw, err := proto.Marshal(m.(proto.Message))
	t.mu.Lock()
	*t.sent = append(*t.sent, raw)
	t.mu.Unlock()
	t.out <- raw
	return err
}

func (t *tube) RecvMsg(m any) error {
	raw, ok := <-t.in
	if !ok {
		return io.EOF
	}
	return proto.Unmarshal(raw, m.(proto.Message))
}

func letAllIn(*recordSide, proto.Message) error { return nil }

// meet has a dialer and an acceptor go through the challenge.
func meet(dialer, acceptor *gate) (d, a *recordSide, sent [][]byte, dialed, accepted error) {
	left, right := tubes()
	var secretsOfAcceptor secrets
	done := make(chan struct{})
	go func() {
		defer close(done)
		secretsOfAcceptor, accepted = acceptor.accept(right)
		if accepted != nil {
			close(right.out)
		}
	}()
	s, dialed := dialer.dial(left)
	if dialed != nil {
		close(left.out)
	}
	<-done
	d = &recordSide{wire: left, gate: dialer, sendKey: s.toAcceptor, receiveKey: s.toDialer}
	a = &recordSide{wire: right, gate: acceptor, sendKey: secretsOfAcceptor.toDialer, receiveKey: secretsOfAcceptor.toAcceptor, acceptor: true}
	return d, a, *left.sent, dialed, accepted
}

const goodToken = "a token of all machines"

func TestWhoKnowsTheTokenGetsInAndNeverSendsIt(t *testing.T) {
	d, a, sent, dialed, accepted := meet(newGate(goodToken, letAllIn), newGate(goodToken, letAllIn))
	require.NoError(t, dialed)
	require.NoError(t, accepted)
	require.NoError(t, d.SendMsg(wrapperspb.Bytes([]byte("to you"))))
	require.NoError(t, a.SendMsg(wrapperspb.Bytes([]byte("and back"))))
	var m wrapperspb.BytesValue
	require.NoError(t, a.RecvMsg(&m))
	require.Equal(t, "to you", string(m.Value))
	require.NoError(t, d.RecvMsg(&m))
	require.Equal(t, "and back", string(m.Value))
	for _, raw := range sent {
		require.False(t, bytes.Contains(raw, []byte(goodToken)))
	}
}

func TestWhoDoesNotKnowTheTokenIsRefusedOnBothSides(t *testing.T) {
	for other, why := range map[string]string{"": "set SLUICE_TOKEN", "another token altogether": wrongToken, goodToken + " ": wrongToken} {
		_, _, _, dialed, accepted := meet(newGate(other, letAllIn), newGate(goodToken, letAllIn))
		require.ErrorIs(t, dialed, ErrRefused)
		require.ErrorContains(t, dialed, why)
		require.ErrorIs(t, accepted, ErrRefused)
	}
}

// An acceptor that lets everybody in, to learn what it is told, is found out too.
func TestAnAcceptorHasToKnowTheTokenToo(t *testing.T) {
	left, right := tubes()
	go func() {
		_, _ = receiveGreeting(right)
		_ = sendGreeting(right, greeting{Crew: Version, Nonce: make([]byte, nonceSize)})
		_, _ = receiveGreeting(right)
		_ = sendGreeting(right, greeting{Crew: Version, Proof: make([]byte, macSize)})
	}()
	_, err := newGate(goodToken, letAllIn).dial(left)
	require.ErrorIs(t, err, ErrRefused)
	require.ErrorContains(t, err, "does not know the token")
}

func TestAnotherVersionIsRefusedWithBothNumbers(t *testing.T) {
	old := newGate(goodToken, letAllIn)
	old.version = Version + 6
	for _, pair := range [][2]*gate{{old, newGate(goodToken, letAllIn)}, {newGate(goodToken, letAllIn), old}} {
		_, _, _, dialed, accepted := meet(pair[0], pair[1])
		for _, err := range []error{dialed, accepted} {
			require.ErrorIs(t, err, ErrRefused)
			require.ErrorContains(t, err, "version 7")
			require.ErrorContains(t, err, "version 1")
			require.ErrorContains(t, err, "use the same sluice on all machines")
		}
	}
}

// What was heard of one challenge gets nobody through another.
func TestAChallengeCannotBeReplayed(t *testing.T) {
	_, _, sent, _, _ := meet(newGate(goodToken, letAllIn), newGate(goodToken, letAllIn))
	require.Len(t, sent, 4)
	left, right := tubes()
	left.out <- sent[0]
	left.out <- sent[2]
	_, err := newGate(goodToken, letAllIn).accept(right)
	require.ErrorIs(t, err, ErrRefused)
	require.ErrorContains(t, err, "wrong token")
}

func TestARecordThatWasChangedRepeatedLeftOutOrTurnedBackEndsTheStream(t *testing.T) {
	for name, tamper := range map[string]func(records [][]byte) [][]byte{
		"changed":  func(r [][]byte) [][]byte { r[0][len(r[0])-1]++; return r[:1] },
		"repeated": func(r [][]byte) [][]byte { return [][]byte{r[0], r[0]} },
		"left out": func(r [][]byte) [][]byte { return r[1:] },
		"swapped":  func(r [][]byte) [][]byte { return [][]byte{r[1], r[0]} },
		"cut": func(r [][]byte) [][]byte {
			m, _ := proto.Marshal(wrapperspb.Bytes([]byte("short")))
			return [][]byte{m}
		},
		"turned back": nil,
	} {
		d, a, _, _, _ := meet(newGate(goodToken, letAllIn), newGate(goodToken, letAllIn))
		from, to := d, a
		if tamper == nil {
			tamper = func(r [][]byte) [][]byte { return r }
			to = d // what it sent itself
		}
		require.NoError(t, from.SendMsg(wrapperspb.Bytes([]byte("one"))))
		require.NoError(t, from.SendMsg(wrapperspb.Bytes([]byte("two"))))
		out := from.wire.(*tube).out
		var records [][]byte
		for range 2 {
			records = append(records, <-out)
		}
		var err error
		in := make(chan []byte, 4)
		to.wire.(*tube).in = in
		for _, record := range tamper(records) {
			in <- record
			var m wrapperspb.BytesValue
			if err = to.RecvMsg(&m); err != nil {
				break
			}
		}
		require.ErrorContains(t, err, "not from the other side, or not its next", name)
	}
}

func TestAGreetingOfSomethingElseIsRefused(t *testing.T) {
	for _, text := range []string{"", "GET / HTTP/1.1", "{}", `{"crew":0}`, `{"crew":"x"}`, string(make([]byte, mostGreeting+1))} {
		left, right := tubes()
		require.NoError(t, left.SendMsg(wrapperspb.Bytes([]byte(text))))
		_, err := newGate(goodToken, letAllIn).accept(right)
		require.ErrorIs(t, err, ErrRefused)
	}
}

// listener is an actor that notes what reaches it.
type listener struct{ heard chan any }

func (l *listener) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
	default:
		l.heard <- m
	}
}

// A peer that knows the token sends what would make the actor library panic, or do harm. It
// loses its stream each time; the process goes on, and nothing reaches an actor.
func TestNothingThatAPeerSendsHarmsAWorker(t *testing.T) {
	n, err := openNode("127.0.0.1", 0, Security{Token: goodToken}, workerDoor)
	require.NoError(t, err)
	defer n.close()
	l := &listener{make(chan any, 100)}
	_, err = n.spawn(workerDoor, l)
	require.NoError(t, err)
	fine := func() *remote.MessageBatch {
		return &remote.MessageBatch{
			TypeNames: []string{letterType},
			Targets:   []*actor.PID{{Address: "elsewhere:1", Id: workerDoor}},
			Envelopes: []*remote.MessageEnvelope{{MessageData: marshalled(t, wrapperspb.Bytes([]byte("hello")))}},
		}
	}
	send := func(batch *remote.MessageBatch) error {
		return speak(t, n.address, &remote.RemoteMessage{MessageType: &remote.RemoteMessage_MessageBatch{MessageBatch: batch}})
	}
	require.NoError(t, send(fine()), "this one is in order")
	require.Equal(t, "hello", string((<-l.heard).(*wrapperspb.BytesValue).GetValue()))

	for name, spoil := range map[string]func(*remote.MessageBatch){
		"a type that is not there":       func(b *remote.MessageBatch) { b.Envelopes[0].TypeId = 7 },
		"a type below zero":              func(b *remote.MessageBatch) { b.Envelopes[0].TypeId = -1 },
		"a type that nobody knows":       func(b *remote.MessageBatch) { b.TypeNames[0] = "no.such.Type" },
		"an order to stop":               func(b *remote.MessageBatch) { b.TypeNames[0] = "actor.Stop" },
		"a poison pill":                  func(b *remote.MessageBatch) { b.TypeNames[0] = "actor.PoisonPill" },
		"an order to spawn":              func(b *remote.MessageBatch) { b.TypeNames[0], b.Targets[0].Id = "remote.ActorPidRequest", "activator" },
		"a target that is not there":     func(b *remote.MessageBatch) { b.Envelopes[0].Target = 3 },
		"a target below zero":            func(b *remote.MessageBatch) { b.Envelopes[0].Target = -1 },
		"no targets":                     func(b *remote.MessageBatch) { b.Targets = nil },
		"a target of the library's":      func(b *remote.MessageBatch) { b.Targets[0].Id = "EndpointSupervisor" },
		"a sender that is not there":     func(b *remote.MessageBatch) { b.Envelopes[0].Sender = 9 },
		"a sender below zero":            func(b *remote.MessageBatch) { b.Envelopes[0].Sender = -9 },
		"a serializer that is not there": func(b *remote.MessageBatch) { b.Envelopes[0].SerializerId = 99 },
		"the other serializer":           func(b *remote.MessageBatch) { b.Envelopes[0].SerializerId = 1 },
		"headers":                        func(b *remote.MessageBatch) { b.Envelopes[0].MessageHeader = &remote.MessageHeader{} },
		"the number of a future":         func(b *remote.MessageBatch) { b.Envelopes[0].TargetRequestId = 1 },
		"bytes that are no message":      func(b *remote.MessageBatch) { b.Envelopes[0].MessageData = []byte{0xff, 0xff} },
		"too large a letter":             func(b *remote.MessageBatch) { b.Envelopes[0].MessageData = make([]byte, mostLetter+1) },
		"too many letters": func(b *remote.MessageBatch) {
			for range lettersAtATime {
				b.Envelopes = append(b.Envelopes, b.Envelopes[0])
			}
		},
	} {
		batch := fine()
		spoil(batch)
		require.Error(t, send(batch), name)
	}
	for name, m := range map[string]*remote.RemoteMessage{
		"nothing":                 {},
		"a farewell":              {MessageType: &remote.RemoteMessage_DisconnectRequest{DisconnectRequest: &remote.DisconnectRequest{}}},
		"an answer":               {MessageType: &remote.RemoteMessage_ConnectResponse{ConnectResponse: &remote.ConnectResponse{}}},
		"a second introduction":   introduction(),
		"an introduction of none": {MessageType: &remote.RemoteMessage_ConnectRequest{}},
	} {
		require.Error(t, speak(t, n.address, m), name)
	}
	require.NoError(t, send(fine()))
	require.Equal(t, "hello", string((<-l.heard).(*wrapperspb.BytesValue).GetValue()))
	require.Empty(t, l.heard)
	require.Error(t, callUnary(t, n.address), "the library's methods panic")
}

func marshalled(t *testing.T, m proto.Message) []byte {
	raw, err := proto.Marshal(m)
	require.NoError(t, err)
	return raw
}

func introduction() *remote.RemoteMessage {
	return &remote.RemoteMessage{MessageType: &remote.RemoteMessage_ConnectRequest{ConnectRequest: &remote.ConnectRequest{
		ConnectionType: &remote.ConnectRequest_ServerConnection{ServerConnection: &remote.ServerConnection{SystemId: "x", Address: "x:1"}},
	}}}
}

// speak goes through the gate without the actor library, says one thing, and returns how the
// stream ended: nil if it was still open when this side closed it.
func speak(t *testing.T, address string, m *remote.RemoteMessage) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	g := newGate(goodToken, letAllIn)
	stream, err := g.open(t.Context(), func(ctx context.Context) (grpc.ClientStream, error) {
		return conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/remote.Remoting/Receive")
	})
	require.NoError(t, err)
	require.NoError(t, stream.SendMsg(introduction()))
	var answer remote.RemoteMessage
	require.NoError(t, stream.RecvMsg(&answer))
	if err := stream.SendMsg(m); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	require.NoError(t, stream.CloseSend())
	patience := time.AfterFunc(30*time.Second, stream.(*guardedClient).cancel)
	defer patience.Stop()
	err = stream.RecvMsg(&answer)
	if err != nil && err.Error() == "rpc error: code = Unavailable desc = the other side closed the stream" {
		return nil
	}
	return err
}

func callUnary(t *testing.T, address string) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	_, err = remote.NewRemotingClient(conn).ListProcesses(t.Context(), &remote.ListProcessesRequest{})
	return err
}
