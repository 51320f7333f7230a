package results

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestTheFirstSampleOfAKindStays(t *testing.T) {
	a := &Operation{Count: 1, Errors: map[string]uint64{"tls": 1}}
	a.KeepSample("tls", "x509: certificate signed by unknown authority")
	a.KeepSample("tls", "another")
	b := &Operation{Samples: map[string]string{"tls": "a later one", "closed": "EOF"}}
	copied := a.Clone()
	copied.Add(b)
	require.Equal(t, map[string]string{"tls": "x509: certificate signed by unknown authority", "closed": "EOF"}, copied.Samples)
	require.Len(t, a.Samples, 1, "a copy shares nothing")
	b.Samples["closed"] = "changed"
	require.Equal(t, "EOF", copied.Samples["closed"])
}

func TestSamplesAreBoundedWhereverTheyComeFrom(t *testing.T) {
	foreign := &Operation{Samples: map[string]string{}}
	for i := range 1000 {
		foreign.Samples[fmt.Sprintf("kind %04d", i)] = strings.Repeat("é", 10_000)
	}
	var o Operation
	o.Add(foreign)
	require.Len(t, o.Samples, MostSamples)
	for _, message := range o.Samples {
		require.Equal(t, LongestSample, utf8.RuneCountInString(message))
		require.True(t, utf8.ValidString(message))
		require.True(t, strings.HasSuffix(message, "é…"))
	}
	require.Equal(t, strings.Repeat("x", LongestSample), clipped(strings.Repeat("x", LongestSample)))
}

func TestSamplesComeBackFromAFile(t *testing.T) {
	var file bytes.Buffer
	out, err := NewWriter(&file, Header{ID: "a"})
	require.NoError(t, err)
	for second, message := range []string{"first", "second"} {
		o := &Operation{Count: 1, Errors: map[string]uint64{"tls": 1}}
		o.KeepSample("tls", message)
		require.NoError(t, out.Add(Interval{Second: second, Phase: Main, Operations: map[string]*Operation{"b": o, "a": {Count: 1}}}))
	}
	run, err := Read(&file)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"tls": "first"}, run.Total["b"].Samples)
	require.Equal(t, map[string]string{"tls": "first"}, run.Total[""].Samples)
	require.Empty(t, run.Total["a"].Samples)
}
