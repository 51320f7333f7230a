package hostport

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOnePlaceHasOneSpelling(t *testing.T) {
	for want, spellings := range map[string][][2]string{
		"example.com:80":         {{"example.com", "80"}, {"EXAMPLE.com", "080"}, {"Example.Com", "00000080"}},
		"example.com:0":          {{"example.com", "0"}, {"example.com", "000"}},
		"example.com.:80":        {{"example.com.", "80"}},
		"example.com:65536":      {{"example.com", "65536"}},
		"example.com:":           {{"example.com", ""}},
		"[::1]:80":               {{"::1", "80"}, {"0:0:0:0:0:0:0:1", "80"}, {"0000::0001", "080"}, {"::0.0.0.1", "80"}},
		"[2001:db8::a]:443":      {{"2001:DB8::A", "443"}, {"2001:0db8:0:0::000a", "443"}},
		"[fe80::1%En0]:80":       {{"fe80::1%En0", "80"}, {"FE80:0::1%En0", "080"}},
		"[fe80::1%en0]:80":       {{"fe80::1%en0", "80"}},
		"[::ffff:127.0.0.1]:80":  {{"::ffff:127.0.0.1", "80"}, {"::FFFF:7f00:1", "80"}},
		"127.0.0.1:80":           {{"127.0.0.1", "80"}},
		"0127.0.0.1:80":          {{"0127.0.0.1", "80"}},
		"[no:address:at all]:80": {{"No:Address:at all", "80"}},
	} {
		for _, s := range spellings {
			require.Equal(t, want, Join(s[0], s[1]), s)
		}
	}
}
