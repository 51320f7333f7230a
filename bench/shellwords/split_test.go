package shellwords

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWordsAreSplitAsAShellDoes(t *testing.T) {
	for text, want := range map[string][]string{
		"":                            nil,
		"  ":                          nil,
		"--client engine":             {"--client", "engine"},
		" -H 'X-Key: a b'\t-k ":       {"-H", "X-Key: a b", "-k"},
		`--body "{\"a\": 1}"`:         {"--body", `{"a": 1}`},
		`--body '{"a": "\n"}'`:        {"--body", `{"a": "\n"}`},
		`a\ b ''`:                     {"a b", ""},
		`--header="Accept: a"'; q=1'`: {"--header=Accept: a; q=1"},
	} {
		words, err := Split(text)
		require.NoError(t, err, text)
		require.Equal(t, want, words, text)
	}
	for _, text := range []string{"'a", `"a`, `a\`, `"a\"`} {
		_, err := Split(text)
		require.Error(t, err, text)
	}
}

// Words in quotes come back as they were.
func FuzzSplit(f *testing.F) {
	f.Add("a b 'c d'")
	f.Add(`\"`)
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = Split(text)
		if !strings.ContainsAny(text, "'") && strings.ToValidUTF8(text, "") == text {
			words, err := Split("x '" + text + "' y")
			require.NoError(t, err)
			require.Equal(t, []string{"x", text, "y"}, words)
		}
	})
}
