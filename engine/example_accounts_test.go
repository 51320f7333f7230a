package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// What docs/guide/accounts.md shows stands here; TestTheGuideToAccountsShowsWhatIsCompiled holds the two together.

var accountNames = []string{"main", "hedge"}

// readAccount reads the key of an account from the environment, and its secret from the
// file that whoever keeps the secrets has mounted.
func readAccount(secrets, name string) (auth.Authenticator, error) {
	key := os.Getenv("EXCHANGE_KEY_" + strings.ToUpper(name))
	secret, err := os.ReadFile(filepath.Join(secrets, name))
	if err != nil {
		return nil, err
	}
	secret = bytes.TrimSpace(secret) // the file's line feed is no part of it
	return auth.Binance(auth.Secret(key), auth.Secret(secret)), nil
}

// desk makes an engine for all accounts behind one address.
func desk(url, secrets string) (*engine.Engine, error) {
	accounts := make(map[string]auth.Authenticator)
	for _, name := range accountNames {
		account, err := readAccount(secrets, name)
		if err != nil {
			return nil, err
		}
		accounts[name] = account
	}
	return engine.New(engine.Config{
		BaseURL:  url,
		Accounts: accounts,
		Limits: []throttle.Limit{
			{ID: "weight", Window: throttle.Fixed, Quota: 6000, Per: time.Minute},                        // the address's: one for all
			{ID: "orders", Quota: 100, Per: 10 * time.Second, By: throttle.ByAccount},                    // each account's own
			{ID: "order", Linked: []throttle.Link{{ID: "weight", Weight: 1}, {ID: "orders", Weight: 1}}}, // what an order is charged to
		},
		DefaultLimitID: "weight",
	})
}

// rotate reads the keys again at every signal.
func rotate(eng *engine.Engine, secrets string, hangups <-chan os.Signal) {
	for range hangups {
		for _, name := range accountNames {
			account, err := readAccount(secrets, name)
			if err == nil {
				err = eng.SetAccount(name, account)
			}
			if err != nil {
				log.Printf("account %s goes on with the key it has: %v", name, err)
			}
		}
	}
}

// openOrders asks for the orders of an account, signed with its key.
func openOrders(ctx context.Context, eng *engine.Engine, account string) ([]order, error) {
	return engine.Fetch[[]order](ctx, eng, &engine.Request{
		Path: "/api/v3/openOrders", Auth: true, Account: account,
	})
}

// listenKey asks for what a stream of the account's events is opened with: an endpoint
// that wants the key in its header and no signature.
func listenKey(ctx context.Context, eng *engine.Engine, account string) (string, error) {
	answer, err := engine.Fetch[struct{ ListenKey string }](ctx, eng, &engine.Request{
		Method: http.MethodPost, Path: "/api/v3/userDataStream", KeyOnly: true, Account: account,
	})
	return answer.ListenKey, err
}

// waysOut are beside the default one: another address of this machine, and a proxy in
// front of the exchange.
var waysOut = map[string]engine.Egress{
	"second": {LocalAddr: "127.0.0.2"},
	"tokyo":  {Proxy: http.ProxyURL(&url.URL{Scheme: "socks5", Host: "tokyo.internal:1080"})},
}

// bookFrom asks for a book from another address, whose weight it is charged to.
func bookFrom(ctx context.Context, eng *engine.Engine, egress string) (book, error) {
	return engine.Fetch[book](ctx, eng, &engine.Request{Path: "/api/v3/depth", Egress: egress})
}

func ExampleConfig_egress() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Println("from", from)
		fmt.Fprint(w, "{}")
	}))
	defer server.Close()
	eng, err := engine.New(engine.Config{BaseURL: server.URL, Egress: waysOut})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()
	bookFrom(context.Background(), eng, "")
	bookFrom(context.Background(), eng, "second")
	_, err = bookFrom(context.Background(), eng, "third")
	fmt.Println(errors.Is(err, engine.ErrUnknownEgress))
	// Output:
	// from 127.0.0.1
	// from 127.0.0.2
	// true
}

func ExampleEngine_SetAccount() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.URL.Path, "of", r.Header.Get("X-MBX-APIKEY"), "signed:", r.URL.Query().Has("signature"))
		if r.Method == http.MethodPost {
			fmt.Fprint(w, `{"listenKey":"k"}`)
			return
		}
		fmt.Fprint(w, "[]")
	}))
	defer server.Close()
	secrets, err := os.MkdirTemp("", "secrets")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(secrets)
	for _, name := range accountNames {
		os.Setenv("EXCHANGE_KEY_"+strings.ToUpper(name), "the key of "+name)
		defer os.Unsetenv("EXCHANGE_KEY_" + strings.ToUpper(name))
		os.WriteFile(filepath.Join(secrets, name), []byte("sesame\n"), 0o600)
	}

	eng, err := desk(server.URL, secrets)
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	rotated := make(chan struct{})
	go func() { defer close(rotated); rotate(eng, secrets, hangups) }()

	openOrders(context.Background(), eng, "main")
	openOrders(context.Background(), eng, "hedge")
	listenKey(context.Background(), eng, "hedge")
	os.Setenv("EXCHANGE_KEY_HEDGE", "the new key of hedge")
	hangups <- syscall.SIGHUP // as of kill -HUP
	signal.Stop(hangups)
	close(hangups)
	<-rotated
	openOrders(context.Background(), eng, "hedge")
	// Output:
	// /api/v3/openOrders of the key of main signed: true
	// /api/v3/openOrders of the key of hedge signed: true
	// /api/v3/userDataStream of the key of hedge signed: false
	// /api/v3/openOrders of the new key of hedge signed: true
}
