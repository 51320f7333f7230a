package crew

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// wrongToken is what one is told who does not prove that it knows the token.
const wrongToken = "wrong token"

// ErrRefused is wrapped by errors that say why the other side would not talk: it is not of
// the same version, or does not know the token. Trying again changes nothing.
var ErrRefused = errors.New("refused")

const (
	handshakeTime = 5 * time.Second
	mostGreeting  = 4 << 10 // bytes of a greeting
	mostRecord    = 4 << 20 // bytes of a record: gRPC's own bound
	nonceSize     = 32
	macSize       = sha256.Size
)

// gate lets streams through whose other end knows the token, and nothing on them that was
// not said there, was said before, or would harm the actor library. It stands in gRPC's
// interceptors, before and behind that library, so that nothing of a stranger reaches it.
//
//	dialer ── greeting{version, nonce} ──▶ acceptor
//	dialer ◀── challenge{version, nonce} ── acceptor    or why not
//	dialer ── proof ──▶ acceptor
//	dialer ◀── proof ── acceptor                         or why not
//
// Both proofs and the keys of both directions are derived from the token and both nonces: a
// proof is good for one stream, and the token itself is never sent. The dialer proves first,
// for whoever proves gives a listener something to try guesses on.
type gate struct {
	token   string
	version int
	inspect func(*recordSide, proto.Message) error // what came in, before anybody else sees it
	slots   chan struct{}                          // handshakes of strangers at a time
	away    func(address string, err error)        // told of who is refused; nil tells nobody
}

func newGate(token string, inspect func(*recordSide, proto.Message) error) *gate {
	return &gate{token: token, version: Version, inspect: inspect, slots: make(chan struct{}, 64)}
}

// greeting is each message of the challenge.
type greeting struct {
	Crew    int    `json:"crew"` // the version; first, and in all versions to come
	Nonce   []byte `json:"nonce,omitempty"`
	Proof   []byte `json:"proof,omitempty"`
	Refusal string `json:"refusal,omitempty"`
}

// secrets are of one stream.
type secrets struct{ dialerProof, acceptorProof, toAcceptor, toDialer []byte }

func deriveSecrets(token string, version int, dialer, acceptor []byte) (secrets, error) {
	salt := append(append([]byte{}, dialer...), acceptor...)
	master, err := hkdf.Extract(sha256.New, []byte(token), salt)
	if err != nil {
		return secrets{}, err
	}
	var s secrets
	for label, into := range map[string]*[]byte{
		"dialer's proof": &s.dialerProof, "acceptor's proof": &s.acceptorProof,
		"to acceptor": &s.toAcceptor, "to dialer": &s.toDialer,
	} {
		if *into, err = hkdf.Expand(sha256.New, master, fmt.Sprintf("sluice crew/%d %s", version, label), 32); err != nil {
			return secrets{}, err
		}
	}
	return s, nil
}

// wire is what both kinds of gRPC stream can do.
type wire interface {
	SendMsg(m any) error
	RecvMsg(m any) error
}

func sendGreeting(w wire, g greeting) error {
	text, err := json.Marshal(g)
	if err != nil {
		return err
	}
	return w.SendMsg(wrapperspb.Bytes(text))
}

func receiveGreeting(w wire) (greeting, error) {
	var raw wrapperspb.BytesValue
	if err := w.RecvMsg(&raw); err != nil {
		return greeting{}, err
	}
	var g greeting
	if len(raw.GetValue()) > mostGreeting || json.Unmarshal(raw.GetValue(), &g) != nil || g.Crew == 0 {
		return greeting{}, fmt.Errorf("%w: it does not speak sluice's crew protocol", ErrRefused)
	}
	return g, nil
}

// dial is the dialer's part of the challenge.
func (g *gate) dial(w wire) (secrets, error) {
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // never fails
	if err := sendGreeting(w, greeting{Crew: g.version, Nonce: nonce}); err != nil {
		return secrets{}, err
	}
	challenge, err := receiveGreeting(w)
	if err != nil {
		return secrets{}, err
	}
	if err := g.acceptable(challenge); err != nil {
		return secrets{}, err
	}
	s, err := deriveSecrets(g.token, g.version, nonce, challenge.Nonce)
	if err != nil {
		return secrets{}, err
	}
	if err := sendGreeting(w, greeting{Crew: g.version, Proof: s.dialerProof}); err != nil {
		return secrets{}, err
	}
	answer, err := receiveGreeting(w)
	if err != nil {
		return secrets{}, err
	}
	if answer.Refusal == wrongToken && g.token == "" {
		return secrets{}, fmt.Errorf("%w: it wants a token, and none was given here: set SLUICE_TOKEN to that of all machines", ErrRefused)
	}
	if answer.Refusal != "" {
		return secrets{}, fmt.Errorf("%w: %s", ErrRefused, answer.Refusal)
	}
	if !hmac.Equal(answer.Proof, s.acceptorProof) {
		return secrets{}, fmt.Errorf("%w: it does not know the token", ErrRefused)
	}
	return s, nil
}

// acceptable looks at the other side's first greeting.
func (g *gate) acceptable(other greeting) error {
	switch {
	case other.Crew != g.version:
		return fmt.Errorf("%w: it speaks version %d of the crew protocol, this is version %d: use the same sluice on all machines", ErrRefused, other.Crew, g.version)
	case other.Refusal != "":
		return fmt.Errorf("%w: %.200q", ErrRefused, other.Refusal)
	case len(other.Nonce) != nonceSize:
		return fmt.Errorf("%w: its nonce has %d bytes", ErrRefused, len(other.Nonce))
	}
	return nil
}

// accept is the acceptor's part. Whoever is refused is told why.
func (g *gate) accept(w wire) (secrets, error) {
	hello, err := receiveGreeting(w)
	if err != nil {
		return secrets{}, err
	}
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce)
	if err := sendGreeting(w, greeting{Crew: g.version, Nonce: nonce}); err != nil {
		return secrets{}, err
	}
	if err := g.acceptable(hello); err != nil {
		return secrets{}, err // the challenge told the version
	}
	s, err := deriveSecrets(g.token, g.version, hello.Nonce, nonce)
	if err != nil {
		return secrets{}, err
	}
	proof, err := receiveGreeting(w)
	if err != nil {
		return secrets{}, err
	}
	if !hmac.Equal(proof.Proof, s.dialerProof) {
		err := fmt.Errorf("%w: %s", ErrRefused, wrongToken)
		return secrets{}, errors.Join(err, sendGreeting(w, greeting{Crew: g.version, Refusal: wrongToken}))
	}
	return s, sendGreeting(w, greeting{Crew: g.version, Proof: s.acceptorProof})
}

// recordSide seals and opens the records of one stream. Its two halves, sending and
// receiving, may each be used by one goroutine.
//
// Invariant: record n that is let through is record n that the other side sent: a code that
// is right covers the count, so what is missing, twice, elsewhere or changed ends the stream.
type recordSide struct {
	wire           wire
	gate           *gate
	sendKey        []byte
	receiveKey     []byte
	sent, received uint64
	acceptor       bool
	introduced     bool // the actor library's own greeting came
}

func code(key []byte, n uint64, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(binary.BigEndian.AppendUint64(nil, n))
	h.Write(data)
	return h.Sum(nil)
}

// SendMsg seals a message.
func (r *recordSide) SendMsg(m any) error {
	message, ok := m.(proto.Message)
	if !ok {
		return status.Errorf(codes.Internal, "%T is no message of protobuf", m)
	}
	data, err := proto.Marshal(message)
	if err != nil {
		return err
	}
	record := append(code(r.sendKey, r.sent, data), data...)
	r.sent++
	return r.wire.SendMsg(wrapperspb.Bytes(record))
}

// RecvMsg opens the next record. It returns no end of the stream as a good one: the actor
// library takes that for a farewell after which it would send into the void.
func (r *recordSide) RecvMsg(m any) error {
	var raw wrapperspb.BytesValue
	if err := r.wire.RecvMsg(&raw); err != nil {
		if errors.Is(err, io.EOF) && !r.acceptor {
			return status.Error(codes.Unavailable, "the other side closed the stream")
		}
		return err
	}
	record := raw.GetValue()
	if len(record) < macSize || !hmac.Equal(record[:macSize], code(r.receiveKey, r.received, record[macSize:])) {
		return status.Error(codes.Unauthenticated, "a record is not from the other side, or not its next")
	}
	r.received++
	message, ok := m.(proto.Message)
	if !ok {
		return status.Errorf(codes.Internal, "%T is no message of protobuf", m)
	}
	if err := proto.Unmarshal(record[macSize:], message); err != nil {
		return status.Error(codes.InvalidArgument, "a record is no message")
	}
	if err := r.gate.inspect(r, message); err != nil {
		return status.Errorf(codes.InvalidArgument, "a record was refused: %v", err)
	}
	return nil
}

// within runs a handshake, and gives it up after handshakeTime or with ctx. The caller ends
// the stream then, which ends what still runs.
func within(ctx context.Context, shake func() (secrets, error)) (secrets, error) {
	type outcome struct {
		s   secrets
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		s, err := shake()
		done <- outcome{s, err}
	}()
	patience := time.NewTimer(handshakeTime)
	defer patience.Stop()
	select {
	case o := <-done:
		return o.s, o.err
	case <-patience.C:
		return secrets{}, errors.New("the other side did not answer the challenge in time")
	case <-ctx.Done():
		return secrets{}, ctx.Err()
	}
}

// guardedServer is a stream that was let in.
type guardedServer struct {
	grpc.ServerStream
	side *recordSide
}

func (g *guardedServer) SendMsg(m any) error { return g.side.SendMsg(m) }
func (g *guardedServer) RecvMsg(m any) error { return g.side.RecvMsg(m) }

// admit is the server's interceptor.
func (g *gate) admit(service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
	defer func() {
		// The library dereferences what a peer sends. What gets so far was inspected; should
		// the inspection have a hole, it costs the peer its stream and not this process.
		if r := recover(); r != nil {
			err = status.Errorf(codes.Internal, "panic: %v", r)
		}
	}()
	select {
	case g.slots <- struct{}{}:
	default:
		return status.Error(codes.ResourceExhausted, "too many at the gate")
	}
	s, err := within(stream.Context(), func() (secrets, error) { return g.accept(stream) })
	<-g.slots
	if err != nil {
		if p, ok := peer.FromContext(stream.Context()); ok && g.away != nil && errors.Is(err, ErrRefused) {
			g.away(p.Addr.String(), err)
		}
		return status.Error(codes.Unauthenticated, err.Error())
	}
	return handle(service, &guardedServer{stream, &recordSide{
		wire: stream, gate: g, sendKey: s.toDialer, receiveKey: s.toAcceptor, acceptor: true,
	}})
}

// refuseCalls is the server's interceptor of everything that is no stream: the library has
// such methods, and they panic.
func refuseCalls(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
	return nil, status.Error(codes.Unimplemented, "there is nothing to be called")
}

// guardedClient is a stream to one that was believed.
type guardedClient struct {
	grpc.ClientStream
	side   *recordSide
	cancel context.CancelFunc
}

func (g *guardedClient) SendMsg(m any) error { return g.side.SendMsg(m) }
func (g *guardedClient) RecvMsg(m any) error {
	err := g.side.RecvMsg(m)
	if err != nil {
		g.cancel()
	}
	return err
}

// open is the dialer's half of an interceptor: it opens a stream that lives no longer than
// life.
func (g *gate) open(life context.Context, newStream func(context.Context) (grpc.ClientStream, error)) (grpc.ClientStream, error) {
	ctx, cancel := context.WithCancel(life)
	opening := time.AfterFunc(handshakeTime, cancel) // newStream waits as long as a connection takes
	stream, err := newStream(ctx)
	if !opening.Stop() && err == nil {
		err = errors.New("the connection took too long")
	}
	var s secrets
	if err == nil {
		s, err = within(ctx, func() (secrets, error) { return g.dial(stream) })
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return &guardedClient{stream, &recordSide{
		wire: stream, gate: g, sendKey: s.toAcceptor, receiveKey: s.toDialer,
	}, cancel}, nil
}
