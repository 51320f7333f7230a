package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A shell does not tell its programs how wide the terminal is: the terminal does.
func TestTheReportOfARunIsAsWideAsItsTerminal(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	t.Setenv("COLUMNS", "")
	outside, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("this system has no pseudo-terminals: %v", err)
	}
	defer outside.Close()
	fd := int(outside.Fd())
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	screen, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 50}))
	shown := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(outside) // ends with an error when nobody has the other side
		shown <- string(text)
	}()
	code := run(t.Context(), []string{"run", server.URL, "-n", "5", "--quiet"}, screen, io.Discard)
	require.NoError(t, screen.Close())
	require.Equal(t, exitFound, code, "each was answered 404")
	text := <-shown
	require.Contains(t, text, "machine")
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\r\n"); strings.HasPrefix(line, "model") || strings.HasPrefix(line, "machine") || strings.HasPrefix(line, "      ") {
			require.LessOrEqual(t, len([]rune(line)), 50, line)
		}
	}
}
