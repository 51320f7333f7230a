package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// shelf serves the numbers from 0 to of-1, a page at a time, in every way that there is.
func shelf(of, size int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		number := func(name string) int { n, _ := strconv.Atoi(query.Get(name)); return n }
		of, size := of, size
		if query.Has("of") {
			of, size = number("of"), number("size")
		}
		from := number("offset") + size*number("page") + number("cursor")
		if r.Method == http.MethodPost {
			var body struct{ Variables struct{ After int } }
			_ = json.NewDecoder(r.Body).Decode(&body)
			from = body.Variables.After
		}
		items := []int{}
		for i := from; i < min(from+size, of); i++ {
			items = append(items, i)
		}
		answer := map[string]any{"items": items, "total": of, "pages": (of + size - 1) / size, "more": from+size < of, "next": nil}
		if from+size < of {
			next := strconv.Itoa(from + size)
			answer["next"], answer["after"] = next, from+size
			w.Header().Set("X-Next", next)
			query.Set("cursor", next)
			w.Header().Add("Link", `</elsewhere>; rel="prev"`)
			w.Header().Add("Link", `</>; rel=first, <?`+query.Encode()+`>; title="a, b"; rel="last next"`)
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(answer)
	}
}

type shelved struct {
	Items []int
	Total int
}

var pagers = map[string]engine.Pager{
	"a cursor in a parameter": {Cursor: engine.Cursor{From: "next", Param: "cursor"}},
	"a cursor in a header":    {Cursor: engine.Cursor{Header: "x-next", Param: "cursor"}},
	"a cursor, and a word":    {Cursor: engine.Cursor{From: "next", Param: "cursor", More: "more"}},
	"an offset":               {Number: engine.Number{Param: "offset", Items: true}},
	"an offset, by its size":  {Number: engine.Number{Param: "offset", Items: true, Size: 3}},
	"an offset, by the total": {Number: engine.Number{Param: "offset", Items: true, Total: "total"}},
	"a page":                  {Number: engine.Number{Param: "page"}},
	"a page, by the total":    {Number: engine.Number{Param: "page", Size: 3, Total: "total"}},
	"a page, by the pages":    {Number: engine.Number{Param: "page", Pages: "pages"}},
	"a link":                  {Link: true},
	"a func": {Next: func(asked *engine.Request, answer *engine.Response) (*engine.Request, error) {
		var page struct{ Next *string }
		if err := answer.JSON(&page); err != nil || page.Next == nil {
			return nil, err
		}
		next := *asked
		next.Path, next.Query = "/", engine.Values{"cursor": *page.Next, "of": asked.Query["of"], "size": asked.Query["size"]}
		return &next, nil
	}},
}

func TestEveryItemOfEveryPageIsYieldedOnceInOrder(t *testing.T) {
	for name, by := range pagers {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, shelf(0, 0))
			eng := s.newEngine(t, engine.Config{})
			rapid.Check(t, func(t *rapid.T) {
				of, size := rapid.IntRange(0, 20).Draw(t, "of"), rapid.IntRange(1, 7).Draw(t, "size")
				by := by
				by.List, by.Prefetch = "items", rapid.Bool().Draw(t, "prefetch")
				if by.Number.Size > 0 {
					by.Number.Size = size
				}
				first := &engine.Request{Path: "/", Query: engine.Values{"of": of, "size": size}}
				var got []int
				for item, err := range engine.Items[int](context.Background(), eng, first, by) {
					require.NoError(t, err)
					got = append(got, item)
				}
				require.Equal(t, numbers(0, of), got)
				require.Len(t, first.Query, 2, "the first request is not changed")

				from := rapid.IntRange(0, of).Draw(t, "from") / size * size // in the middle, and with a size of its own
				param, at := "cursor", from
				if by.Number != (engine.Number{}) {
					if param = by.Number.Param; param == "page" {
						at = from / size
					}
				}
				got = nil
				middle := &engine.Request{Path: fmt.Sprintf("/?of=%d&size=%d&%s=%d", of, size, param, at)}
				if by.Next != nil {
					middle = &engine.Request{Path: "/", Query: engine.Values{"of": of, "size": size, "cursor": from}}
				}
				for item, err := range engine.Items[int](context.Background(), eng, middle, by) {
					require.NoError(t, err)
					got = append(got, item)
				}
				require.Equal(t, numbers(from, of), got)
			})
			wantNothingHeld(t, eng)
		})
	}
}

func numbers(from, to int) (all []int) {
	for i := from; i < to; i++ {
		all = append(all, i)
	}
	return all
}

func TestWhatLeadsOnGoesIntoTheBodyToo(t *testing.T) {
	s := newServer(t, shelf(7, 3))
	eng := s.newEngine(t, engine.Config{})
	variables := map[string]any{"symbol": "X"}
	for _, body := range []any{
		map[string]any{"query": "…", "variables": variables}, engine.Values{"variables": variables}, engine.Values{}, nil,
	} {
		first := &engine.Request{Method: http.MethodPost, Body: body, Idempotent: true}
		for _, by := range []engine.Pager{
			{Cursor: engine.Cursor{From: "after", Field: "variables.after"}}, // a number, sent as one
			{Number: engine.Number{Field: "variables.after", Items: true}, List: "items"},
		} {
			var got []int
			for page, err := range engine.Pages[shelved](t.Context(), eng, first, by) {
				require.NoError(t, err)
				got = append(got, page.Items...)
			}
			require.Equal(t, numbers(0, 7), got)
		}
		require.NotContains(t, variables, "after", "the caller's own body is not changed")
	}
	for _, body := range []any{"text", []byte("{}"), struct{}{}} {
		_, err := all(engine.Pages[shelved](t.Context(), eng, &engine.Request{Method: http.MethodPost, Body: body},
			engine.Pager{Number: engine.Number{Field: "after"}, List: "items"}))
		require.ErrorIs(t, err, engine.ErrInvalidRequest)
	}
}

// all collects a sequence up to its error.
func all[T any](seq func(func(T, error) bool)) (got []T, err error) {
	for v, wrong := range seq {
		if wrong != nil {
			if err != nil {
				panic("a sequence went on behind its error")
			}
			err = wrong
			continue
		}
		if err != nil {
			panic("a sequence went on behind its error")
		}
		got = append(got, v)
	}
	return got, err
}

func TestAPageThatFailsEndsTheSequenceAndCanBeGoneOnWith(t *testing.T) {
	for _, prefetch := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var asked atomic.Int64
			s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) == 3 {
					w.Header().Set("Retry-After", "7")
					w.WriteHeader(http.StatusTooManyRequests)
					return
				}
				shelf(10, 3)(w, r)
			})
			eng := s.newEngine(t, engine.Config{})
			by := engine.Pager{Cursor: engine.Cursor{From: "next", Param: "cursor"}, Prefetch: prefetch}
			got, err := all(engine.Pages[shelved](t.Context(), eng, &engine.Request{}, by))
			require.Len(t, got, 2)
			var failed *engine.PageError
			require.ErrorAs(t, err, &failed)
			require.Equal(t, 3, failed.Page)
			var status *engine.StatusError
			require.ErrorAs(t, err, &status)
			require.Equal(t, 429, status.StatusCode)
			require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, *failed, failed), "cursor")

			began := time.Now()
			require.NoError(t, engine.Wait(t.Context(), err))
			require.Equal(t, 7*time.Second, time.Since(began).Round(time.Second))
			rest, err := all(engine.Pages[shelved](t.Context(), eng, failed.Request, by))
			require.NoError(t, err)
			require.Equal(t, []int{6, 7, 8}, rest[0].Items)
			require.Len(t, rest, 2)
			wantNothingHeld(t, eng)
		})
	}
}

func TestPagesThatLeadInACircleEndWithAnError(t *testing.T) {
	circle := []string{"b", "c", "a"}
	var asked atomic.Int64
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		w.Header().Set("Link", `</?at=`+circle[int(n-1)%len(circle)]+`>; rel="next"`)
		fmt.Fprintf(w, `{"next":%q}`, circle[int(n-1)%len(circle)])
	})
	eng := s.newEngine(t, engine.Config{})
	for name, by := range map[string]engine.Pager{
		"cursor": {Cursor: engine.Cursor{From: "next", Param: "at"}}, "link": {Link: true}, "prefetched": {Link: true, Prefetch: true},
		"field": {Cursor: engine.Cursor{From: "next", Field: "at"}},
		"func": {Next: func(_ *engine.Request, answer *engine.Response) (*engine.Request, error) {
			return &engine.Request{Path: "/", Header: http.Header{"At": {circle[int(asked.Load()-1)%len(circle)]}}}, nil
		}},
	} {
		asked.Store(0)
		first := &engine.Request{Path: "/?at=a", Body: engine.Values{"at": "a"}, Header: http.Header{"At": {"a"}}}
		if name == "link" || name == "prefetched" {
			first = &engine.Request{URL: "http://server.test/?at=a"}
		}
		if name == "cursor" {
			first = &engine.Request{Path: "/", Query: engine.Values{"at": "a"}}
		}
		if name == "func" {
			first = &engine.Request{Path: "/", Header: http.Header{"At": {"a"}}}
		}
		got, err := all(engine.Pages[string](t.Context(), eng, first, by))
		require.ErrorIs(t, err, engine.ErrSamePage, name)
		require.Len(t, got, 3, "the page that leads back is yielded: %s", name)
		require.EqualValues(t, 3, asked.Load(), name)
	}
}

func TestPagesOfAnotherAccountOrLimitAreOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "[%q]", r.Header.Get("X-Key")) }).newEngine(t, engine.Config{
			Accounts: map[string]auth.Authenticator{
				"a": auth.APIKey{Header: "X-Key", Key: "of a"}, "b": auth.APIKey{Header: "X-Key", Key: "of b"},
			},
			Limits: []throttle.Limit{{ID: "one", Quota: 100, Per: time.Second}, {ID: "two", Quota: 100, Per: time.Second}}, DefaultLimitID: "one",
		})
		ways := []func(*engine.Request){
			func(r *engine.Request) { r.Account = "b" }, func(r *engine.Request) { r.LimitID = "two" }, func(r *engine.Request) { r.Auth = false },
		}
		next := func(asked *engine.Request, _ *engine.Response) (*engine.Request, error) {
			if len(ways) == 0 {
				return nil, nil
			}
			other := *asked
			ways[0](&other)
			ways = ways[1:]
			return &other, nil
		}
		var got []string
		for page, err := range engine.Pages[[]string](t.Context(), eng, &engine.Request{Path: "/orders", Account: "a", Auth: true}, engine.Pager{Next: next}) {
			require.NoError(t, err)
			got = append(got, page...)
		}
		require.Equal(t, []string{"of a", "of b", "of b", ""}, got)
	})
}

func TestTheEngineMayBeClosedWhereTheNextPageIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") }).newEngine(t, engine.Config{})
		pages := engine.Pages[any](t.Context(), eng, &engine.Request{}, engine.Pager{Next: func(*engine.Request, *engine.Response) (*engine.Request, error) {
			require.NoError(t, eng.Close(), "no request waits for this code")
			return nil, nil
		}})
		for _, err := range pages {
			require.NoError(t, err)
		}
	})
}

func TestThereIsABoundOfPages(t *testing.T) {
	s := newServer(t, shelf(1_000_000, 2))
	eng := s.newEngine(t, engine.Config{})
	for _, prefetch := range []bool{false, true} {
		before := len(s.seen())
		by := engine.Pager{Link: true, MaxPages: 4, Prefetch: prefetch}
		got, err := all(engine.Pages[shelved](t.Context(), eng, &engine.Request{}, by))
		require.ErrorIs(t, err, engine.ErrTooManyPages)
		require.Len(t, got, 4)
		require.Len(t, s.seen(), before+4, "no more are asked for")
		var failed *engine.PageError
		require.ErrorAs(t, err, &failed)
		more, err := all(engine.Pages[shelved](t.Context(), eng, failed.Request, by))
		require.ErrorIs(t, err, engine.ErrTooManyPages)
		require.Equal(t, []int{8, 9}, more[0].Items)
	}
	by := engine.Pager{Number: engine.Number{Param: "page"}, List: "items"}
	got, err := all(engine.Pages[string](t.Context(), eng, &engine.Request{}, by))
	require.ErrorIs(t, err, engine.ErrTooManyPages, "by default")
	require.Len(t, got, 10_000)
	by.MaxPages = -1
	n := 0
	for _, err := range engine.Pages[string](t.Context(), eng, &engine.Request{}, by) {
		require.NoError(t, err)
		if n++; n > 10_500 {
			break
		}
	}
}

func TestALinkToAnotherOriginIsNotFollowedUnlessItMay(t *testing.T) {
	for _, target := range []string{"http://other.test/?page=2", "//other.test/", "https://server.test/", "http://server.test:81/", "ftp://server.test/", "http://user:pass@server.test/", "http://server.test%00/"} {
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" && r.Host == "server.test" {
				w.Header().Set("Link", "<"+target+`>; rel="next"`)
			}
			io.WriteString(w, r.Host+" "+r.Header.Get("X-Token"))
		})
		eng := s.newEngine(t, engine.Config{})
		first := &engine.Request{Header: http.Header{"X-Token": {"secret"}}}
		got, err := all(engine.Pages[string](t.Context(), eng, first, engine.Pager{Link: true, Prefetch: true}))
		require.Error(t, err, target)
		require.Len(t, got, 1)
		require.Len(t, s.seen(), 1, target)
		require.NotContains(t, err.Error(), "pass")
		if target == "http://other.test/?page=2" {
			require.ErrorIs(t, err, engine.ErrStrangeLink)
			got, err := all(engine.Pages[string](t.Context(), eng, first, engine.Pager{Link: true, Origins: []string{"http://other.test:80"}}))
			require.NoError(t, err)
			require.Equal(t, []string{"server.test secret", "other.test secret"}, got)
		}
	}
}

func TestALinkOfAnotherPageIsNotThatOfThisOne(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/a/b" {
			w.Header().Add("Link", `</wrong>; rel="next"; anchor="/other"`)
			w.Header().Add("Link", `<c#part>; rel="next"; anchor="?x=1"`)
		}
		io.WriteString(w, r.URL.String())
	})
	eng := s.newEngine(t, engine.Config{})
	got, err := all(engine.Pages[string](t.Context(), eng, &engine.Request{Path: "/a/b?x=1"}, engine.Pager{Link: true}))
	require.NoError(t, err)
	require.Equal(t, []string{"/a/b?x=1", "/a/c"}, got)
}

// A server that writes the query that it was asked with into its links repeats the
// signature as well.
func TestALinkThatRepeatsASignatureIsSignedAnew(t *testing.T) {
	var queries []map[string][]string
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		queries = append(queries, query)
		if query.Get("page") != "3" {
			next := r.URL.Query()
			next.Set("page", strconv.Itoa(len(queries)+1))
			w.Header().Set("Link", "</?"+next.Encode()+`>; rel="next"`)
		}
		io.WriteString(w, "{}")
	})
	eng := s.newEngine(t, engine.Config{Auth: auth.Binance("key", "secret")})
	_, err := all(engine.Pages[string](t.Context(), eng, &engine.Request{Auth: true, Query: engine.Values{"symbol": "X"}}, engine.Pager{Link: true}))
	require.NoError(t, err)
	require.Len(t, queries, 3)
	for i, query := range queries {
		require.Len(t, query["signature"], 1, "page %d", i+1)
		require.Len(t, query["timestamp"], 1, "page %d", i+1)
		require.Equal(t, []string{"X"}, query["symbol"])
	}
	require.NotEqual(t, queries[0]["signature"], queries[1]["signature"])
}

func TestAPageThatDoesNotSayWhereTheNextIsIsYieldedBeforeItsError(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		by   engine.Pager
	}{
		"no list":       {`{"items":{}}`, engine.Pager{Number: engine.Number{Param: "page"}, List: "items"}},
		"list missing":  {`{}`, engine.Pager{Number: engine.Number{Param: "page"}, List: "items"}},
		"no JSON":       {`[1,`, engine.Pager{Number: engine.Number{Param: "page"}}},
		"no total":      {`{"items":[1]}`, engine.Pager{Number: engine.Number{Param: "page", Items: true, Total: "total"}, List: "items"}},
		"total in text": {`{"items":[1],"total":"many"}`, engine.Pager{Number: engine.Number{Param: "page", Items: true, Total: "total"}, List: "items"}},
		"no pages":      {`{"items":[1],"pages":1.5}`, engine.Pager{Number: engine.Number{Param: "page", Pages: "pages"}, List: "items"}},
		"not JSON":      {`<html>`, engine.Pager{Cursor: engine.Cursor{From: "next", Param: "cursor"}}},
		"object":        {`{"next":{}}`, engine.Pager{Cursor: engine.Cursor{From: "next", Param: "cursor"}}},
		"boolean":       {`{"next":true}`, engine.Pager{Cursor: engine.Cursor{From: "next", Param: "cursor"}}},
		"more unsaid":   {`{"next":"a"}`, engine.Pager{Cursor: engine.Cursor{From: "next", Param: "cursor", More: "more"}}},
		"more, no next": {`{"more":true}`, engine.Pager{Cursor: engine.Cursor{From: "next", Param: "cursor", More: "more"}}},
	} {
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, c.body) })
		got, err := all(engine.Pages[string](t.Context(), s.newEngine(t, engine.Config{}), &engine.Request{}, c.by))
		require.ErrorIs(t, err, engine.ErrAstray, name)
		require.Equal(t, []string{c.body}, got, name)
		require.Len(t, s.seen(), 1, name)
	}
}

func TestAPageThatIsNotDecodedIsAnErrorOfThatPage(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, map[string]string{"": `{"items":[1,2],"next":"b"}`, "b": `{"items":[3,"x"],"next":"c"}`, "c": `{"items":[5]}`, "null": `{"items":[null]}`}[r.URL.Query().Get("at")])
	})
	eng := s.newEngine(t, engine.Config{})
	by := engine.Pager{Cursor: engine.Cursor{From: "next", Param: "at"}, List: "items", Prefetch: true}
	var decode *engine.DecodeError
	var failed *engine.PageError
	items, err := all(engine.Items[int](t.Context(), eng, &engine.Request{}, by))
	require.ErrorAs(t, err, &decode)
	require.ErrorAs(t, err, &failed)
	require.Equal(t, "b", failed.Request.Query["at"])
	require.Equal(t, []int{1, 2}, items, "none of a page of which one is wrong")
	pages, err := all(engine.Pages[struct{ Items []int }](t.Context(), eng, &engine.Request{}, by))
	require.ErrorAs(t, err, &decode)
	require.ErrorAs(t, err, &failed)
	require.Equal(t, 2, failed.Page)
	require.Len(t, pages, 1)
	_, err = all(engine.Items[int](t.Context(), s.newEngine(t, engine.Config{}), &engine.Request{Path: "/?at=null"}, by))
	require.ErrorAs(t, err, &decode, "a null is no number")
	pointers, err := all(engine.Items[*int](t.Context(), eng, &engine.Request{Path: "/?at=null"}, by))
	require.NoError(t, err)
	require.Equal(t, []*int{nil}, pointers)
	_, err = all(engine.Items[int](t.Context(), eng, &engine.Request{}, engine.Pager{Cursor: by.Cursor}))
	require.ErrorIs(t, err, engine.ErrAstray, "the answer is no list")
	wantNothingHeld(t, eng)
}

func TestTheNextPageIsAskedForWhileTheConsumerIsAtWork(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		for _, prefetch := range []bool{false, true} {
			s, eng := open(func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(time.Second)
				shelf(12, 3)(w, r)
			}, engine.Config{})
			began, want := time.Now(), 8*time.Second
			if prefetch {
				want = 5 * time.Second
			}
			for _, err := range engine.Pages[shelved](t.Context(), eng, &engine.Request{}, engine.Pager{Link: true, Prefetch: prefetch}) {
				require.NoError(t, err)
				synctest.Wait()
				time.Sleep(time.Second)
			}
			require.Equal(t, want, time.Since(began))
			require.Len(t, s.seen(), 4)
		}
	})
}

func TestWhoeverBreaksOffLeavesNothingRunning(t *testing.T) {
	for name, off := range map[string]func(func(yield func(shelved, error) bool)){
		"break": func(seq func(func(shelved, error) bool)) {
			for range seq {
				break
			}
		},
		"panic": func(seq func(func(shelved, error) bool)) {
			defer func() { _ = recover() }()
			for range seq {
				panic("the body's own")
			}
		},
		"goexit": func(seq func(func(shelved, error) bool)) {
			var ended sync.WaitGroup
			ended.Go(func() {
				for range seq {
					runtime.Goexit()
				}
			})
			ended.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
				var asked atomic.Int64
				s, eng := open(func(w http.ResponseWriter, r *http.Request) {
					if asked.Add(1) > 1 {
						<-r.Context().Done() // the prefetched one
						return
					}
					shelf(12, 3)(w, r)
				}, engine.Config{})
				off(engine.Pages[shelved](t.Context(), eng, &engine.Request{}, engine.Pager{Link: true, Prefetch: true}))
				require.Zero(t, eng.Stats().InFlight, "it was waited for")
				synctest.Wait()
				wantNothingHeld(t, eng)
				require.LessOrEqual(t, len(s.seen()), 2)
			})
		})
	}
}

func TestTheEndOfTheContextEndsTheSequence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, shelf(12, 3))
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "l", Quota: 2, Per: time.Minute}}, DefaultLimitID: "l"})
		for _, prefetch := range []bool{false, true} {
			time.Sleep(time.Minute)
			why := errors.New("enough")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(why) })
			got, err := all(engine.Pages[shelved](ctx, eng, &engine.Request{}, engine.Pager{Link: true, Prefetch: prefetch}))
			require.ErrorIs(t, err, why)
			require.Len(t, got, 2)
			synctest.Wait()
			wantNothingHeld(t, eng)
		}
	})
}

func TestAPagerThatLeadsNowhereIsAnErrorBeforeAnythingIsSent(t *testing.T) {
	s := newServer(t, nil)
	eng := s.newEngine(t, engine.Config{})
	cursor := engine.Cursor{From: "next", Param: "cursor"}
	for name, by := range map[string]engine.Pager{
		"nothing": {}, "two ways": {Cursor: cursor, Link: true}, "no source": {Cursor: engine.Cursor{Param: "x"}},
		"two sources": {Cursor: engine.Cursor{From: "a", Header: "b", Param: "x"}}, "no sink": {Cursor: engine.Cursor{From: "a"}},
		"two sinks": {Number: engine.Number{Param: "a", Field: "b"}}, "no number's sink": {Number: engine.Number{First: 1}},
		"size": {Number: engine.Number{Param: "a", Size: -1}}, "total": {Number: engine.Number{Param: "a", Total: "t"}},
		"pages": {Number: engine.Number{Param: "a", Items: true, Pages: "t"}}, "origin": {Link: true, Origins: []string{"example.com"}},
	} {
		got, err := all(engine.Pages[string](t.Context(), eng, &engine.Request{}, by))
		require.ErrorIs(t, err, engine.ErrInvalidRequest, name)
		require.Empty(t, got)
	}
	_, err := all(engine.Pages[string](t.Context(), eng, &engine.Request{Query: engine.Values{"page": "first"}}, engine.Pager{Number: engine.Number{Param: "page"}}))
	require.ErrorIs(t, err, engine.ErrInvalidRequest)
	require.Len(t, s.seen(), 1)
	_, err = all(engine.Pages[string](t.Context(), nil, &engine.Request{}, engine.Pager{Link: true}))
	require.ErrorIs(t, err, engine.ErrNoEngine)
	_, err = all(engine.Pages[string](t.Context(), eng, nil, engine.Pager{Link: true}))
	require.ErrorIs(t, err, engine.ErrInvalidRequest)
	_, err = all(engine.Pages[string](missingContext, eng, &engine.Request{}, engine.Pager{Link: true})) // a mistake that is told
	require.ErrorIs(t, err, engine.ErrInvalidRequest)
}

func TestAFuncOfTheCallersMayFailAndPanic(t *testing.T) {
	s := newServer(t, nil)
	eng := s.newEngine(t, engine.Config{})
	why := errors.New("no idea")
	got, err := all(engine.Pages[string](t.Context(), eng, &engine.Request{}, engine.Pager{Next: func(*engine.Request, *engine.Response) (*engine.Request, error) { return nil, why }}))
	require.ErrorIs(t, err, why)
	require.Len(t, got, 1)
	var panicked *engine.PanicError
	got, err = all(engine.Pages[string](t.Context(), eng, &engine.Request{}, engine.Pager{Next: func(*engine.Request, *engine.Response) (*engine.Request, error) { panic("x") }}))
	require.ErrorAs(t, err, &panicked)
	require.Len(t, got, 1)
}

func TestPagesFollowFetchsRules(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if at := r.URL.Query().Get("at"); at == "2" {
			w.WriteHeader(http.StatusNoContent)
			return
		} else if at == "bad" {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"next":"2"}`)
			return
		}
		io.WriteString(w, `{"next":"2"}`)
	})
	eng := s.newEngine(t, engine.Config{})
	by := engine.Pager{Cursor: engine.Cursor{From: "next", Param: "at"}}
	type page struct{ Next string }
	got, err := all(engine.Pages[page](t.Context(), eng, &engine.Request{Stream: true}, by))
	require.NoError(t, err)
	require.Equal(t, []page{{"2"}, {}}, got, "an empty body is the zero value, and the last page")
	got, err = all(engine.Pages[page](t.Context(), eng, &engine.Request{Path: "/?at=bad", ReturnErrors: true}, by))
	require.NoError(t, err)
	require.Equal(t, []page{{"2"}}, got, "a refusal that is data leads nowhere")
	whole, err := all(engine.Pages[*engine.Response](t.Context(), eng, &engine.Request{Stream: true}, by))
	require.NoError(t, err)
	require.Equal(t, []int{200, 204}, []int{whole[0].StatusCode, whole[1].StatusCode})
	require.Nil(t, whole[0].Stream)
	require.True(t, slices.Equal(whole[0].Body, []byte(`{"next":"2"}`)))
	seq := engine.Pages[page](t.Context(), eng, &engine.Request{}, by)
	for range 2 {
		again, err := all(seq)
		require.NoError(t, err)
		require.Len(t, again, 2, "ranged over again, it begins anew")
	}
}

func TestPagesPassOverAByteOrderMarkAsFetchDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			next := map[string]string{"": "2"}[r.URL.Query().Get("c")]
			fmt.Fprintf(w, "\uFEFF{\"next\":%q,\"more\":%t,\"pages\":2,\"items\":[1,2]}", next, next != "")
		}).newEngine(t, engine.Config{})
		for _, by := range []engine.Pager{
			{Cursor: engine.Cursor{From: "next", Param: "c"}, List: "items"},
			{Cursor: engine.Cursor{From: "next", Param: "c", More: "more"}, List: "items"},
			{Number: engine.Number{Param: "c", First: 1, Pages: "pages"}, List: "items"},
		} {
			items, err := all(engine.Items[int](t.Context(), eng, &engine.Request{Path: "/"}, by))
			require.NoError(t, err)
			require.Equal(t, []int{1, 2, 1, 2}, items)
			pages, err := all(engine.Pages[struct{ Items []int }](t.Context(), eng, &engine.Request{Path: "/"}, by))
			require.NoError(t, err)
			require.Len(t, pages, 2)
		}
		bare := newServer(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "\uFEFF[1]") }).newEngine(t, engine.Config{})
		items, err := all(engine.Items[int](t.Context(), bare, &engine.Request{Path: "/"}, engine.Pager{Link: true}))
		require.NoError(t, err)
		require.Equal(t, []int{1}, items)
	})
}

func TestNoServerLeadsInACircleWhateverTheBodyIs(t *testing.T) {
	file := func(content any) engine.Multipart {
		return engine.Multipart{Fields: engine.Values{"a": "b"}, Files: []engine.File{{Field: "f", Content: content}}}
	}
	for name, body := range map[string]any{
		"none": nil, "Values": engine.Values{"x": 1}, "a Form": engine.Form{"x": 1}, "bytes": []byte("x"), "JSON": map[string]any{"x": 1},
		"a Multipart": engine.Multipart{Fields: engine.Values{"a": "b"}}, "a file of bytes": file([]byte("x")), "a file of a string": file("x"),
		"a reader": strings.NewReader("x"), "a file that is read": file(strings.NewReader("x")),
		"a file that is opened": file(func() (io.Reader, error) { return strings.NewReader("x"), nil }),
	} {
		for way, by := range map[string]engine.Pager{"cursor": {Cursor: engine.Cursor{From: "next", Param: "c"}, MaxPages: 9}, "link": {Link: true, MaxPages: 9}} {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					w.Header().Set("Link", `</?c=a>; rel="next"`)
					io.WriteString(w, `{"next":"a"}`)
				})
				pages, err := all(engine.Pages[any](t.Context(), s.newEngine(t, engine.Config{}), &engine.Request{Method: http.MethodPost, Body: body}, by))
				require.ErrorIs(t, err, engine.ErrSamePage, "%s, by %s", name, way)
				require.Len(t, pages, 2)
				require.Len(t, s.seen(), 2)
			})
		}
	}
}

func TestRequestsOfNextAreToldApartByTheirFiles(t *testing.T) {
	body := func(field, name, kind string, content any) engine.Multipart {
		return engine.Multipart{Fields: engine.Values{"a": field}, Files: []engine.File{{Field: "f", Name: name, ContentType: kind, Content: content}}}
	}
	first := body("1", "n", "text/plain", "x")
	for name, c := range map[string]struct {
		next any
		same bool
	}{
		"the same":                          {body("1", "n", "text/plain", "x"), true},
		"another field":                     {body("2", "n", "text/plain", "x"), false},
		"another name":                      {body("1", "m", "text/plain", "x"), false},
		"another type":                      {body("1", "n", "text/html", "x"), false},
		"another content":                   {body("1", "n", "text/plain", "y"), false},
		"no file":                           {engine.Multipart{Fields: engine.Values{"a": "1"}}, false},
		"a reader, which is not read first": {body("1", "n", "text/plain", strings.NewReader("x")), false},
	} {
		synctest.Test(t, func(t *testing.T) {
			eng := newServer(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }).newEngine(t, engine.Config{})
			asked := &engine.Request{Method: http.MethodPost, Body: first}
			_, err := all(engine.Pages[string](t.Context(), eng, asked, engine.Pager{MaxPages: 5, Next: func(*engine.Request, *engine.Response) (*engine.Request, error) {
				next := *asked
				next.Body = c.next
				return &next, nil
			}}))
			if strings.HasPrefix(name, "a reader") {
				require.ErrorIs(t, err, engine.ErrTooManyPages, "MaxPages bounds what cannot be told apart")
				return
			}
			var failed *engine.PageError
			require.ErrorAs(t, err, &failed)
			require.ErrorIs(t, err, engine.ErrSamePage)
			require.Equal(t, map[bool]int{true: 1, false: 2}[c.same], failed.Page, name)
		})
	}
}

// closer closes an engine where it is decoded.
type closer struct{}

var closes func() error // of the engine that a closer closes

func (*closer) UnmarshalJSON([]byte) error { return closes() }

func TestTheEngineMayBeClosedWhereAnAnswerIsDecoded(t *testing.T) {
	link := engine.Pager{Link: true}
	for name, decode := range map[string]func(*testing.T, *engine.Engine) error{
		"Fetch": func(t *testing.T, eng *engine.Engine) error {
			_, err := engine.Fetch[closer](t.Context(), eng, &engine.Request{})
			return err
		},
		"FetchAll": func(t *testing.T, eng *engine.Engine) error {
			_, err := engine.FetchAll[closer](t.Context(), eng, []*engine.Request{{}}, engine.FanOut{})
			return err
		},
		"Pages": func(t *testing.T, eng *engine.Engine) error {
			_, err := all(engine.Pages[closer](t.Context(), eng, &engine.Request{}, link))
			return err
		},
		"Items": func(t *testing.T, eng *engine.Engine) error {
			_, err := all(engine.Items[closer](t.Context(), eng, &engine.Request{}, link))
			return err
		},
		"Response.JSON": func(t *testing.T, eng *engine.Engine) error {
			response, err := eng.Do(t.Context(), &engine.Request{})
			require.NoError(t, err)
			return response.JSON(new(closer))
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			eng := newServer(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "[{}]") }).newEngine(t, engine.Config{})
			closes = eng.Close
			require.NoError(t, decode(t, eng), "%s: no request waits for this code", name)
			_, err := eng.Do(t.Context(), &engine.Request{})
			require.ErrorIs(t, err, engine.ErrClosed, name)
		})
	}
	// Pages tells requests apart by what their values say, before one is asked for.
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, nil).newEngine(t, engine.Config{})
		var first sync.Once
		value := textFunc(func() string {
			first.Do(func() { require.NoError(t, eng.Close()) })
			return "x"
		})
		_, err := all(engine.Pages[string](t.Context(), eng, &engine.Request{Query: engine.Values{"q": value}}, link))
		require.ErrorIs(t, err, engine.ErrClosed)
	})
	// Where a request does wait for it, it still is refused.
	synctest.Test(t, func(t *testing.T) {
		var told error
		eng := newServer(t, nil).newEngine(t, engine.Config{PostProcessors: []engine.PostProcessor{
			engine.PostProcessorFunc(func(_ context.Context, _ *engine.Request, r *engine.Response) error {
				told = r.JSON(new(closer))
				return nil
			}),
		}})
		closes = eng.Close
		_, err := eng.Do(t.Context(), &engine.Request{})
		require.NoError(t, err)
		require.ErrorIs(t, told, engine.ErrInsideRequest)
	})
}

// textFunc is a value whose text is asked for.
type textFunc func() string

func (f textFunc) String() string { return f() }

func TestACircleOfCursorsIsSeenWhereverTheFirstOneStands(t *testing.T) {
	for name, first := range map[string]*engine.Request{
		"Path": {Path: "/?a=b&c=0"}, "URL": {URL: "http://api.test/?c=0&a=b"}, "Query": {Path: "/?a=b", Query: engine.Values{"c": 0}},
	} {
		synctest.Test(t, func(t *testing.T) {
			var came []string
			s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				at := r.URL.Query().Get("c")
				came = append(came, at)
				fmt.Fprintf(w, `{"items":[%s],"next":"%s"}`, at, map[string]string{"0": "1", "1": "2", "2": "0"}[at])
			})
			eng := s.newEngine(t, engine.Config{})
			defer eng.Close()
			var err error
			for _, wrong := range engine.Items[int](t.Context(), eng, first, engine.Pager{List: "items", Cursor: engine.Cursor{From: "next", Param: "c"}}) {
				err = wrong
			}
			require.ErrorIs(t, err, engine.ErrSamePage, name)
			require.Equal(t, []string{"0", "1", "2"}, came, name)
		})
	}
}

// It may be a page that was lost on the way, as at a gateway: behind it there may be others.
func TestAnEmptyPageIsTheLastOnlyIfItsStatusSaysSo(t *testing.T) {
	for name, by := range map[string]engine.Pager{
		"total":  {Number: engine.Number{Param: "p", Items: true, Total: "total"}, List: "items"},
		"pages":  {Number: engine.Number{Param: "p", First: 1, Pages: "pages"}, List: "items"},
		"size":   {Number: engine.Number{Param: "p", Items: true, Size: 3}, List: "items"},
		"more":   {Cursor: engine.Cursor{From: "next", Param: "p", More: "more"}, List: "items"},
		"cursor": {Cursor: engine.Cursor{From: "next", Param: "p"}, List: "items"},
		"header": {Cursor: engine.Cursor{Header: "Next", Param: "p"}, List: "items"},
		"link":   {Link: true, List: "items"},
	} {
		for _, status := range []int{200, 204, 205} {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Query().Get("p") != "" {
						w.WriteHeader(status)
						return
					}
					w.Header().Set("Link", `</?p=2>; rel="next"`)
					w.Header().Set("Next", "2")
					_, _ = io.WriteString(w, `{"items":[1,2,3],"total":7,"pages":3,"more":true,"next":"x"}`)
				})
				eng := s.newEngine(t, engine.Config{})
				defer eng.Close()
				n, failed := 0, error(nil)
				for _, err := range engine.Items[int](t.Context(), eng, &engine.Request{Path: "/"}, by) {
					if err != nil {
						failed = err
						break
					}
					n++
				}
				require.Equal(t, 3, n, name)
				if status != 200 {
					require.NoError(t, failed, name)
					return
				}
				require.ErrorIs(t, failed, engine.ErrAstray, name)
			})
		}
	}
}

func TestACircleOfLinksIsSeenHoweverTheServerSpellsItsOrigin(t *testing.T) {
	for _, spell := range []func(string) string{
		strings.ToUpper, func(host string) string { return host + ":80" }, func(host string) string { return host + ":0080" },
	} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				asked++
				host := "server.test"
				if asked%2 == 1 {
					host = spell(host)
				}
				w.Header().Set("Link", fmt.Sprintf(`<http://%s/?p=%d>; rel="next"`, host, asked%3))
				_, _ = io.WriteString(w, `[]`)
			})
			eng := s.newEngine(t, engine.Config{})
			defer eng.Close()
			var failed error
			for _, err := range engine.Pages[[]int](t.Context(), eng, &engine.Request{Path: "/?p=0"}, engine.Pager{Link: true, MaxPages: 50}) {
				failed = err
			}
			require.ErrorIs(t, failed, engine.ErrSamePage)
			require.Equal(t, 3, asked)
		})
	}
}
