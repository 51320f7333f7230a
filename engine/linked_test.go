package engine_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is typical of the text of a licence.
var wordsOf = map[string]string{
	"Apache-2.0":   "Apache License",
	"BSD-2-Clause": "Redistributions in binary form must reproduce",
	"BSD-3-Clause": "Neither the name of",
	"MIT":          "Permission is hereby granted, free of charge",
}

// Whoever embeds an engine inherits what it links in: that list grows on purpose, or not.
func TestAnEngineLinksInWhatIsListedAndItsLicencesAreThose(t *testing.T) {
	listed := licences(t)
	list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}} {{.Dir}}{{end}}", ".")
	said, err := list.Output()
	require.NoError(t, err)
	linked := map[string]string{}
	for _, line := range strings.Split(string(said), "\n") {
		if path, dir, ok := strings.Cut(strings.TrimSpace(line), " "); ok && path != strings.TrimSuffix(module, "/") {
			linked[path] = dir
		}
	}
	for path, dir := range linked {
		require.Contains(t, listed, path, "linked in, and not in docs/licences.md")
		text := licenceText(t, dir)
		for _, licence := range listed[path] {
			require.Contains(t, text, wordsOf[licence], "%s: %s", path, licence)
		}
	}
	for path := range listed {
		require.Contains(t, linked, path, "in docs/licences.md, and not linked in")
	}
}

// licences are those of docs/licences.md, by module.
func licences(t *testing.T) map[string][]string {
	text, err := os.ReadFile("../docs/licences.md")
	require.NoError(t, err)
	listed := map[string][]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| (\S+/\S+) \| ([^|]+) \|`).FindAllStringSubmatch(string(text), -1) {
		listed[row[1]] = strings.Split(row[2], ", ")
		for _, licence := range listed[row[1]] {
			require.Contains(t, wordsOf, licence, row[1])
		}
	}
	require.NotEmpty(t, listed)
	return listed
}

// licenceText is what a module's files of that name say, without its line breaks.
func licenceText(t *testing.T, dir string) string {
	names, err := filepath.Glob(filepath.Join(dir, "LICENSE*"))
	require.NoError(t, err)
	require.NotEmpty(t, names, dir)
	slices.Sort(names)
	var all strings.Builder
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		all.WriteString(strings.Join(strings.Fields(string(text)), " "))
	}
	return all.String()
}
