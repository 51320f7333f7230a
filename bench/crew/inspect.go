package crew

import (
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	mostLetter     = 320 << 10 // bytes of a letter: a part, in base64, and what is around it
	lettersAtATime = 8         // in a record: together they stay below mostRecord
)

// letterType is the one type of message that goes between machines: bytes of protobuf's own.
var letterType = string(proto.MessageName((*wrapperspb.BytesValue)(nil)))

// inspector lets only those records through that the actor library handles without harm.
// Left to itself it panics at an index, a type or a serializer that it does not have, stops
// any actor that a peer names, starts any kind that is asked for, and passes on to third
// parties what is addressed to them.
type inspector struct {
	address string              // of this system, once it is known
	doors   map[string]struct{} // ids of actors that may be written to
}

// inspect looks at what came over a stream, and makes what is addressed to any name of this
// machine be addressed to this system.
func (i *inspector) inspect(side *recordSide, m proto.Message) error {
	record, ok := m.(*remote.RemoteMessage)
	if !ok {
		return fmt.Errorf("a %T", m)
	}
	switch what := record.GetMessageType().(type) {
	case *remote.RemoteMessage_ConnectRequest:
		if !side.acceptor || side.introduced || what.ConnectRequest.GetServerConnection() == nil {
			return errors.New("an introduction out of place")
		}
		side.introduced = true
		return nil
	case *remote.RemoteMessage_ConnectResponse:
		if side.acceptor || side.introduced || what.ConnectResponse == nil {
			return errors.New("an answer to an introduction out of place")
		}
		side.introduced = true
		return nil
	case *remote.RemoteMessage_MessageBatch:
		if !side.acceptor || !side.introduced {
			return errors.New("letters out of place")
		}
		return i.inspectBatch(what.MessageBatch)
	default:
		return fmt.Errorf("a %T", what)
	}
}

func (i *inspector) inspectBatch(batch *remote.MessageBatch) error {
	if len(batch.GetEnvelopes()) > lettersAtATime {
		return fmt.Errorf("%d letters at a time", len(batch.GetEnvelopes()))
	}
	for _, target := range batch.GetTargets() {
		if _, ok := i.doors[target.GetId()]; !ok || target.GetRequestId() != 0 {
			return errors.New("a letter to nobody who takes letters")
		}
		target.Address = i.address
	}
	for _, envelope := range batch.GetEnvelopes() {
		if err := inspectEnvelope(batch, envelope); err != nil {
			return err
		}
	}
	return nil
}

func inspectEnvelope(batch *remote.MessageBatch, e *remote.MessageEnvelope) error {
	switch {
	case e == nil:
		return errors.New("no envelope")
	case e.GetTarget() < 0 || int(e.GetTarget()) >= len(batch.GetTargets()):
		return errors.New("a letter without an address")
	case e.GetTypeId() < 0 || int(e.GetTypeId()) >= len(batch.GetTypeNames()) || batch.GetTypeNames()[e.GetTypeId()] != letterType:
		return errors.New("a letter of another type")
	case e.GetSerializerId() != 0 || e.GetSender() != 0 || e.GetMessageHeader() != nil || e.GetTargetRequestId() != 0 || e.GetSenderRequestId() != 0:
		return errors.New("a letter with more than bytes in it")
	case len(e.GetMessageData()) > mostLetter:
		return fmt.Errorf("a letter of %d bytes", len(e.GetMessageData()))
	}
	return nil
}
