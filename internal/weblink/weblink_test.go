package weblink

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestLinksAreReadAsServersWriteThem(t *testing.T) {
	for _, c := range []struct {
		lines []string
		want  []Link
	}{
		{nil, nil},
		{[]string{""}, nil},
		{[]string{`<https://api.test/items?page=2>; rel="next"`}, []Link{{Target: "https://api.test/items?page=2", Rel: "next"}}},
		{[]string{`</a>;rel=next`}, []Link{{Target: "/a", Rel: "next"}}},
		{[]string{`</a>;rel=next,</b>;rel=last`}, []Link{{Target: "/a", Rel: "next"}, {Target: "/b", Rel: "last"}}},
		{[]string{`</a>; rel="prev"`, `</b>; rel="next"`}, []Link{{Target: "/a", Rel: "prev"}, {Target: "/b", Rel: "next"}}},
		{[]string{`</a?x=1,2;3>; title="a, \"b\"; rel=last"; rel="start next"`}, []Link{{Target: "/a?x=1,2;3", Rel: "start next"}}},
		{[]string{" ,, < /a > ; REL = next ; rel=last , "}, []Link{{Target: "/a", Rel: "next"}}},
		{[]string{`</a>; rel=next; anchor=""`}, []Link{{Target: "/a", Rel: "next", Anchored: true}}},
		{[]string{`</a>; rel=next; anchor="#x"`}, []Link{{Target: "/a", Rel: "next", Anchor: "#x", Anchored: true}}},
		{[]string{`</a>; crossorigin; rel=next`}, []Link{{Target: "/a", Rel: "next"}}},
		{[]string{`</a>`}, []Link{{Target: "/a"}}},
		{[]string{`</a>; rel="next`}, []Link{{Target: "/a", Rel: "next"}}},
		{[]string{`</a`}, nil},
		{[]string{`/a; rel=next`}, nil},
		{[]string{`</a>; rel=next x, </b>; rel=last`}, []Link{{Target: "/a", Rel: "next x"}, {Target: "/b", Rel: "last"}}},
		{[]string{`</a>; rel=next, no link, </b>; rel=last`}, []Link{{Target: "/a", Rel: "next"}}},
		{[]string{`<>; rel=next`}, []Link{{Rel: "next"}}},
	} {
		require.Equal(t, c.want, Parse(c.lines...), "%q", c.lines)
	}
}

func TestARelationIsOneOfSeveralAndHasNoCase(t *testing.T) {
	require.True(t, Link{Rel: "start NEXT"}.Is("next"))
	require.False(t, Link{Rel: "next-archive"}.Is("next"))
	require.False(t, Link{}.Is("next"))
}

// What is written by the grammar, with every freedom that it leaves, is read as it was
// meant.
func TestWhatIsWrittenByTheGrammarIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		blank := rapid.SampledFrom([]string{"", " ", "\t", "  "})
		var want []Link
		var written []string
		for i := range rapid.IntRange(0, 4).Draw(t, "links") {
			link := Link{
				Target: rapid.StringMatching(`[a-z/:?&=,;"]{0,12}`).Draw(t, "target"),
				Rel:    rapid.StringMatching(`[a-z]{1,5}( [a-z]{1,5}){0,2}`).Draw(t, "rel"),
			}
			title := rapid.StringMatching(`[a-z,;=<> "\\]{0,9}`).Draw(t, "title")
			text := "<" + link.Target + ">" + blank.Draw(t, "before") + ";" + blank.Draw(t, "behind") +
				"title=" + quote(title) + ";rel" + blank.Draw(t, "b") + "=" + blank.Draw(t, "a") + quote(link.Rel)
			want = append(want, link)
			if i > 0 && rapid.Bool().Draw(t, "same line") {
				written[len(written)-1] += blank.Draw(t, "c") + "," + blank.Draw(t, "d") + text
				continue
			}
			written = append(written, text)
		}
		require.Equal(t, want, Parse(written...))
	})
}

func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{`</a>; rel="next", </b>;rel=last`, `<a>;;=;"`, `<a>; title="\`, `<`, `,,,<>`, `<a>;rel="x\"y"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		links := Parse(line)
		require.LessOrEqual(t, len(links), strings.Count(line, "<"))
		for _, l := range links {
			require.NotContains(t, l.Target, ">")
			require.Contains(t, line, l.Target)
		}
		require.Equal(t, append(links, links...), Parse(line, line), "each line is read by itself")
	})
}
