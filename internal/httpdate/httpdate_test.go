package httpdate

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestADateIsReadInItsThreeForms(t *testing.T) {
	want := time.Date(2023, 11, 14, 22, 13, 20, 0, time.UTC)
	for _, text := range []string{
		"Tue, 14 Nov 2023 22:13:20 GMT", "Tuesday, 14-Nov-23 22:13:20 GMT", "Tue Nov 14 22:13:20 2023",
		want.Format(http.TimeFormat), want.Format(Layout),
	} {
		at, ok := Parse(text)
		require.True(t, ok, text)
		require.Equal(t, want, at, text)
	}
}

func TestADateOfAnotherZoneIsNone(t *testing.T) {
	for _, text := range []string{
		"", "Tue, 14 Nov 2023 22:13:20 CET", "Tuesday, 14-Nov-23 22:13:20 CET", "Tue, 14 Nov 2023 22:13:20 +0100",
		"2023-11-14T22:13:20Z", "Tue, 32 Nov 2023 22:13:20 GMT",
	} {
		_, ok := Parse(text)
		require.False(t, ok, text)
	}
	_, err := http.ParseTime("Tuesday, 14-Nov-23 22:13:20 CET")
	require.NoError(t, err, "net/http takes it for GMT, which is why it is not used")
}
