package oauth2_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	xoauth2 "golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/auth/oauth2"
	"github.com/sluice-engine/sluice/messages"
)

// issuer hands out tokens.
func issuer() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"of %s","token_type":"Bearer","expires_in":3600,"refresh_token":"second"}`, r.FormValue("grant_type"))
	}))
}

// sign is what an engine does with Config.Auth before a request leaves.
func sign(a auth.Authenticator) {
	var call messages.Call
	call.Deadline = time.Now().Add(5 * time.Second)
	if err := a.Authenticate(&call, auth.LocalClock(0)); err != nil {
		fmt.Println(err)
		return
	}
	token, _ := call.Header("Authorization")
	fmt.Println(token)
}

func ExampleClientCredentials() {
	server := issuer()
	defer server.Close()
	tokens := oauth2.ClientCredentials(clientcredentials.Config{
		ClientID: "id", ClientSecret: "secret", TokenURL: server.URL,
	}, oauth2.Options{})
	defer tokens.Close()
	sign(tokens)
	// Output: Bearer of client_credentials
}

// A refresh token that is replaced is told, to be kept for the next start.
func ExampleRefresh() {
	server := issuer()
	defer server.Close()
	tokens := oauth2.Refresh(xoauth2.Config{
		ClientID: "id", Endpoint: xoauth2.Endpoint{TokenURL: server.URL},
	}, "first", func(next auth.Secret) { fmt.Println(len(next)) }, oauth2.Options{})
	defer tokens.Close()
	sign(tokens)
	// Output:
	// 6
	// Bearer of refresh_token
}

// Any other way to come by a token.
func ExampleNew() {
	tokens := oauth2.New(func(ctx context.Context) (*xoauth2.Token, error) {
		return &xoauth2.Token{AccessToken: "from a vault", Expiry: time.Now().Add(time.Hour)}, nil
	}, oauth2.Options{})
	defer tokens.Close()
	sign(tokens)
	// Output: Bearer from a vault
}
