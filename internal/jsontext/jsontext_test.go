package jsontext

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

type kline struct {
	Low   string `json:"l"`
	Last  int64  `json:"L"`
	Start int64  `json:"t"`
}

type trade struct {
	Low    string `json:"l"`
	Inner  *trade `json:"inner"`
	All    []trade
	ByName map[string]trade
	Symbol string
}

func TestOfTwoNamesThatDifferInCaseTheFieldsOwnCounts(t *testing.T) {
	for _, document := range []string{
		`{"l":"1","L":"2"}`, `{"L":"2","l":"1"}`, `{"L":"2", "l" : "1" , "L":"3"}`, `{"\u004c":"2","l":"1"}`, `{"\u006c":"1","L":2}`,
		`{"x":{"l":1},"L":"2","l":"1"}`, `{"L":{"deep":[1,"}",{}]},"l":"1"}`,
	} {
		var got trade
		require.NoError(t, Unmarshal([]byte(document), &got), document)
		require.Equal(t, "1", got.Low, document)
	}
	var k kline
	require.NoError(t, Unmarshal([]byte(`{"L":7,"t":1,"l":"1","T":2}`), &k))
	require.Equal(t, kline{Low: "1", Last: 7, Start: 1}, k)

	var nested trade
	require.NoError(t, Unmarshal([]byte(`{
		"inner": {"L":"2","l":"1", "SYMBOL": "x"}, "all": [{"L":"2","l":"1"}, {"L":"3"}],
		"ByName": {"A":{"l":"1","L":"2"}, "a":{"L":"4"}}, "symbol": "BTC"
	}`), &nested))
	require.Equal(t, trade{
		Inner: &trade{Low: "1", Symbol: "x"}, All: []trade{{Low: "1"}, {Low: "3"}},
		ByName: map[string]trade{"A": {Low: "1"}, "a": {Low: "4"}}, Symbol: "BTC",
	}, nested, "and without a better one any case will do")

	var list []*kline
	require.NoError(t, Unmarshal([]byte(`[{"T":2,"t":1},null]`), &list))
	require.EqualValues(t, 1, list[0].Start)
}

func TestNumbersKeepTheirDigitsOnTheirWayIn(t *testing.T) {
	var got map[string]any
	require.NoError(t, Unmarshal([]byte(`{"id":123456789012345678,"l":1,"L":2,"list":[0.10]}`), &got))
	require.Equal(t, map[string]any{
		"id": json.Number("123456789012345678"), "l": json.Number("1"), "L": json.Number("2"), "list": []any{json.Number("0.10")},
	}, got)
}

func TestAMarkBeforeADocumentIsPassedOver(t *testing.T) {
	var got trade
	require.NoError(t, Unmarshal([]byte("\xef\xbb\xbf{\"l\":\"1\"}"), &got))
	require.Equal(t, "1", got.Low)
	require.True(t, IsNull([]byte("\xef\xbb\xbf null\n")))
	require.False(t, IsNull([]byte(`"null"`)))
}

func TestAMistakeIsToldAsEncodingJSONWould(t *testing.T) {
	for _, document := range []string{``, ` `, `{`, `{"l":1`, `{"l":"1"}x`, `{"l":"1"} {}`, `<html>`, `{"l":"1","L":}`, `[1,]`, `{"l":tru}`, "\"\x01\"", `{"l":1}`, `[]`} {
		var got, want trade
		wrong := json.Unmarshal([]byte(document), &want)
		err := Unmarshal([]byte(document), &got)
		require.Error(t, wrong)
		require.EqualError(t, err, wrong.Error(), document)
		require.IsType(t, wrong, err, document)
	}
}

func TestWhatHasOneNameEachIsDecodedAsEncodingJSONDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"l", "L", "inner", "INNER", "x", "é", `a"b`, "Symbol", "symbol"}), 0, 6, strings.ToLower).Draw(t, "names")
		object := map[string]any{}
		for _, name := range names {
			switch strings.ToLower(name) {
			case "inner":
				object[name] = map[string]any{rapid.SampledFrom([]string{"l", "L", "z"}).Draw(t, "inner"): "deep"}
			default:
				object[name] = rapid.SampledFrom([]any{"text", `{"`, "\\"}).Draw(t, "value")
			}
		}
		document, err := json.Marshal(object)
		require.NoError(t, err)
		require.False(t, ambiguous(document), "%s", document)
		var got, want trade
		require.NoError(t, json.Unmarshal(document, &want))
		require.NoError(t, Unmarshal(document, &got))
		require.Equal(t, want, got)

		var copied, whole any
		require.NoError(t, json.Unmarshal(exact(document, nil), &copied))
		require.NoError(t, json.Unmarshal(document, &whole))
		require.Equal(t, whole, copied)
	})
}

func TestManyNamesAreLookedThroughOnce(t *testing.T) {
	var document strings.Builder
	document.WriteString(`{"Twice":1`)
	for i := range 20_000 {
		fmt.Fprintf(&document, `,"name%d":{"a":1,"b":2}`, i)
	}
	require.False(t, ambiguous([]byte(document.String()+`}`)))
	require.True(t, ambiguous([]byte(document.String()+`,"twice":2}`)))
}

func TestNumbersHaveNoExponentOnTheirWayOut(t *testing.T) {
	document, err := Marshal(map[string]any{
		"a": 1e-8, "b": []float64{1e21, -2.5e-7, 0.1, 0}, "c": "1e-8", "d": json.Number("1.50"), "e": `"1e5`, "f": struct{ X *float32 }{new(float32)},
	})
	require.NoError(t, err)
	require.Equal(t, `{"a":0.00000001,"b":[1000000000000000000000,-0.00000025,0.1,0],"c":"1e-8","d":1.50,"e":"\"1e5","f":{"X":0}}`, string(document))
	for number, want := range map[string]string{
		"1e3": "1000", "1.25E+1": "12.5", "-1.5e-3": "-0.0015", "0e5": "0", "1e-0": "1", "12e-1": "1.2", "1.0e0": "1", "100e-2": "1",
		"1e999": "1e999", "1e99999999999999999999": "1e99999999999999999999", "7": "7", "one": "one", "x1e5": "x1e5",
	} {
		require.Equal(t, want, Plain(number))
	}
}

func TestANumberWithoutItsExponentIsTheSameNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.Float64().Draw(t, "value")
		document, err := Marshal(value)
		require.NoError(t, err)
		require.NotContains(t, string(document), "e")
		want, _ := json.Marshal(value)
		a, _ := new(big.Rat).SetString(string(want))
		b, _ := new(big.Rat).SetString(string(document))
		require.Zero(t, a.Cmp(b), "%s and %s", want, document)
	})
}

func FuzzUnmarshalIsAsEncodingJSON(f *testing.F) {
	for _, seed := range []string{`{"l":"1","L":"2"}`, `[{"a":[1,{"b":null}]},"x",true]`, `{"a":"\"}{"}`, "\xef\xbb\xbf1", `{"":{"":""},"A":1,"a":2}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		var got, want any
		err := Unmarshal(document, &got)
		// With UseNumber, as here: without it encoding/json refuses what no float64 holds.
		standard := json.NewDecoder(bytes.NewReader(WithoutMark(document)))
		standard.UseNumber()
		wrong := standard.Decode(&want)
		if wrong == nil && !json.Valid(WithoutMark(document)) {
			wrong = errors.New("something follows the document")
		}
		if (err == nil) != (wrong == nil) {
			t.Fatalf("%v, and encoding/json says %v", err, wrong)
		}
		var into trade
		_ = Unmarshal(document, &into)
		if wrong == nil {
			var copied any
			same := json.NewDecoder(bytes.NewReader(exact(WithoutMark(document), nil)))
			same.UseNumber()
			if err := same.Decode(&copied); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	document := []byte(`[` + strings.TrimSuffix(strings.Repeat(`{"symbol":"BTCUSDT","price":"60000.00","l":"59000","time":1700000000000,"count":12345},`, 1000), ",") + `]`)
	for name, decode := range map[string]func([]byte, any) error{"encoding/json": json.Unmarshal, "here": Unmarshal} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(document)))
			for b.Loop() {
				var into []trade
				if err := decode(document, &into); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
