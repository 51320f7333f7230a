package auth

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/messages"
)

// shifted is a clock that is off from the local one.
type shifted time.Duration

func (s shifted) Now() time.Time     { return time.Now().Add(time.Duration(s)) }
func (shifted) Bound() time.Duration { return 0 }

// ordered are the schemes that sign with a nonce, for a key of the test's own.
func ordered(key Secret, rule NonceRule) map[string]Authenticator {
	bitfinex, gemini := BitfinexV2(key+"2", "secret"), Gemini(key+"3", "secret")
	bitfinex.Nonces, gemini.Nonces = rule, rule
	return map[string]Authenticator{
		"Kraken": Kraken{Key: key, Secret: "c2VjcmV0", Nonces: rule}, "BitfinexV2": bitfinex, "Gemini": gemini,
	}
}

func TestNoncesDoNotRunMoreThanADayAheadOfTheLocalClock(t *testing.T) {
	for name, a := range ordered("TestAhead", NonceRule{}) {
		err := a.Authenticate(&messages.Call{}, shifted(25*time.Hour))
		require.ErrorIs(t, err, ErrNonceAhead, name)
		require.ErrorContains(t, err, "by 25h0m0s", name)
		require.ErrorContains(t, err, "NonceRule.Ahead", name)
		require.NoError(t, a.Authenticate(&messages.Call{}, shifted(0)), "%s: the key is not spent", name)
		require.NoError(t, a.Authenticate(&messages.Call{}, shifted(23*time.Hour)), name)
	}
	for name, a := range ordered("TestAheadOnPurpose", NonceRule{Ahead: math.MaxInt64}) {
		require.NoError(t, a.Authenticate(&messages.Call{}, shifted(225*365*24*time.Hour)), name)
	}
	require.NoError(t, Deribit("TestUnique", "s").Authenticate(&messages.Call{}, shifted(48*time.Hour)), "nothing rises there")
	require.Error(t, Validate(Kraken{Key: "k", Secret: "c2VjcmV0", Nonces: NonceRule{Ahead: -1}}))
}

// process is what one process knows of a key: a source of its own.
func process(unit time.Duration) *nonceSource { return &nonceSource{unit: unit} }

func TestTwoProcessesShareNoNonceThoughTheClockIsSetBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := NonceRule{Floor: new(memoryFloor)} // it outlives them
		unit := rapid.SampledFrom([]time.Duration{time.Microsecond, time.Millisecond, time.Second}).Draw(t, "unit")
		now, last := time.UnixMilli(noon), uint64(0)
		for range rapid.IntRange(1, 5).Draw(t, "processes") { // each killed without a word
			s := process(unit)
			for range rapid.IntRange(1, 30).Draw(t, "nonces") {
				n, err := s.next(new(messages.Call), shown(now, now), rule, nil)
				require.NoError(t, err)
				require.Greater(t, n, last)
				last = n
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "pause")))
			}
			now = now.Add(-time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "set back")))
		}
	})
}

func TestAFloorIsWrittenAheadInBlocks(t *testing.T) {
	floor := new(memoryFloor)
	s, now := process(time.Microsecond), time.UnixMilli(noon)
	for range 1000 {
		_, err := s.next(new(messages.Call), shown(now, now), NonceRule{Floor: floor}, nil)
		require.NoError(t, err)
		now = now.Add(15 * time.Millisecond)
		require.GreaterOrEqual(t, floor.value, s.last, "stored before it is used")
	}
	require.Equal(t, 2, floor.stores, "15 s of use")
}

// TestMain signs until it is killed, if it is asked to.
func TestMain(m *testing.M) {
	path := os.Getenv("SLUICE_NONCE_FILE")
	if path == "" {
		os.Exit(m.Run())
	}
	back, _ := time.ParseDuration(os.Getenv("SLUICE_CLOCK"))
	for {
		n, err := nextNonce(new(messages.Call), "killed", shifted(back), time.Microsecond, NonceRule{Floor: NonceFile(path)})
		fmt.Println(n, err)
	}
}

func TestAKilledProcessLeavesNoNonceThatTheNextWouldUse(t *testing.T) {
	path, last := filepath.Join(t.TempDir(), "key"), uint64(0)
	for i := range 4 {
		child := exec.Command(os.Args[0])
		back := -time.Duration(i) * time.Hour
		child.Env = append(os.Environ(), "SLUICE_NONCE_FILE="+path, "SLUICE_CLOCK="+back.String())
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		lines := bufio.NewScanner(out)
		for range 200 + 77*i {
			require.True(t, lines.Scan())
			digits, failure, _ := strings.Cut(lines.Text(), " ")
			require.Equal(t, "<nil>", failure)
			n, err := strconv.ParseUint(digits, 10, 64)
			require.NoError(t, err)
			require.Greater(t, n, last)
			last = n
		}
		require.NoError(t, child.Process.Kill())
		for lines.Scan() { // what it printed before it died was used too
			if n, err := strconv.ParseUint(strings.TrimSuffix(lines.Text(), " <nil>"), 10, 64); err == nil && strings.HasSuffix(lines.Text(), " <nil>") {
				require.Greater(t, n, last)
				last = n
			}
		}
		require.Error(t, child.Wait())
	}
}

// memoryFloor is a floor that can fail.
type memoryFloor struct {
	value  uint64
	stores int
	err    error
}

func (f *memoryFloor) Load() (uint64, error) { return f.value, f.err }
func (f *memoryFloor) Store(v uint64) error  { f.stores++; f.value = v; return f.err }

func TestWithoutItsFloorNothingIsSigned(t *testing.T) {
	boom := errors.New("disk is gone")
	floor := &memoryFloor{err: boom}
	for name, a := range ordered("TestNoFloor", NonceRule{Floor: floor}) {
		require.ErrorIs(t, a.Authenticate(&messages.Call{}, shifted(0)), boom, name)
	}
	floor.err, floor.value = nil, math.MaxUint64-1
	for name, a := range ordered("TestNoFloor", NonceRule{Floor: floor}) {
		require.ErrorIs(t, a.Authenticate(&messages.Call{}, shifted(0)), ErrNonceAhead, "%s: a floor of another unit", name)
	}
}

func TestADamagedOrForeignNonceFileIsLeftAloneAndNeverZero(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	whole := nonceFileText(1_700_000_000_000_000)
	damaged := []string{"", "0", "{}", "\x00\x00\x00\x00", "sluice nonce floor 2\n5\n", whole + "x", nonceFileHead + "5\n00000000\n"}
	for i := range len(whole) {
		damaged = append(damaged, whole[:i], whole[:i]+string(whole[i]^1)+whole[i+1:])
	}
	for _, text := range damaged {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := NonceFile(path).Load()
		require.ErrorIs(t, err, ErrNonceFile, "%q", text)
		require.ErrorIs(t, NonceFile(path).Store(math.MaxUint64), ErrNonceFile, "%q", text)
		is, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, text, string(is))
	}
}

func TestANonceFileIsWrittenWholeAndNeverLowered(t *testing.T) {
	dir := t.TempDir()
	file := NonceFile(filepath.Join(dir, "key"))
	floor, err := file.Load()
	require.NoError(t, err)
	require.Zero(t, floor, "a key that was never used")
	for _, v := range []uint64{5, math.MaxUint64, 7} {
		require.NoError(t, file.Store(v))
	}
	floor, err = file.Load()
	require.NoError(t, err)
	require.Equal(t, uint64(math.MaxUint64), floor)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is left beside it")
	require.Error(t, NonceFile(filepath.Join(dir, "none", "key")).Store(1))
	require.Error(t, NonceFile(dir).Store(1))
}

func TestARefusedNonceRaisesTheNext(t *testing.T) {
	clock := shifted(-time.Hour) // set back since another process used the key
	for name, a := range ordered("TestRaise", NonceRule{}) {
		call := &messages.Call{}
		require.NoError(t, a.Authenticate(call, clock), name)
		refusals := 0
		for nonceOf(t, a).Before(time.Now()) {
			require.True(t, RaiseNonce(a, clock), name)
			require.NoError(t, a.Authenticate(&messages.Call{}, clock), name)
			refusals++
		}
		require.LessOrEqual(t, refusals, 7, name)
	}
	require.False(t, RaiseNonce(Bearer{"t"}, clock))
	require.False(t, RaiseNonce(OKX("k", "s", "p"), clock))
	require.True(t, RaiseNonce(Chain{Bearer{"t"}, WithoutBody{Kraken{Key: "TestRaiseChain"}}}, clock))
}

// nonceOf is the time that the key's last nonce stands for.
func nonceOf(t *testing.T, a Authenticator) time.Time {
	var s *nonceSource
	switch a := a.(type) {
	case Kraken:
		s = nonces.of(a.Key, a.NonceUnit)
	case Header:
		s = nonces.of(a.Key, a.Form.NonceUnit)
	case Payload:
		s = nonces.of(a.Key, a.unit())
	}
	require.NotNil(t, s)
	return time.Unix(0, int64(s.last)*int64(s.unit))
}

func TestRaisingEndsADayAheadAndBeginsAnewAfterAPause(t *testing.T) {
	s, now := process(time.Millisecond), time.UnixMilli(noon)
	for s.raise(now, now, NonceRule{}) {
	}
	require.LessOrEqual(t, s.last, uint64(noon+24*3600_000))
	_, err := s.next(new(messages.Call), shown(now, now), NonceRule{}, nil)
	require.ErrorIs(t, err, ErrNonceAhead)

	s = process(time.Millisecond)
	for range 10 {
		require.True(t, s.raise(now, now, NonceRule{}))
		now = now.Add(6 * time.Minute)
	}
	n, err := s.next(new(messages.Call), shown(now, now), NonceRule{}, nil)
	require.NoError(t, err)
	require.LessOrEqual(t, n, uint64(now.UnixMilli()), "single refusals, far apart")
}

func TestKeysOutOfUseAreForgottenAndNoNonceIsGivenTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := nonceRegistry{sources: map[string]*nonceSource{}, forgotten: map[time.Duration]uint64{}}
		next := func(key Secret, clock Clock) uint64 {
			n, err := r.of(key, time.Millisecond).next(new(messages.Call), shown(clock.Now(), time.Now()), NonceRule{}, nil)
			require.NoError(t, err)
			return n
		}
		before := next("old", LocalClock(0))
		ahead := next("ahead", shifted(20*time.Hour))
		for i := range 10_000 {
			n := next(Secret(strconv.Itoa(i)), LocalClock(0))
			require.LessOrEqual(t, n, uint64(time.Now().UnixMilli()+1), "nobody inherits what is not past")
			if i%100 == 0 {
				time.Sleep(time.Hour)
			}
			require.LessOrEqual(t, len(r.sources), manyNonces+200)
			if i == 1000 {
				require.NotContains(t, r.sources, lane("old")+time.Millisecond.String())
				require.Greater(t, next("ahead", FixedClock(time.UnixMilli(5))), ahead, "what is not past is kept")
			}
		}
		require.Greater(t, next("old", FixedClock(time.UnixMilli(5))), before, "though its clock was set back")
	})
}

func TestEnginesThatShareAKeyShareItsLane(t *testing.T) {
	kraken := Kraken{Key: "TestEngines", Secret: "c2VjcmV0"}
	lane := LaneOf(kraken)
	require.Same(t, lane, LaneOf(Chain{Bearer{"t"}, BitfinexV2("TestEngines", "other")}))
	require.NotSame(t, lane, LaneOf(Kraken{Key: "TestOthers"}))
	require.Nil(t, LaneOf(Bearer{"t"}))
	require.Nil(t, LaneOf(OKX("k", "s", "p")))
	require.Nil(t, LaneOf(nil))

	first, second, third := lane.Ask(), lane.Ask(), lane.Ask()
	open := func() (all []bool) {
		for _, turn := range []<-chan struct{}{first, second, third} {
			select {
			case <-turn:
				all = append(all, true)
			default:
				all = append(all, false)
			}
		}
		return all
	}
	require.Equal(t, []bool{true, false, false}, open())
	lane.Leave(second) // before its turn
	lane.Leave(second)
	require.Equal(t, []bool{true, false, false}, open())
	lane.Leave(first)
	lane.Leave(first)
	require.Equal(t, []bool{true, false, true}, open())
	lane.Leave(third)
	last := lane.Ask()
	<-last
	lane.Leave(last)
}

func TestALaneThatNobodyUsesIsForgotten(t *testing.T) {
	const many = 1000
	held := LaneOf(Kraken{Key: "TestHeld"})
	for i := range many {
		LaneOf(Kraken{Key: Secret(fmt.Sprint("TestForgotten", i))})
	}
	count := func() int {
		lanes.Lock()
		defer lanes.Unlock()
		return len(lanes.byName)
	}
	for range 100 {
		runtime.GC()
		if count() < many/2 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	require.Less(t, count(), many/2)
	require.Same(t, held, LaneOf(Kraken{Key: "TestHeld"}))
}

func TestASchemeKnowsHowItsServerRefusesATimestampOrANonce(t *testing.T) {
	binance, bybit, okx := Binance("k", "s"), Bybit("k", "s"), OKX("k", "s", "p")
	kraken := Kraken{Key: "k", Secret: "c2VjcmV0"}
	own := Gemini("k", "s")
	own.Codes = Codes{Field: "reason", Nonce: []string{"InvalidNonce"}}
	type refusals struct{ timestamp, nonce bool }
	for _, c := range []struct {
		a      Authenticator
		status int
		body   string
		want   refusals
	}{
		{binance, 400, `{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}`, refusals{timestamp: true}},
		{BinanceKeyPair("k", PrivateKey{}), 400, `{"code":-1021}`, refusals{timestamp: true}},
		{binance, 400, `{"code":-1022,"msg":"-1021"}`, refusals{}},
		{binance, 200, `[{"code":-1021}]`, refusals{}},
		{binance, 502, `<html>-1021`, refusals{}},
		{bybit, 200, `{"retCode":10002,"retMsg":"x"}`, refusals{timestamp: true}},
		{bybit, 200, `{"retCode":0}`, refusals{}},
		{okx, 401, `{"msg":"Timestamp request expired","code":"50102"}`, refusals{timestamp: true}},
		{okx, 200, `{"code":"0","data":[]}`, refusals{}},
		{kraken, 200, `{"error":["EAPI:Invalid nonce"]}`, refusals{nonce: true}},
		{kraken, 200, `{"error":["EGeneral:Warning","EAPI:Invalid nonce"]}`, refusals{nonce: true}},
		{kraken, 200, `{"error":[],"result":{"a":"EAPI:Invalid nonce"}}`, refusals{}},
		{own, 400, `{"result":"error","reason":"InvalidNonce"}`, refusals{nonce: true}},
		{Gemini("k", "s"), 400, `{"reason":"InvalidNonce"}`, refusals{}},
		{Chain{Bearer{"t"}, binance}, 400, `{"code":-1021}`, refusals{timestamp: true}},
		{WithoutBody{kraken}, 200, `{"error":["EAPI:Invalid nonce"]}`, refusals{nonce: true}},
		{Func(nothing), 400, `{"code":-1021}`, refusals{}},
		{nil, 400, `{"code":-1021}`, refusals{}},
	} {
		got := refusals{RefusedTimestamp(c.a, c.status, []byte(c.body)), RefusedNonce(c.a, c.status, []byte(c.body))}
		require.Equal(t, c.want, got, "%T %s", c.a, c.body)
	}
	require.True(t, slices.Contains(binance.Form.withDefaults().Codes.Timestamp, "-1021"))
}

// shown are clocks that stand still.
func shown(now, local time.Time) func() (time.Time, time.Time) {
	return func() (time.Time, time.Time) { return now, local }
}

// lazyFloor is a floor that takes its time with all that it is asked.
type lazyFloor struct{ shelved uint64 }

func (f *lazyFloor) Load() (uint64, error) { time.Sleep(time.Second); return f.shelved, nil }
func (f *lazyFloor) Store(floor uint64) error {
	time.Sleep(time.Second)
	f.shelved = floor
	return nil
}

func TestANonceIsAsYoungAsItCanBeBehindAFloorThatTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rule := process(time.Microsecond), NonceRule{Floor: new(lazyFloor)}
		clocks := func() (time.Time, time.Time) { return time.Now(), time.Now() }
		for range 40 {
			n, err := s.next(new(messages.Call), clocks, rule, nil)
			require.NoError(t, err)
			require.Equal(t, s.units(time.Now()), n)
		}
	})
}
