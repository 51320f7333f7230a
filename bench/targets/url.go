package targets

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/sluice-engine/sluice/internal/percent"
)

// escape percent-encodes what of a URL's path and query cannot be sent as it is, such as a blank,
// and takes off the fragment, which is not sent. What is encoded already stays as it is.
func escape(text string) string {
	text, _, _ = strings.Cut(text, "#")
	at := authorityEnd(text)
	return text[:at] + percent.EscapeTarget(text[at:])
}

// authorityEnd is where scheme and host of a URL end.
func authorityEnd(text string) int {
	begin := strings.Index(text, "://")
	if begin < 0 {
		return 0
	}
	begin += len("://")
	if end := strings.IndexAny(text[begin:], "/?"); end >= 0 {
		return begin + end
	}
	return len(text)
}

// checkURL checks a URL that has no templates, or something harmless in their places. The error
// does not have its query, which may have a secret in it, nor a password.
func checkURL(text string) error {
	u, err := url.Parse(text)
	shown, _, _ := strings.Cut(text, "?")
	if scheme, rest, found := strings.Cut(shown, "://"); found {
		if i := strings.LastIndexByte(rest, '@'); i >= 0 {
			shown = scheme + "://…" + rest[i:]
		}
	}
	switch {
	case err != nil:
		return fmt.Errorf("%.60q is no URL", shown)
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%.60q does not begin with http:// or https://", shown)
	case u.Hostname() == "":
		return fmt.Errorf("%.60q has no host", shown)
	case u.Port() == "" && strings.HasSuffix(u.Host, ":"):
		return errors.New("the port is missing behind the colon")
	}
	return nil
}
