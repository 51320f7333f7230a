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
		"encoded by the caller: true, asked for BTCUSDT\nencoded by the caller: false, asked for BTCUSDT\nencoded by the caller: false, asked for BTCUSDT\n",
		"a form: 200, as text: true\n",
		"JSON under a name of its own: 404 No such endpoint. <nil>\n",
		"the second could not be in time: true, and was not sent; waited for it: false\n",
		"signed: status 200, 21 of 6000 used\n",
		"in the order listed: [first second third fourth]\n",
		"ended by one of them: true, and the next ran 1 times\n",
		"a hundred at once: 100 used of 6000; ended: <nil>\n",
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
