package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryStepOfTheGuideDoesWhatItSays(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out))
	for _, want := range []string{
		"/api/v3/nowhere: 404",
		"ETHUSDT costs 3000",
		"two at once, the third after the window: true",
		"an unknown limit is an error: true",
		"as an error: status 400",
		"as data: code -1121",
		"asked for BTCUSDT, sent for LTCBTC",
		"used weight is sent with every answer: true",
		"signed request: status 200; the exchange's clock is -3s off, known within a second: true",
	} {
		require.Contains(t, out.String(), want)
	}
}
