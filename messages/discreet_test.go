package messages_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

func TestAnErrorIsToldWithoutWhatItsURLsCarry(t *testing.T) {
	broken := func(text string) error {
		_, err := url.Parse(text)
		return err
	}
	for _, c := range []struct {
		err  error
		told string
	}{
		{&url.Error{Op: "Get", URL: "http://me:sesame@h/p?k=sesame#sesame", Err: io.EOF}, `Get "http://h/p": EOF`},
		{&url.Error{Op: "Get", URL: "http://me:se same@h/p?k=se same", Err: io.EOF}, `Get "http://h/p": EOF`},
		{fmt.Errorf("at wss://me:sesame@h:8/p?k=sesame: %w", io.EOF), "at wss://h:8/p: EOF"},
		{errors.New("at (https://h/p?sesame), then http://sesame@[::1]:8/?sesame."), "at (https://h/p), then http://[::1]:8/."},
		{errors.New("at http://me:ses ame@h/p, twice"), "at http://h/p, twice"},
		{errors.New("at http://me:ses ame"), "at http://*** ame"},
		{errors.New("lookup me:sesame@host: no such host"), "lookup ***@host: no such host"},
		{errors.New(`dial http://h.test:80: no key "main" for me@h.test`), `dial http://h.test:80: no key "main" for me@h.test`},
		{errors.New("dial tcp [fe80::1%eth0]:80: connect: refused"), "dial tcp [fe80::1%eth0]:80: connect: refused"},
		{errors.New("at http://h.test/a/b:"), "at http://h.test/a/b:"},
		{errors.New("why\nand how"), "why; and how"},
		{errors.New(`"://`), `"://`},
		{errors.New(`half "http://h/?sesame`), `half "http://h/`},
		{broken("http://me:sesame#@h/%zz"), `parse …: invalid port … after host`},
		{broken("http://h/\x00sesame"), `parse …: net/url: invalid control character in URL`},
	} {
		told := messages.Discreet(c.err)
		require.Equal(t, c.told, told.Error())
		require.ErrorIs(t, told, c.err)
		require.Equal(t, c.told, messages.Discreet(told).Error(), "told twice it reads the same")
		for _, err := range []error{
			&messages.Error{Err: c.err}, messages.CauseFirst(&messages.Error{Err: c.err}), &messages.ProxyError{Proxy: "p", Err: c.err},
			messages.NewError(&messages.Request{}, messages.Leasing, c.err),
		} {
			require.Contains(t, err.Error(), c.told)
			require.ErrorIs(t, err, c.err)
		}
		for _, told := range []fmt.Stringer{messages.Waited{Err: c.err}, messages.Attempted{Err: c.err}, messages.Ended{Err: c.err}, (&messages.Error{Err: c.err}).LogValue()} {
			require.NotContains(t, told.String(), "sesame")
		}
	}
	require.NoError(t, messages.Discreet(nil))
	_, tells := messages.Discreet(io.EOF).(slog.LogValuer)
	require.False(t, tells)
}

func TestWhatAnErrorSaysIsAskedForWhenItIsToldAlone(t *testing.T) {
	asked := 0
	told := messages.Discreet(countedError{&asked})
	require.Zero(t, asked)
	require.Equal(t, "http://h/", told.Error())
	require.Equal(t, 1, asked)
}

type countedError struct{ asked *int }

func (e countedError) Error() string { *e.asked++; return "http://me:sesame@h/?sesame" }

func FuzzAnErrorIsToldInOneLineAndWithoutAUser(f *testing.F) {
	for _, text := range []string{"http://u:p@h/?q", `a "b://c d" e`, "u:p@h", "://", "a://b:c d@e", `parse "x"`, "@:", "a:b@c ://"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		told := messages.Discreet(errors.New(text)).Error()
		require.NotContains(t, told, "\n")
		require.NotContains(t, messages.Discreet(errors.New("http://u:sesame@h/?sesame "+text)).Error(), "sesame@")
	})
}
