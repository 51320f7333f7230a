package secrets

import (
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNoPublicTypePrintsASecretInAnyWay(t *testing.T) {
	report, err := Look()
	require.NoError(t, err)
	require.Greater(t, report.Types, 100)
	for _, leak := range report.Leaks {
		t.Error(leak)
	}
	require.Empty(t, report.Stale, "public by nature, and held by nothing")
	t.Logf("%d types, %d texts", report.Types, report.Texts)
}

func TestATypeThatNobodyLooksAtIsFound(t *testing.T) {
	require.Equal(t, []string{"engine.New"}, Missing([]string{"engine.Config", "engine.New"}))
}

// A look that cannot find anything is none.
func TestASecretIsFoundInEveryGuise(t *testing.T) {
	for name, leaking := range map[string]any{
		"text": struct{ A string }{marker}, "bytes": struct{ A []byte }{[]byte(marker)},
		"nested": struct{ A map[string]any }{map[string]any{"x": []byte("xx" + marker)}},
		"coded":  base64.URLEncoding.EncodeToString([]byte("x" + marker)), "error": &blabbing{marker, nil},
	} {
		var r Report
		r.look(leaking, name, true)
		require.NotEmpty(t, r.Leaks, name)
	}
}
