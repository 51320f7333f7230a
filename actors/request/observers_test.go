package request

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

func TestAnObserverWithoutHooksIsNone(t *testing.T) {
	require.Nil(t, NewObservers(nil, nil, nil))
	require.Nil(t, NewObservers([]messages.Observer{{}, {}}, nil, nil))
	all := []messages.Observer{{}, {End: func(context.Context, messages.Ended) {}}}
	require.Len(t, NewObservers(all, nil, nil).all, 1)
	require.Nil(t, all[0].End, "the caller's own list is left as it is")
	require.NotNil(t, all[1].End)
}
