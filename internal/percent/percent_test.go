package percent

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestATargetIsEscapedOnlyWhereItMustBe(t *testing.T) {
	for raw, want := range map[string]string{
		"":                             "",
		"/api/v3/depth?symbol=BTCUSDT": "/api/v3/depth?symbol=BTCUSDT",
		"/a b":                         "/a%20b",
		"/a%20b":                       "/a%20b",
		"/a%2gb%":                      "/a%252gb%25",
		"/%4":                          "/%254",
		"/ü\x00\x7f":                   "/%C3%BC%00%7F",
		`/[]{}|\^"<>` + "`#":           "/%5B%5D%7B%7D%7C%5C%5E%22%3C%3E%60%23",
		"/-._~!$&'()*+,;=:@/?":         "/-._~!$&'()*+,;=:@/?",
	} {
		require.Equal(t, want, EscapeTarget(raw), raw)
	}
}

func TestAnEscapedTargetMeansTheSameAndStaysAsItIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := string(rapid.SliceOf(rapid.Byte()).Draw(t, "raw"))
		escaped := EscapeTarget(raw)
		require.Equal(t, escaped, EscapeTarget(escaped))
		back, err := url.PathUnescape(escaped)
		require.NoError(t, err)
		if !strings.Contains(raw, "%") {
			require.Equal(t, raw, back)
		}
		require.NotContains(t, escaped, " ")
	})
}

func TestAFormsValueIsEncodedAndDecodedAsNetURLDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOf(rapid.Byte()).Draw(t, "raw")
		encoded := string(AppendForm([]byte("x"), raw))
		require.Equal(t, "x"+url.QueryEscape(string(raw)), encoded)
		require.Equal(t, "x"+string(raw), string(AppendDecoded(nil, encoded)))
	})
	require.Equal(t, "%zz %4 a%", string(AppendDecoded(nil, "%zz+%4 %61%")))
}

func TestHexDigitsAreThoseOfBothCases(t *testing.T) {
	for c := range 256 {
		require.Equal(t, strings.IndexByte("0123456789abcdefABCDEF", byte(c)) >= 0, IsHex(byte(c)))
	}
}

func TestWhatIsCleanIsNotCopied(t *testing.T) {
	require.Zero(t, testing.AllocsPerRun(100, func() { EscapeTarget("/api/v3/order?symbol=BTCUSDT") }))
}
