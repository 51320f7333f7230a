package telemetry

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// The oracle takes every URL apart.
func TestAHomeIsKnownHoweverItIsWritten(t *testing.T) {
	var h homes
	for _, raw := range []string{"https://Venue.test/api", "http://venue.test:8080", "https://[::1]", "http://[fe80::1%25Eth0]", "http://plain.test:80"} {
		origin, err := engine.ParseOrigin(raw)
		require.NoError(t, err)
		h.add(origin)
	}
	for raw, want := range map[string]bool{
		"https://venue.test":                true,
		"https://venue.test/order?a=b#c":    true,
		"https://venue.test?a=b":            true,
		"https://venue.test#c":              true,
		"https://venue.test:443/order":      true,
		"HTTPS://VENUE.test/order":          true,
		"https://user:secret@venue.test/":   false, // which no engine sends
		"https://venue.test:99999/":         false,
		"http://venue.test:8080/":           true,
		"https://[::1]/order":               true,
		"https://[::1]:443/order":           true,
		"https://[0:0::1]:0443/order":       true,
		"http://venue.test:08080/":          true,
		"http://plain.test/":                true,
		"http://[fe80::1%25Eth0]/":          true,
		"http://[FE80::1%25Eth0]:80/":       true,
		"http://[fe80::1%25eth0]/":          false, // zones are told apart by their letters
		"http://plain.test:80":              true,
		"":                                  false,
		"/order":                            false,
		"http://venue.test/":                false,
		"http://venue.test:80/":             false,
		"https://venue.test:8080/":          false,
		"https://venue.test.evil.test/":     false,
		"https://venue.test@evil.test/":     false,
		"https://venue.test:443@evil.test/": false,
		"https://venue.test\\evil.test/":    false,
		"https://venue.test:4430/":          false,
		"https://[::1]0/":                   false,
		"https://plain.test/":               false,
	} {
		require.Equal(t, want, h.have(raw), raw)
		origin, err := engine.ParseOrigin(raw)
		require.Equal(t, want, err == nil && slices.Contains(h.origins, origin), raw)
	}
}
