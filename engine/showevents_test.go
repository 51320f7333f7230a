package engine_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

func TestEventsPrintWithoutTheirDataAndIds(t *testing.T) {
	event := engine.Event{ID: "sesame", Type: "trade", Data: `{"key":"sesame"}`, Connection: 2}
	subscription := engine.Subscription{LastEventID: "sesame", Idle: time.Minute, Pause: time.Second, LongestPause: time.Hour, Once: true}
	interruption := engine.Interruption{Connection: 2, Pause: time.Second, Err: quoting}
	for want, all := range map[string][]any{
		`event "trade" of 16 bytes, by connection 2`:                                   {event, &event},
		"subscription, idle for 1m0s at most, pausing for 1s to 1h0m0s, once":          {subscription, &subscription},
		`connection 2 ended, and another follows in 1s: Get "http://h.test/p": broken`: {interruption, &interruption},
	} {
		for _, value := range all {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				require.Equal(t, want, strings.ReplaceAll(fmt.Sprintf(verb, value), `\"`, `"`), "%T by %s", value, verb)
				require.NotContains(t, fmt.Sprintf(verb, struct{ Held any }{value}), "sesame")
			}
			raw, err := json.Marshal(value)
			require.NoError(t, err)
			var told string
			require.NoError(t, json.Unmarshal(raw, &told))
			require.Equal(t, want, told)
			var log bytes.Buffer
			slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", value)
			var line struct{ Value string }
			require.NoError(t, json.Unmarshal(log.Bytes(), &line))
			require.Equal(t, want, line.Value)
		}
	}
	require.NotContains(t, engine.Subscription{}.String(), "once")
}
