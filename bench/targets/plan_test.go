package targets

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func prepare(t testing.TB, p Plan) *Prepared {
	ready, err := p.Prepare()
	require.NoError(t, err)
	return ready
}

func single(steps ...Step) Plan { return Plan{Chains: []Chain{{Steps: steps}}} }

// first is the first request of arrival n.
func first(t testing.TB, p *Prepared, n uint64) *Request {
	var s Session
	p.Begin(&s, n)
	r, more, err := s.Next()
	require.NoError(t, err)
	require.True(t, more)
	return r
}

func TestTheSameArrivalPicksTheSameChainOnEveryMachine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.OneOf(rapid.Uint64Range(1, 9), rapid.Uint64Range(1, 100_000)), 1, 6).Draw(t, "weights")
		seed := rapid.Uint64().Draw(t, "seed")
		one, other := newPicker(weights, seed), newPicker(weights, seed)
		for range 20 {
			n := rapid.Uint64().Draw(t, "n")
			require.Equal(t, one.pick(n), other.pick(n))
		}
	})
}

func TestEveryBlockHasItsShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.OneOf(rapid.Uint64Range(1, 9), rapid.Uint64Range(1, 400), rapid.Uint64Range(1, math.MaxUint32)), 1, 6).Draw(t, "weights")
		p := newPicker(weights, rapid.Uint64().Draw(t, "seed"))
		begin := rapid.Uint64Range(0, 1<<50).Draw(t, "block") * p.block
		counts, sum := make([]float64, len(weights)), 0.0
		for n := begin; n < begin+p.block; n++ {
			counts[p.pick(n)]++
		}
		for _, w := range weights {
			sum += float64(w)
		}
		for i, w := range weights {
			share := float64(w) / sum * float64(p.block)
			if p.cards != nil {
				require.InDelta(t, share, counts[i], 1e-6, "exactly")
			} else {
				require.InDelta(t, share, counts[i], 2)
			}
		}
	})
}

func TestAnotherSeedAndAnotherBlockAreAnotherOrder(t *testing.T) {
	picks := func(seed, from uint64) (text string) {
		p := newPicker([]uint64{1, 1, 2}, seed)
		for n := from; n < from+64; n++ {
			text += fmt.Sprint(p.pick(n))
		}
		return text
	}
	require.Equal(t, picks(1, 0), picks(1, 0))
	require.NotEqual(t, picks(1, 0), picks(2, 0))
	require.NotEqual(t, picks(1, 0), picks(1, 64))
	require.NotEqual(t, picks(0, 0)[:32], picks(0, 0)[32:])
}

func TestWhatIsInOrderIsTakenInOrderAndAgain(t *testing.T) {
	p := inTurn([]Step{{URL: "http://a/0"}, {URL: "http://a/1"}, {URL: "http://a/2"}})
	ready := prepare(t, p)
	for n := range uint64(7) {
		require.Equal(t, fmt.Sprintf("http://a/%d", n%3), first(t, ready, n).URL)
	}
	require.Equal(t, []string{"GET /0", "GET /1", "GET /2"}, ready.Operations())
}

func TestAPlanThatWasJSONSendsTheSame(t *testing.T) {
	p := single(Step{Method: "POST", URL: "/x/{{a}}", Header: http.Header{"X": {"{{b}}"}}, Body: []byte("\x00{{a}}"), Limit: "l", Account: "acc", Key: "{{b}}", Priority: 3, Sign: true})
	p.Base, p.Data, p.Seed = "http://h/v1/", &Data{Columns: []string{"a", "b"}, Rows: [][]string{{"1", "2"}, {"3 /", "4"}}}, 9
	text, err := json.Marshal(p)
	require.NoError(t, err)
	var other Plan
	require.NoError(t, json.Unmarshal(text, &other))
	require.Equal(t, p, other)
	r := first(t, prepare(t, other), 1)
	require.Equal(t, "http://h/v1/x/3%20%2F", r.URL)
	require.Equal(t, http.Header{"X": {"4"}}, r.Header)
	require.Equal(t, "\x003 /", string(r.Body))
	require.Equal(t, "4", r.Key)
	require.Equal(t, "acc", r.Account)
	require.True(t, r.Step.Sign)
}

func TestAChainUsesWhatItsAnswersSaid(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/login":
			w.Header().Add("Set-Cookie", "other=1")
			w.Header().Add("Set-Cookie", "sid=s 1; Path=/")
			_, _ = w.Write([]byte(`{"user":{"id":12345678901234567890,"tags":[{"n":"ü\"x"}]}}`))
		case "/users/12345678901234567890":
			if r.Header.Get("X-Session") != "s 1" || r.URL.Query().Get("tag") != `ü"x` {
				w.WriteHeader(400)
			}
			w.Header().Set("Location", "/last?x=1")
			_, _ = w.Write([]byte("<a href=/next/42>"))
		case "/next/42":
			w.WriteHeader(201)
		default:
			_, _ = w.Write([]byte(r.URL.String()))
		}
	}))
	defer server.Close()
	p := single(
		Step{URL: "/login", Save: []Save{{Name: "id", JSON: "user.id"}, {Name: "tag", JSON: "user.tags.0.n"}, {Name: "sid", Header: "set-cookie", Regexp: "sid=([^;]*)"}}},
		Step{URL: "/users/{{id}}?tag={{ tag }}", Header: http.Header{"X-Session": {"{{sid}}"}}, Save: []Save{{Name: "next", Regexp: `href=(\S+)>`}, {Name: "where", Header: "Location"}}},
		Step{URL: "{{next}}", Success: []int{201}},
		Step{URL: "{{where}}&y={{id}}"},
	)
	p.Base = server.URL
	ready := prepare(t, p)
	require.Equal(t, []string{"GET /login", "GET /users/{{id}}", "GET {{next}}", "GET {{where}}"}, ready.Operations())
	var s Session
	for n := range uint64(3) {
		ready.Begin(&s, n)
		var statuses []int
		for {
			r, more, err := s.Next()
			require.NoError(t, err)
			if !more {
				break
			}
			require.Equal(t, len(statuses) == 3, r.Last)
			require.Equal(t, len(statuses), r.Number)
			require.Equal(t, len(statuses) < 2, r.KeepBody)
			request, err := http.NewRequest(r.Method, r.URL, nil)
			require.NoError(t, err)
			request.Header = r.Header
			response, err := server.Client().Do(request)
			require.NoError(t, err)
			body := make([]byte, 1000)
			size, _ := response.Body.Read(body)
			response.Body.Close()
			statuses = append(statuses, response.StatusCode)
			require.NoError(t, s.Answered(response.StatusCode, response.Header, body[:size]))
			if r.Last {
				require.Equal(t, "/last?x=1&y=12345678901234567890", string(body[:size]))
			}
		}
		require.Equal(t, []int{200, 200, 201, 200}, statuses)
	}
}

func TestAChainEndsWhereItsNextStepCannotBeMade(t *testing.T) {
	ready := prepare(t, single(
		Step{Method: "POST", URL: "http://h/orders", Save: []Save{{Name: "id", JSON: "id"}}},
		Step{URL: "http://h/orders/{{id}}", Header: http.Header{"X": {"{{id}}"}}},
	))
	begin := func() *Session {
		s := &Session{}
		ready.Begin(s, 0)
		_, more, err := s.Next()
		require.NoError(t, err)
		require.True(t, more)
		return s
	}
	ended := func(s *Session) {
		_, more, err := s.Next()
		require.NoError(t, err)
		require.False(t, more)
	}
	for _, body := range []string{"", "{}", `{"id":null}`, "<html>"} {
		s := begin()
		var missing *SaveError
		require.ErrorAs(t, s.Answered(200, nil, []byte(body)), &missing)
		require.Equal(t, SaveError{Operation: "POST /orders", Name: "id", From: `JSON value "id"`, Status: 200}, *missing)
		require.ErrorContains(t, missing, `step 1 (POST /orders): the answer with status 200 has no JSON value "id" to save as "id"`)
		ended(s)
	}
	s := begin()
	require.NoError(t, s.Answered(503, nil, nil), "that is no success, and counted as such")
	ended(s)
	ended(begin()) // which had no answer at all
	early := &Session{}
	ready.Begin(early, 0)
	require.NoError(t, early.Answered(200, nil, nil), "to nothing")
	s = begin()
	require.NoError(t, s.Answered(200, nil, []byte(`{"id":"a\r\nX-Evil: 1"}`)))
	_, more, err := s.Next()
	require.False(t, more)
	var refused *FillError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "header X", refused.Where)
	require.NotContains(t, err.Error(), "Evil")
	ended(s)
}

func TestValuesCannotLeaveTheirPlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.RuneFrom([]rune("a/?#&=%\"\\\r\n:@ {}ü")), 0, 12, -1)).Draw(t, "value")
		data := &Data{Columns: []string{"v"}, Rows: [][]string{{value}}}
		next := func(step Step) (*Request, error) {
			p := single(step)
			p.Data = data
			ready, err := p.Prepare()
			require.NoError(t, err)
			var s Session
			ready.Begin(&s, 5)
			r, _, err := s.Next()
			return r, err
		}
		r, err := next(Step{URL: "http://h/a/{{v}}/b?q={{v}}&z=1"})
		require.NoError(t, err)
		request, err := http.NewRequest("GET", r.URL, nil)
		require.NoError(t, err)
		require.Equal(t, "h", request.URL.Host)
		require.Equal(t, "/a/"+value+"/b", request.URL.Path)
		require.Equal(t, value, request.URL.Query().Get("q"))
		require.Len(t, request.URL.Query(), 2)
		require.Empty(t, request.URL.Fragment)

		if r, err = next(Step{URL: "http://{{v}}/a"}); err == nil {
			require.NotContains(t, value, "/")
			require.NotContains(t, value, "@")
			require.Equal(t, "http://"+value+"/a", r.URL)
		}
		if r, err = next(Step{URL: "http://h/", Header: http.Header{"X": {"a {{v}}"}}}); err == nil {
			require.False(t, strings.ContainsAny(r.Header.Get("X"), "\r\n\x00"))
		} else {
			require.True(t, strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c == 0x7f }))
		}
		r, err = next(Step{URL: "http://h/", Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}}, Body: []byte(`{"a":"x\"{{v}}","b":[1,"{{v}}"]}`)})
		require.NoError(t, err)
		var decoded struct {
			A string
			B []any
		}
		require.NoError(t, json.Unmarshal(r.Body, &decoded), string(r.Body))
		require.Equal(t, `x"`+value, decoded.A)
		require.Equal(t, value, decoded.B[1])
		r, err = next(Step{Method: "POST", URL: "http://h/", Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, Body: []byte(`a={{v}}&b=1`)})
		require.NoError(t, err)
		request, err = http.NewRequest("POST", r.URL, strings.NewReader(string(r.Body)))
		require.NoError(t, err)
		request.Header = r.Header
		require.Equal(t, value, request.FormValue("a"))
		require.Equal(t, "1", request.FormValue("b"))
	})
}

func TestEveryMistakeOfAPlanIsNamed(t *testing.T) {
	data := &Data{Columns: []string{"a"}, Rows: [][]string{{"1"}}}
	for _, c := range []struct {
		plan Plan
		says []string
	}{
		{Plan{}, []string{"chains: there is nothing to send"}},
		{Plan{Chains: []Chain{{}, {Weight: math.MaxUint64, Steps: []Step{{URL: "ftp://x"}}}}}, []string{"chains[0].steps: there are none", "chains[1].weight", "chains[1].steps[0].url: \"ftp://x\" does not begin with http"}},
		{single(Step{URL: "/x"}), []string{"chains[0].steps[0].url: \"/x\" has no host"}},
		{single(Step{URL: "http://"}, Step{URL: "http://h:x/"}, Step{URL: ""}), []string{"has no host", "is no URL", "does not begin with"}},
		{single(Step{Method: "G T", URL: "http://h/", Header: http.Header{"a b": {"x"}, "C": {"x\ny"}}, Success: []int{99}}), []string{"method: \"G T\"", "header: \"a b\"", "header.C: a value", "success: 99"}},
		{single(Step{URL: "http://h/{{b}}", Body: []byte("{{"), Key: "{{x y}}"}), []string{"{{b}} is neither a column", "body: {{\"\" is no template", "key: {{\"x y}}\" is no template"}},
		{Plan{Data: data, Chains: []Chain{{Steps: []Step{{URL: "http://h/{{late}}", Save: []Save{{Name: "a", JSON: "x"}, {Name: "late", Header: "x", JSON: "y"}, {Name: "x y", Regexp: "("}, {Name: "none"}}}}}}},
			[]string{"{{late}} is neither", "save[0].name: \"a\" is a column", "save[1]: header and json exclude", "save[2].name: \"x y\"", "save[2].regexp", "save[3]: want one of"}},
		{Plan{Data: &Data{Columns: []string{"a", "a", "b c"}}, Chains: single(Step{URL: "http://h/"}).Chains}, []string{"data.columns[1]: \"a\" is there twice", "data.columns[2]: \"b c\"", "data.rows: there are none"}},
		{Plan{Data: &Data{Rows: [][]string{{"x"}}}, Chains: single(Step{URL: "http://h/"}).Chains}, []string{"data.columns: there are none", "data.rows[0] has 1 values for 0"}},
		{Plan{Order: []int{0, 1}, Chains: []Chain{{Weight: 2, Steps: []Step{{URL: "http://h/"}}}}}, []string{"order: it and weights exclude", "order[1]: there is no chain 1 of 1"}},
		{Plan{Data: &Data{Columns: []string{"a"}, Rows: [][]string{{"1"}, {"\x94"}}}, Chains: single(Step{URL: "http://h/\x94", Key: "\xff", Header: http.Header{"A": {"\xe9"}}}).Chains},
			[]string{"data.rows[1]: a value is not UTF-8", "chains[0].steps[0].url: it is not UTF-8", "key: it is not UTF-8", "header.A: a value is not UTF-8"}},
		{Plan{Order: []int{}, Chains: single(Step{URL: "http://h/"}).Chains}, []string{"order: it is empty"}},
		{Plan{Generator: &Generator{}, Chains: single(Step{URL: "http://h/"}).Chains}, []string{"a generator makes all", "Step is nil", "Operations has no name"}},
	} {
		_, err := c.plan.Prepare()
		var typed *PlanError
		require.ErrorAs(t, err, &typed)
		require.Len(t, typed.Mistakes, len(c.says), err)
		for _, said := range c.says {
			require.ErrorContains(t, err, said)
		}
		require.NotContains(t, err.Error(), "\n")
	}
	_, err := single(Step{URL: "x://h/?key=sesame"}).Prepare()
	require.NotContains(t, err.Error(), "sesame")
}

func TestOperationsAreBounded(t *testing.T) {
	var steps []Step
	for i := range 1000 {
		steps = append(steps, Step{URL: fmt.Sprintf("http://h/api/v3/orders/%d?x=%d", i, i)})
	}
	require.Equal(t, []string{"GET /api/v3/orders/…"}, prepare(t, inTurn(steps)).Operations())
	for i := range steps {
		steps[i].URL = "http://h/a/" + strings.Repeat("x", i)
	}
	require.Equal(t, []string{"GET /a/…"}, prepare(t, inTurn(steps)).Operations())
	for i := range steps {
		steps[i].URL = "http://h/" + strings.Repeat("x", i)
	}
	steps[3].Operation = "mine"
	require.Equal(t, []string{"GET", "mine"}, prepare(t, inTurn(steps)).Operations())
	for i := range steps {
		steps[i].Operation = fmt.Sprint(i)
	}
	_, err := inTurn(steps).Prepare()
	require.ErrorContains(t, err, "1000 operations are more than 100")
}

func TestAProgramMayMakeItsRequestsItself(t *testing.T) {
	broken := errors.New("no more")
	plan := Plan{Generator: &Generator{Operations: []string{"read", "write"}, Step: func(n uint64) (*Step, error) {
		switch n {
		case 1:
			return &Step{Operation: "write", Method: "PUT", URL: "http://h/{{n}}", Body: []byte("x")}, nil
		case 2:
			return nil, broken
		case 3:
			return &Step{Operation: "else", URL: "http://h/"}, nil
		}
		return &Step{URL: fmt.Sprintf("http://h/%d", n)}, nil
	}}}
	ready := prepare(t, plan)
	require.Equal(t, []string{"read", "write"}, ready.Operations())
	r := first(t, ready, 0)
	require.Equal(t, []any{"GET", "http://h/0", 0, true}, []any{r.Method, r.URL, r.Operation, r.Last})
	var s Session
	ready.Begin(&s, 1)
	r, more, err := s.Next()
	require.NoError(t, err)
	require.True(t, more)
	require.Equal(t, []any{"PUT", "http://h/{{n}}", 1, "x"}, []any{r.Method, r.URL, r.Operation, string(r.Body)})
	require.NoError(t, s.Answered(500, nil, nil))
	_, more, err = s.Next()
	require.NoError(t, err)
	require.False(t, more)
	ready.Begin(&s, 2)
	_, _, err = s.Next()
	require.ErrorIs(t, err, broken)
	ready.Begin(&s, 3)
	_, _, err = s.Next()
	require.ErrorContains(t, err, "none of those that it named")
}

func TestARequestWithoutTemplatesCostsNoMemory(t *testing.T) {
	ready := prepare(t, Plan{Chains: []Chain{
		{Weight: 3, Steps: []Step{{URL: "http://h/a", Header: http.Header{"X": {"y"}}, Body: []byte("b")}, {URL: "http://h/c"}}},
		{Weight: 4, Steps: []Step{{URL: "http://h/b"}}},
	}})
	var s Session
	n := uint64(0)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		ready.Begin(&s, n)
		n++
		for {
			_, more, _ := s.Next()
			if !more {
				return
			}
			_ = s.Answered(200, nil, nil)
		}
	}))
	require.True(t, (&Step{}).Succeeded(399) && !(&Step{}).Succeeded(400) && (&Step{Success: []int{404}}).Succeeded(404) && !(&Step{Success: []int{404}}).Succeeded(200))
}

func BenchmarkNext(b *testing.B) {
	data := &Data{Columns: []string{"id"}, Rows: [][]string{{"1"}, {"2"}}}
	for name, plan := range map[string]Plan{
		"plain":    single(Step{URL: "http://h/a"}),
		"weighted": {Chains: []Chain{{Weight: 90, Steps: []Step{{URL: "http://h/a"}}}, {Weight: 10, Steps: []Step{{URL: "http://h/b"}}}}},
		"template": {Data: data, Chains: []Chain{{Steps: []Step{{URL: "http://h/a/{{id}}"}}}}},
	} {
		b.Run(name, func(b *testing.B) {
			ready := prepare(b, plan)
			var s Session
			b.ReportAllocs()
			for n := uint64(0); b.Loop(); n++ {
				ready.Begin(&s, n)
				if _, more, err := s.Next(); err != nil || !more {
					b.Fatal(err)
				}
			}
		})
	}
}

// Two requests that take turns and two rows would otherwise be the same two pairs for ever.
func TestEachChainMeetsEachRow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		order, rows := rapid.IntRange(0, 12).Draw(t, "order"), rapid.IntRange(1, 12).Draw(t, "rows")
		chains := max(order, 1)
		met := make(map[[2]uint64]int)
		for n := range uint64(chains * rows) {
			met[[2]uint64{n % uint64(chains), rowOf(n, order, rows)}]++
		}
		require.Len(t, met, chains*rows)
		for n := range uint64(rows) {
			require.Equal(t, n, rowOf(n, order, rows), "rows begin in order, each once")
		}
	})
}
