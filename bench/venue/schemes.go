package venue

import (
	"crypto"
	"maps"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/oauth2/clientcredentials"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/auth/oauth2"
)

// credentials are an authEntry with its secrets fetched.
type credentials struct {
	authEntry
	key, secret, passphrase, session auth.Secret
	private                          auth.PrivateKey
	signer                           auth.Signer // with the private key, or else with the secret
}

// scheme says which names of an authEntry a scheme needs, which it may have besides, and what
// it makes of them. Of several names with a bar between them it needs one.
type scheme struct {
	needs, may string
	make       func(c credentials) auth.Authenticator
}

// simple makes a scheme of a constructor that takes key and secret.
func simple[A auth.Authenticator](construct func(key, secret auth.Secret) A) scheme {
	return scheme{"key secret", "", func(c credentials) auth.Authenticator { return construct(c.key, c.secret) }}
}

// withPassphrase makes a scheme of a constructor that takes a passphrase as well.
func withPassphrase(construct func(key, secret, passphrase auth.Secret) auth.Header) scheme {
	return scheme{"key secret passphrase", "", func(c credentials) auth.Authenticator { return construct(c.key, c.secret, c.passphrase) }}
}

func hmacQuery(construct func(key, secret auth.Secret) auth.HMACQuery) scheme {
	return scheme{"key secret", "window deadlines", func(c credentials) auth.Authenticator {
		made := construct(c.key, c.secret)
		made.Window, made.Deadlines = c.Window.of(), c.Deadlines
		return made
	}}
}

func windowed(construct func(key, secret auth.Secret) auth.Header) scheme {
	return scheme{"key secret", "window", func(c credentials) auth.Authenticator {
		made := construct(c.key, c.secret)
		made.Window = c.Window.of()
		return made
	}}
}

var schemes = map[string]scheme{
	"binance": hmacQuery(auth.Binance), "mexc": hmacQuery(auth.MEXC),
	"bybit": windowed(auth.Bybit), "bitmex": windowed(auth.BitMEX),
	"gate": simple(auth.Gate), "bitfinex": simple(auth.BitfinexV2), "bitfinex-v1": simple(auth.BitfinexV1),
	"gemini": simple(auth.Gemini), "deribit": simple(auth.Deribit),
	"kraken": simple(func(key, secret auth.Secret) auth.Kraken { return auth.Kraken{Key: key, Secret: secret} }),
	"htx":    simple(func(key, secret auth.Secret) auth.HTX { return auth.HTX{Key: key, Secret: secret} }),
	"okx":    withPassphrase(auth.OKX), "bitget": withPassphrase(auth.Bitget), "kucoin": withPassphrase(auth.KuCoin),
	"coinbase-exchange": withPassphrase(auth.CoinbaseExchange), "coinbase-prime": withPassphrase(auth.CoinbasePrime),
	"binance-key-pair": {"key private_key", "window deadlines", func(c credentials) auth.Authenticator {
		made := auth.BinanceKeyPair(c.key, c.private)
		made.Window, made.Deadlines = c.Window.of(), c.Deadlines
		return made
	}},
	"coinbase-cdp": {"key_id private_key", "", func(c credentials) auth.Authenticator { return auth.CoinbaseCDP(c.KeyID, c.private) }},
	"api-key": {"key header|query", "prefix", func(c credentials) auth.Authenticator {
		return auth.APIKey{Header: c.Header, Query: c.Query, Prefix: c.Prefix, Key: c.key}
	}},
	"basic":  {"user secret", "", func(c credentials) auth.Authenticator { return auth.Basic{User: c.User, Password: c.secret} }},
	"bearer": {"secret", "", func(c credentials) auth.Authenticator { return auth.Bearer{Token: c.secret} }},
	"sigv4": {"key secret region service", "session_token raw_path unsigned_payload", func(c credentials) auth.Authenticator {
		return auth.SigV4{AccessKey: string(c.key), Secret: c.secret, SessionToken: c.session, Region: c.Region, Service: c.Service,
			RawPath: c.RawPath, UnsignedPayload: c.UnsignedPayload}
	}},
	"jwt": {"secret|private_key", "key_id issuer subject audience lifetime", func(c credentials) auth.Authenticator {
		return auth.JWT{Issuer: c.Issuer, Subject: c.Subject, Audience: c.Audience, KeyID: c.KeyID, Signer: c.signer, Lifetime: c.Lifetime.of()}
	}},
	"http-signature": {"key_id secret|private_key", "lifetime", func(c credentials) auth.Authenticator {
		return auth.HTTPSignature{KeyID: c.KeyID, Signer: c.signer, Lifetime: c.Lifetime.of()}
	}},
	"oauth2": {"key secret token_url", "scopes", func(c credentials) auth.Authenticator {
		return oauth2.ClientCredentials(clientcredentials.Config{
			ClientID: string(c.key), ClientSecret: string(c.secret), TokenURL: c.TokenURL, Scopes: c.Scopes,
		}, oauth2.Options{})
	}},
}

// Schemes are the names that "scheme" may have, sorted.
func Schemes() []string { return slices.Sorted(maps.Keys(schemes)) }

// auth makes an authenticator. Without one there are mistakes.
func (r *reader) auth(path string, e authEntry) auth.Authenticator {
	chosen, known := schemes[e.Scheme]
	if !known {
		r.add(path+".scheme", "%.40q is none of %s", e.Scheme, strings.Join(Schemes(), ", "))
		return nil
	}
	before := len(r.mistakes)
	r.checkNames(path, e, chosen)
	if r.Elsewhere {
		return nil
	}
	c := credentials{
		authEntry: e, key: r.secret(path+".key", e.Key), secret: r.secret(path+".secret", e.Secret),
		passphrase: r.secret(path+".passphrase", e.Passphrase), session: r.secret(path+".session_token", e.SessionToken),
		signer: nil,
	}
	c.signer = auth.HMAC{Secret: c.secret, SecretEncoding: auth.Raw, Hash: crypto.SHA256}
	if text := r.secret(path+".private_key", e.PrivateKey); text != "" {
		private, err := auth.ParsePrivateKey(text)
		r.note(path+".private_key", err)
		c.private, c.signer = private, private
	}
	if len(r.mistakes) > before {
		return nil
	}
	made := chosen.make(c)
	r.note(path, auth.Validate(made))
	return made
}

// checkNames checks that exactly those names are given that a scheme needs or may have.
func (r *reader) checkNames(path string, e authEntry, s scheme) {
	given := givenNames(reflect.ValueOf(e))
	wanted := append(strings.Fields(strings.ReplaceAll(s.needs, "|", " ")), strings.Fields(s.may)...)
	for _, name := range given {
		if name != "scheme" && !slices.Contains(wanted, name) {
			r.add(path+"."+name, "it is not for the scheme %s", e.Scheme)
		}
	}
	for _, need := range strings.Fields(s.needs) {
		count := 0
		for name := range strings.SplitSeq(need, "|") {
			if slices.Contains(given, name) {
				count++
			}
		}
		if count != 1 {
			r.add(path, "the scheme %s needs %s", e.Scheme, strings.ReplaceAll(need, "|", " or ")+map[bool]string{true: ", and not both"}[count > 1])
		}
	}
}

// givenNames are the names of the fields that are not zero.
func givenNames(v reflect.Value) (names []string) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name := field.Tag.Get("json")
		if name == "" {
			names = append(names, givenNames(v.Field(i))...)
		} else if !v.Field(i).IsZero() {
			names = append(names, name)
		}
	}
	return names
}
